from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat import keys
from abci_chat.machine import MACHINE
from abci_chat.params import REPUTATION
from abci_chat.state import beacon, cases, post_proofs, reputation, targets
from abci_chat.state.cases import Phase, TooManyReports
from abci_chat.state.channels import ChannelClosed, UnknownChannel
from abci_chat.state.reputation import Deed
from abci_chat.state.targets import AlreadyMarked, Kind, Shown, Target, UnknownTarget
from abci_chat.txs import report
from abci_chat.txs.report import BondTooLow, OwnTarget, Report, Reported
from dchat.kernel.errors import InsufficientFunds, MalformedBody, NonceMismatch
from dchat.kernel.ids import Amount, Cost, EpochMs, Height
from tests.fakes.court import (
    FEE,
    FUNDS,
    HANDLE,
    REPORT,
    REPORT_BOND,
    VERDICT_MS,
    Court,
)
from tests.fakes.memory import ALICE, BOB, CAROL, Person, run, signed
from tests.fakes.posting import PUBLIC, commitment

ROOM = replace(REPORT, target=Target(Kind.CHANNEL, PUBLIC))
NAME = replace(REPORT, target=Target(Kind.HANDLE, HANDLE.encode()))


def posted(court: Court, who: Person = CAROL) -> Report:
    """Let somebody post, and return the report of that post."""
    assert court.post(who, 9).code == 0
    signed_part = court.part(who, 1)
    part = replace(
        signed_part.part, counter=signed_part.part.counter - 1, root=root_of(commitment(9))
    )
    proof = post_proofs.prove([part], 0, [commitment(9)], 0)
    shown = Shown(1, commitment(9), proof)
    return replace(REPORT, target=Target(Kind.POST, PUBLIC, 1), shown=(shown,))


def root_of(leaf: bytes) -> bytes:
    return post_proofs.merkle_root((leaf,))


@pytest.mark.parametrize("form", [REPORT, ROOM, NAME])
def test_a_report_opens_a_case_for_its_bond(form: Report) -> None:
    court = Court()

    outcome = court.report(BOB, form)

    told = Reported(1, BOB.id, form.target.kind, form.target.name, 0, REPORT_BOND)
    assert outcome.events == (told,)
    case = court.case()
    assert (case.target, case.phase, case.opened_at) == (form.target, Phase.DRAWING, Height(1))
    assert (court.held(BOB.id), court.pools()[0]) == (FUNDS - FEE - REPORT_BOND, REPORT_BOND)
    court.audit()


def test_a_post_is_reported_by_its_number_with_its_proof() -> None:
    court = Court()
    form = posted(court)

    outcome = court.report(BOB, form)

    assert (outcome.code, court.case().reported) == (0, CAROL.id)
    assert court.case().target == Target(Kind.POST, PUBLIC, 1)


def test_a_case_asks_for_randomness() -> None:
    court = Court()

    court.report()

    draw = beacon.load_draw(court.state)
    assert court.state.get(keys.draw_waiting(draw.first)) == keys.case(1)


def test_cases_are_numbered_in_their_order() -> None:
    court = Court()
    court.report()

    outcome = court.report(ALICE)

    assert [each.case for each in outcome.events if isinstance(each, Reported)] == [2]
    assert (cases.count(court.state), court.case(2).reporter) == (2, ALICE.id)


@pytest.mark.parametrize(
    ("who", "form", "code"),
    [
        (CAROL, REPORT, OwnTarget.code),
        (CAROL, NAME, OwnTarget.code),
        (ALICE, ROOM, OwnTarget.code),
        (BOB, replace(REPORT, most_bond=Amount(REPORT_BOND - 1)), BondTooLow.code),
        (BOB, replace(REPORT, target=Target(Kind.ACCOUNT, bytes(32))), UnknownTarget.code),
        (BOB, replace(REPORT, target=Target(Kind.HANDLE, b"x")), UnknownTarget.code),
        (BOB, replace(REPORT, target=Target(Kind.CHANNEL, bytes(32))), UnknownChannel.code),
        (BOB, replace(REPORT, target=Target(Kind.POST, PUBLIC, 1)), UnknownTarget.code),
    ],
)
def test_a_report_is_refused_and_changes_nothing(who: Person, form: Report, code: int) -> None:
    court = Court()

    outcome = court.report(who, form)

    assert (outcome.code, cases.count(court.state)) == (code, 0)
    assert (court.held(who.id), court.pools()[0]) == (FUNDS - FEE, 0)


