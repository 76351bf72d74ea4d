from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat.machine import MACHINE
from abci_chat.state import identities
from abci_chat.state.guardians import MAX_GUARDIANS, NOBODY, commitment
from abci_chat.state.identities import Deactivated, LogKind, NotRegistered
from abci_chat.txs import guardians
from abci_chat.txs.guardians import (
    BadGuardians,
    CancelGuardians,
    GuardiansAnnounced,
    GuardiansKept,
    NoChangePending,
    SetGuardians,
)
from dchat.kernel.errors import MalformedBody, NonceMismatch
from dchat.kernel.family import Family
from dchat.kernel.ids import AccountId, EpochMs
from tests.fakes.guarded import (
    DAVE,
    ERIN,
    GUARDIAN_MS,
    Chain,
    begun,
    guarded,
    opened,
    panel,
    watched,
)
from tests.fakes.memory import ALICE, BOB, CAROL, Person, run, signed

ORDER = guarded(BOB, CAROL, threshold=2)
FRIENDS = panel(BOB, CAROL, threshold=2)
MANY = tuple(AccountId(bytes([n]) * 32) for n in range(MAX_GUARDIANS + 1))


def announced() -> Chain:
    chain = opened()
    chain.send(ALICE, guardians.SET, ORDER)
    return chain


def test_the_first_guardians_wait_for_the_delay_and_are_logged_at_once() -> None:
    chain = opened()

    outcome = chain.send(ALICE, guardians.SET, ORDER)

    named, due = commitment(ALICE.id, FRIENDS), EpochMs(chain.now + GUARDIAN_MS)
    assert outcome.events == (GuardiansAnnounced(ALICE.id, named, due),)
    assert (chain.guardians().panel, chain.guardians().pending) == (NOBODY, FRIENDS)
    assert chain.log()[1:] == [(LogKind.GUARDIANS_SET, named)]


def test_they_are_in_force_once_it_is_over_though_no_block_said_so() -> None:
    chain = announced()

    chain.now += GUARDIAN_MS

    assert chain.guardians().panel == FRIENDS


def test_others_wait_as_long_and_those_in_force_stay_meanwhile() -> None:
    chain = watched()

    chain.send(ALICE, guardians.SET, guarded(DAVE, threshold=1))

    assert chain.guardians().panel == panel(BOB, CAROL, DAVE, threshold=2)
    chain.now += GUARDIAN_MS
    assert chain.guardians().panel == panel(DAVE, threshold=1)


def test_guardians_are_given_up_after_the_delay_too() -> None:
    chain = watched()

    outcome = chain.send(ALICE, guardians.SET, SetGuardians((), 0))

    chain.now += GUARDIAN_MS - 1
    before = chain.guardians().panel.threshold
    chain.now += 1
    assert (outcome.code, before, chain.guardians().panel) == (0, 2, NOBODY)


def test_a_change_that_waits_is_cancelled_and_the_log_says_who_stays() -> None:
    chain = announced()

    outcome = chain.send(ALICE, guardians.CANCEL, CancelGuardians())

    kept = commitment(ALICE.id, NOBODY)
    assert outcome.events == (GuardiansKept(ALICE.id, kept),)
    assert chain.log()[2:] == [(LogKind.GUARDIANS_SET, kept)]
    chain.now += GUARDIAN_MS
    assert chain.guardians().panel == NOBODY


@pytest.mark.parametrize("chain", [opened(), watched()])
def test_what_does_not_wait_is_not_cancelled(chain: Chain) -> None:
    outcome = chain.send(ALICE, guardians.CANCEL, CancelGuardians())

    assert outcome.code == NoChangePending.code


@pytest.mark.parametrize(
    ("who", "order", "code"),
    [
        (ERIN, ORDER, NotRegistered.code),
        (ALICE, guarded(ALICE, BOB, threshold=1), BadGuardians.code),
        (ALICE, replace(ORDER, threshold=3), BadGuardians.code),
        (ALICE, replace(ORDER, threshold=0), BadGuardians.code),
        (ALICE, SetGuardians((), 1), BadGuardians.code),
        (ALICE, SetGuardians(tuple(reversed(ORDER.members)), 1), BadGuardians.code),
        (ALICE, SetGuardians((BOB.id, BOB.id), 1), BadGuardians.code),
    ],
)
def test_guardians_are_refused_and_nothing_changes(
    who: Person, order: SetGuardians, code: int
) -> None:
    chain = opened()

    outcome = chain.send(who, guardians.SET, order)

    assert (outcome.code, chain.guardians().pending_at, len(chain.log())) == (code, 0, 1)


def test_as_many_as_fifteen_guard_somebody() -> None:
    chain = opened()

    assert chain.send(ALICE, guardians.SET, SetGuardians(MANY[1:], 15)).code == 0


def test_more_than_fifteen_do_not() -> None:
    raw = signed(ALICE, (guardians.SET.type, list(MANY), 1))

    assert run(MACHINE, begun(), raw).outcomes[0].code == MalformedBody.code


@pytest.mark.parametrize(
    ("family", "order"), [(guardians.SET, ORDER), (guardians.CANCEL, CancelGuardians())]
)
def test_an_identity_that_was_given_up_keeps_the_guardians_that_it_has(
    family: Family[object], order: object
) -> None:
    chain = announced()
    draft = chain.draft()
    identities.save(draft, ALICE.id, replace(chain.identity(), deactivated_at=EpochMs(1)))
    chain.keep(draft)

    assert chain.send(ALICE, family, order).code == Deactivated.code


def test_who_has_no_identity_has_nothing_to_cancel() -> None:
    chain = opened()

    assert chain.send(ERIN, guardians.CANCEL, CancelGuardians()).code == NotRegistered.code


def test_a_replayed_order_is_refused() -> None:
    chain = opened()
    raw = chain.signed(ALICE, guardians.SET, ORDER)
    chain.block(raw)

    assert chain.block(raw).outcomes[0].code == NonceMismatch.code


fields = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@given(st.lists(fields, max_size=4).filter(lambda odd: odd != [[], 0]))
def test_arbitrary_fields_are_refused(odd: list[str]) -> None:
    raw = signed(ALICE, (guardians.SET.type, *odd))

    assert run(MACHINE, begun(), raw).outcomes[0].code in {MalformedBody.code, BadGuardians.code}
