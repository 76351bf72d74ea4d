from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat.machine import MACHINE
from abci_chat.state import roll
from abci_chat.state.jury import Juror, JurorLeaving, NotJuror
from abci_chat.txs import juror
from abci_chat.txs.juror import JoinJury, JurorBonded, JurorBondTooSmall, JurorLeaves, LeaveJury
from dchat.kernel.errors import InsufficientFunds, MalformedBody, NonceMismatch, ZeroAmount
from dchat.kernel.family import Family
from dchat.kernel.ids import Amount, EpochMs
from tests.fakes.court import BOND, FEE, FUNDS, JURORS, UNBONDING_MS, Court
from tests.fakes.memory import BOB, run, signed

JOIN = JoinJury(BOND)


def joined() -> Court:
    court = Court(jurors=0)
    court.send(BOB, juror.JOIN, JOIN)
    return court


def test_a_juror_bonds_credits_for_a_place_on_the_roll() -> None:
    court = Court(jurors=0)

    outcome = court.send(BOB, juror.JOIN, JOIN)

    assert outcome.events == (JurorBonded(BOB.id, BOND),)
    assert (court.held(BOB.id), court.pools()) == (FUNDS - FEE - BOND, (0, BOND))
    assert roll.weight_of(court.state, BOB.id) == BOND
    court.audit()


def test_a_juror_adds_to_the_bond_as_little_as_one_credit() -> None:
    court = joined()

    outcome = court.send(BOB, juror.JOIN, JoinJury(Amount(1)))

    assert outcome.events == (JurorBonded(BOB.id, Amount(BOND + 1)),)


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (0, ZeroAmount.code),
        (BOND - 1, JurorBondTooSmall.code),
        (FUNDS, InsufficientFunds.code),
    ],
)
def test_a_bond_that_is_too_small_or_not_there_is_refused(amount: int, code: int) -> None:
    court = Court(jurors=0)

    outcome = court.send(BOB, juror.JOIN, JoinJury(Amount(amount)))

    assert (outcome.code, court.juror(BOB), court.pools()) == (code, None, (0, 0))
    assert court.held(BOB.id) == FUNDS - FEE


def test_a_juror_leaves_and_has_the_bond_back_after_the_delay() -> None:
    court = joined()

    outcome = court.send(BOB, juror.LEAVE, LeaveJury())

    leaves_at = EpochMs(court.now + UNBONDING_MS)
    assert outcome.events == (JurorLeaves(BOB.id, leaves_at),)
    assert court.juror(BOB) == Juror(BOND, 0, leaves_at)
    court.block(UNBONDING_MS - 1)
    assert court.pools() == (0, BOND)
    court.block(1)
    assert (court.juror(BOB), court.held(BOB.id)) == (None, FUNDS - 2 * FEE)
    court.audit()


def test_who_is_no_juror_does_not_leave() -> None:
    assert Court().send(BOB, juror.LEAVE, LeaveJury()).code == NotJuror.code


@pytest.mark.parametrize(("family", "order"), [(juror.JOIN, JOIN), (juror.LEAVE, LeaveJury())])
def test_who_leaves_waits_until_the_bond_is_back(family: Family[object], order: object) -> None:
    court = joined()
    court.send(BOB, juror.LEAVE, LeaveJury())
    before = court.juror(BOB)

    outcome = court.send(BOB, family, order)

    assert (outcome.code, court.juror(BOB)) == (JurorLeaving.code, before)


def test_who_left_can_join_again() -> None:
    court = joined()
    court.send(BOB, juror.LEAVE, LeaveJury())
    court.block(UNBONDING_MS)

    assert court.send(BOB, juror.JOIN, JOIN).code == 0
    court.audit()


def test_a_vote_for_a_shorter_delay_frees_nobody_who_left_before() -> None:
    court = joined()
    court.send(BOB, juror.LEAVE, LeaveJury())
    court.set_rules(unbonding_ms=1000)

    court.block(UNBONDING_MS - 1)

    assert court.pools() == (0, BOND)


def test_a_replayed_bond_is_refused() -> None:
    court = Court(jurors=0)
    raw = court.signed(BOB, juror.JOIN, JOIN)
    court.send_raw(raw, BOB)

    assert (court.send_raw(raw, BOB).code, court.pools()) == (NonceMismatch.code, (0, BOND))


def test_a_bond_cannot_be_spent_by_what_waits_behind() -> None:
    assert juror.JOIN.prepare(juror.JOIN.body(JOIN)[1:]).spends == BOND


fields = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)
COURT = Court(jurors=0).state


@given(st.sampled_from(juror.FAMILIES), st.lists(fields, max_size=3))
def test_arbitrary_fields_are_refused(family: Family[object], odd: list[str]) -> None:
    result = run(MACHINE, COURT, signed(JURORS[0], (family.type, *odd)))

    allowed = {MalformedBody.code, ZeroAmount.code, NotJuror.code}
    assert result.outcomes[0].code in allowed | {JurorBondTooSmall.code, InsufficientFunds.code, 0}