def test_a_channel_that_was_closed_is_not_reported() -> None:
    court = Court()
    court.set(PUBLIC, replace(court.channel(), closed_at=EpochMs(1)))

    assert court.report(BOB, ROOM).code == ChannelClosed.code


def test_a_post_is_not_reported_by_its_author() -> None:
    court = Court()

    assert court.report(CAROL, posted(court)).code == OwnTarget.code


def test_a_post_that_was_taken_down_is_not_reported_again() -> None:
    court = Court()
    form = posted(court)
    draft = court.draft()
    targets.mark(draft, form.target, 1)
    court.keep(draft)

    assert court.report(BOB, form).code == AlreadyMarked.code


def test_nobody_reports_without_the_bond() -> None:
    court = Court()
    court.set_rules(report_bond=FUNDS)

    outcome = court.report(BOB, replace(REPORT, most_bond=Amount(FUNDS)))

    assert (outcome.code, cases.count(court.state)) == (InsufficientFunds.code, 0)


def test_open_reports_are_limited() -> None:
    court = Court()
    court.set_rules(max_open_reports=2)

    codes = [court.report(who).code for who in (BOB, BOB, BOB, ALICE)]

    assert codes == [0, 0, TooManyReports.code, 0]


def test_more_are_open_of_who_is_trusted() -> None:
    court = Court()
    court.set_rules(max_open_reports=1)
    draft = court.draft()
    points = REPUTATION.default.trusted_points
    reputation.add(draft, BOB.id, Deed.REPORT_UPHELD, points, court.height)
    court.keep(draft)

    codes = [court.report().code for _ in range(REPUTATION.default.trusted_limit_factor + 1)]

    assert codes == [0, 0, 0, 0, TooManyReports.code]


def test_a_report_counts_no_more_once_there_is_a_verdict() -> None:
    court = Court()
    court.set_rules(max_open_reports=1)
    court.report()
    court.seat()
    court.block(VERDICT_MS)

    assert (cases.waiting(court.state, BOB.id), court.report().code) == (0, 0)


def test_a_replayed_report_is_refused() -> None:
    court = Court()
    raw = court.signed(BOB, report.REPORT, REPORT)
    court.send_raw(raw, BOB)

    assert (court.send_raw(raw, BOB).code, cases.count(court.state)) == (NonceMismatch.code, 1)


def test_what_a_report_may_bond_cannot_be_spent_by_what_waits_behind() -> None:
    form = replace(REPORT, most_bond=Amount(99))

    assert report.REPORT.prepare(report.REPORT.body(form)[1:]).spends == 99


fields = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)
COURT = Court().state
MUCH = {"fee": Amount(9_000), "cost_limit": Cost(9_000)}


@given(st.lists(fields, min_size=4, max_size=6))
def test_arbitrary_fields_are_refused(odd: list[str]) -> None:
    result = run(MACHINE, COURT, signed(BOB, (62, *odd), **MUCH))

    assert result.outcomes[0].code == MalformedBody.code


@given(
    kind=st.sampled_from(Kind),
    name=st.binary(min_size=1, max_size=32),
    number=st.integers(0, 2**64 - 1),
    proved=st.booleans(),
)
def test_arbitrary_targets_are_refused(
    kind: Kind, name: bytes, number: int, *, proved: bool
) -> None:
    form = replace(REPORT, target=Target(kind, name, number), shown=POST.shown if proved else ())

    result = run(MACHINE, COURT, signed(BOB, report.REPORT.body(form), **MUCH))

    assert result.outcomes[0].code in {UnknownTarget.code, UnknownChannel.code}


POST = posted(Court())
