"""What can be reported, who answers for it, and marks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from abci_chat.state import channels, post_proofs, targets
from abci_chat.state.channels import ChannelClosed, UnknownChannel
from abci_chat.state.targets import AlreadyMarked, Kind, Shown, Target, UnknownTarget
from dchat.kernel.errors import TxRejected
from dchat.kernel.ids import AccountId, EpochMs
from dchat.kernel.inclusion import Path
from dchat.kernel.store import Draft
from tests.fakes.court import CAROLS, HANDLE, Court
from tests.fakes.memory import ALICE, BOB, CAROL
from tests.fakes.posting import PRIVATE, PUBLIC, commitments, part_of

NAMED = Target(Kind.HANDLE, HANDLE.encode())
ROOM = Target(Kind.CHANNEL, PUBLIC)


def posted() -> tuple[Court, Target, Shown]:
    """Return a court whose channel has posts of bob and carol; carol's second is number 5."""
    court = Court()
    parts = court.part(BOB, 3), court.part(CAROL, 2, first=40)
    assert court.batch(ALICE, *parts).code == 0
    plain = [signed.part for signed in parts]
    proof = post_proofs.prove(plain, 1, commitments(2, 40), 1)
    return court, Target(Kind.POST, PUBLIC, 5), Shown(1, commitments(2, 40)[1], proof)


@pytest.mark.parametrize(
    ("target", "who"), [(CAROLS, CAROL.id), (NAMED, CAROL.id), (ROOM, ALICE.id)]
)
def test_somebody_answers_for_an_account_a_handle_and_a_channel(
    target: Target, who: AccountId
) -> None:
    assert targets.responsible(Court().state, target, ()) == who


def test_the_author_answers_for_a_post() -> None:
    court, target, shown = posted()

    assert targets.responsible(court.state, target, (shown,)) == CAROL.id


def test_nobody_answers_for_a_post_of_a_private_channel() -> None:
    court = Court()
    part = court.hidden(ALICE, 4)
    assert court.batch(ALICE, part, channel=PRIVATE).code == 0
    proof = post_proofs.prove([part.part], 0, commitments(4), 2)

    found = targets.responsible(
        court.state, Target(Kind.POST, PRIVATE, 3), (Shown(1, commitments(4)[2], proof),)
    )

    assert found == targets.NOBODY


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({}, 4),
        ({}, 6),
        ({"first": 2}, 5),
        ({"commitment": bytes(32)}, 5),
    ],
)
def test_a_post_that_is_not_proved_under_its_number_is_refused(
    change: dict[str, int | bytes], number: int
) -> None:
    court, target, shown = posted()

    with pytest.raises(UnknownTarget):
        targets.responsible(
            court.state, replace(target, sequence=number), (replace(shown, **change),)
        )


def test_a_post_of_another_author_is_not_proved() -> None:
    court, target, shown = posted()
    forged = replace(shown.proof, part=replace(shown.proof.part, author=BOB.id))

    with pytest.raises(UnknownTarget):
        targets.responsible(court.state, target, (replace(shown, proof=forged),))


def test_a_post_of_another_channel_is_not_there() -> None:
    court, target, shown = posted()

    with pytest.raises(UnknownTarget):
        targets.responsible(court.state, replace(target, name=PRIVATE), (shown,))


def test_a_post_that_is_marked_is_not_reported_again() -> None:
    court, target, shown = posted()
    draft = court.draft()
    targets.mark(draft, target, 7)

    with pytest.raises(AlreadyMarked) as refused:
        targets.responsible(draft, target, (shown,))
    assert refused.value.case == 7


@pytest.mark.parametrize(
    ("target", "refusal"),
    [
        (Target(Kind.ACCOUNT, bytes(32)), UnknownTarget),
        (Target(Kind.CHANNEL, bytes(32)), UnknownChannel),
        (Target(Kind.HANDLE, b"nobody_has_it"), UnknownTarget),
        (Target(Kind.HANDLE, HANDLE.replace("_", "").encode()), UnknownTarget),
    ],
)
def test_what_is_not_there_is_refused(target: Target, refusal: type[TxRejected]) -> None:
    with pytest.raises(refusal):
        targets.responsible(Court().state, target, ())


def test_a_channel_that_was_closed_is_refused() -> None:
    court = Court()
    draft = court.draft()
    channels.close(draft, PUBLIC, court.channel(), EpochMs(5))

    with pytest.raises(ChannelClosed):
        targets.responsible(draft, ROOM, ())


PART = part_of(BOB.id, BOB.public_key, 0, commitments(1))
PATH = Path(0, 1, ())
SHOWN = Shown(1, bytes(32), post_proofs.PostProof(PART, 0, PATH, PATH))


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (Target(Kind.POST, PUBLIC, 1), ()),
        (ROOM, (SHOWN,)),
        (replace(ROOM, sequence=1), ()),
        (replace(CAROLS, sequence=1), ()),
        (replace(NAMED, sequence=1), ()),
        (Target(Kind.ACCOUNT, b"short"), ()),
        (Target(Kind.CHANNEL, b"short"), ()),
        (Target(Kind.POST, b"short", 1), (SHOWN,)),
        (Target(Kind.HANDLE, "é".encode()), ()),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(
    target: Target, shown: tuple[Shown, ...]
) -> None:
    with pytest.raises(UnknownTarget):
        targets.check(target, shown)


@pytest.mark.parametrize(
    ("target", "shown"),
    [(ROOM, ()), (CAROLS, ()), (NAMED, ()), (Target(Kind.POST, PUBLIC, 1), (SHOWN,))],
)
def test_parts_that_belong_together_pass(target: Target, shown: tuple[Shown, ...]) -> None:
    targets.check(target, shown)


def test_a_mark_names_its_cases_and_goes_with_the_last() -> None:
    draft = Court().draft()

    targets.mark(draft, CAROLS, 3)
    targets.mark(draft, CAROLS, 5)
    both = targets.marks(draft, CAROLS)
    targets.unmark(draft, CAROLS, 3)
    one = targets.marks(draft, CAROLS)
    targets.unmark(draft, CAROLS, 5)

    assert (both, one, targets.marks(draft, CAROLS)) == ((3, 5), (5,), ())


def test_a_mark_has_its_first_cases_and_no_end_of_them() -> None:
    draft = Court().draft()
    mark_often(draft, targets.MAX_MARKS + 2)

    targets.unmark(draft, CAROLS, targets.MAX_MARKS + 1)

    assert targets.marks(draft, CAROLS) == tuple(range(1, targets.MAX_MARKS + 1))


def mark_often(draft: Draft, times: int) -> None:
    for number in range(1, times + 1):
        targets.mark(draft, CAROLS, number)


def test_marks_of_two_targets_are_two() -> None:
    draft = Court().draft()

    targets.mark(draft, ROOM, 1)

    assert [targets.marks(draft, each) for each in (CAROLS, Target(Kind.POST, PUBLIC), ROOM)] == [
        (),
        (),
        (1,),
    ]
