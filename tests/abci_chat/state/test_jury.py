"""Jurors: bonds, who is drawn from which roll, leaving and being charged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from abci_chat import keys, params
from abci_chat.state import jury, pools, roll
from abci_chat.state.jury import Juror, JurorCharged, JurorLeaving, JurorLeft, NotJuror
from dchat.kernel import accounts, due, supply
from dchat.kernel.errors import InsufficientFunds, InvariantBroken
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, START, MemoryState, give

FUNDS = 1_000_000
BOND = Amount(100_000)
SEED = b"s" * 32
LATER = EpochMs(START + params.Moderation().unbonding_ms)
ONE, TWO, THREE = Height(1), Height(2), Height(3)


def begun(*people: AccountId) -> Draft:
    """Return a state on which these people, or three, have funds and are jurors."""
    draft = Draft(MemoryState())
    for who in people or (ALICE.id, BOB.id, CAROL.id):
        give(draft, who, FUNDS)
        jury.bond(draft, who, BOND, ONE)
    return draft


def at(now: int, height: int = 9) -> BlockContext:
    return BlockContext(CHAIN, Height(height), EpochMs(now))


def end(draft: Draft, who: AccountId, now: int) -> tuple[object, ...]:
    """End what is due of a juror, as the block of that time does."""
    entry = due.Due(b"", EpochMs(now), keys.juror(who))
    return jury.end(draft, entry.entry, entry, at(now))


def bond_of(draft: Draft, who: AccountId) -> Juror | None:
    return jury.load(draft, who)


def held(draft: Draft, who: AccountId) -> int:
    return accounts.load(draft, who).balance


def asked() -> Draft:
    """Return a state in which a case of height 1 waits for its jury."""
    draft = begun()
    jury.ask(draft)
    return draft


def test_a_bond_lies_in_the_pool_and_weighs_on_the_roll() -> None:
    draft = begun()

    assert bond_of(draft, ALICE.id) == Juror(BOND)
    assert (held(draft, ALICE.id), held(draft, pools.JUROR_BONDS)) == (FUNDS - BOND, 3 * BOND)
    assert roll.weight_of(draft, ALICE.id) == BOND


def test_more_can_be_bonded() -> None:
    draft = begun()

    record = jury.bond(draft, ALICE.id, Amount(5), TWO)

    assert (record, roll.weight_of(draft, ALICE.id)) == (Juror(Amount(BOND + 5)), BOND + 5)
    jury.check_invariant(draft)


def test_nobody_bonds_what_is_not_there() -> None:
    with pytest.raises(InsufficientFunds):
        jury.bond(begun(), ALICE.id, Amount(FUNDS), TWO)


def test_a_juror_who_leaves_is_drawn_no_more_and_has_the_bond_back_later() -> None:
    draft = begun()

    leaves_at = jury.leave(draft, ALICE.id, TWO, START)

    assert (leaves_at, roll.weight_of(draft, ALICE.id)) == (LATER, 0)
    assert [each.entry for each in due.pending(draft, LATER)] == [keys.juror(ALICE.id)]
    assert end(draft, ALICE.id, LATER) == (JurorLeft(ALICE.id, BOND),)
    assert (bond_of(draft, ALICE.id), held(draft, ALICE.id)) == (None, FUNDS)
    jury.check_invariant(draft)


@pytest.mark.parametrize(
    "again",
    [
        lambda draft: jury.leave(draft, ALICE.id, TWO, START),
        lambda draft: jury.bond(draft, ALICE.id, Amount(1), TWO),
    ],
)
def test_who_leaves_neither_leaves_again_nor_bonds_more(again: Callable[[Draft], object]) -> None:
    draft = begun()
    jury.leave(draft, ALICE.id, TWO, START)

    with pytest.raises(JurorLeaving):
        again(draft)


def test_who_is_no_juror_cannot_leave() -> None:
    with pytest.raises(NotJuror):
        jury.leave(begun(BOB.id), ALICE.id, TWO, START)


def test_a_bond_is_not_returned_early() -> None:
    draft = begun()
    jury.leave(draft, ALICE.id, TWO, START)

    assert end(draft, ALICE.id, LATER - 1) == ()
    assert bond_of(draft, ALICE.id) == Juror(BOND, 0, LATER)


def test_a_bond_stays_while_a_verdict_is_owed_and_returns_with_it() -> None:
    draft = asked()
    jury.draw(draft, SEED, ONE, ())
    jury.leave(draft, ALICE.id, TWO, START)

    early = end(draft, ALICE.id, LATER)
    told = jury.release(draft, ALICE.id, EpochMs(LATER + 1))

    assert (early, told) == ((), (JurorLeft(ALICE.id, BOND),))
    assert (bond_of(draft, ALICE.id), held(draft, ALICE.id)) == (None, FUNDS)


def test_a_juror_who_is_let_go_and_stays_keeps_the_bond_where_it_is() -> None:
    draft = asked()
    jury.draw(draft, SEED, ONE, ())

    assert jury.release(draft, ALICE.id, START) == ()
    assert bond_of(draft, ALICE.id) == Juror(BOND)


def test_everybody_drawn_owes_one_verdict_more() -> None:
    draft = asked()
    jury.ask(draft)

    first = jury.draw(draft, SEED, ONE, (ALICE.id,))
    jury.draw(draft, SEED, ONE, ())

    assert sorted(first) == sorted((BOB.id, CAROL.id))
    owed = [(bond_of(draft, who.id) or Juror(BOND)).cases for who in (ALICE, BOB, CAROL)]
    assert owed == [1, 2, 2]


def test_a_jury_has_the_size_that_the_parameters_say() -> None:
    draft = asked()
    params.MODERATION.save(draft, replace(params.MODERATION.default, jury_size=2))

    assert len(jury.draw(draft, SEED, ONE, ())) == 2


def test_who_joins_while_a_draw_is_pending_is_not_in_it() -> None:
    draft = asked()
    give(draft, AccountId(b"d" * 32), FUNDS)
    jury.bond(draft, AccountId(b"d" * 32), Amount(FUNDS), TWO)

    drawn = jury.draw(draft, SEED, ONE, ())

    assert AccountId(b"d" * 32) not in drawn
    jury.check_invariant(draft)


def test_no_change_while_a_draw_is_pending_changes_who_is_drawn() -> None:
    """Else the last proposer, who knows the seed, tries changes until the jury suits it."""
    people = tuple(AccountId(sha256(b"%d" % number).digest()) for number in range(40))
    quiet, busy = begun(*people), begun(*people)
    jury.ask(quiet)
    jury.ask(busy)
    jury.bond(busy, people[3], Amount(777), TWO)
    jury.leave(busy, people[5], TWO, START)
    jury.charge(busy, people[7], TWO)

    assert jury.draw(busy, SEED, ONE, ()) == jury.draw(quiet, SEED, ONE, ())


def test_a_change_of_the_block_that_opened_the_case_counts_and_a_later_one_does_not() -> None:
    draft = asked()
    jury.bond(draft, ALICE.id, Amount(1), TWO)
    jury.bond(draft, ALICE.id, Amount(1), THREE)
    jury.ask(draft)

    jury.draw(draft, SEED, TWO, ())

    assert roll.weight_of(draft, ALICE.id) == BOND + 1


def test_what_waited_for_a_draw_is_done_by_the_next_changes() -> None:
    draft = asked()
    jury.bond(draft, ALICE.id, Amount(1), TWO)
    jury.leave(draft, BOB.id, TWO, START)
    jury.draw(draft, SEED, ONE, ())

    jury.bond(draft, CAROL.id, Amount(1), THREE)

    assert [weight for _, weight in sorted(roll.members(draft))] == [
        weight for _, weight in sorted([(ALICE.id, BOND + 1), (CAROL.id, BOND + 1)])
    ]


def test_a_draw_carries_out_a_bounded_number_of_changes() -> None:
    draft = asked()
    bond_often(draft, jury.CHANGES_A_DRAW + 1)

    jury.draw(draft, SEED, TWO, ())

    assert roll.weight_of(draft, ALICE.id) == BOND + jury.CHANGES_A_DRAW
    jury.check_invariant(draft)


def test_a_draw_alone_carries_out_more_than_each_of_many() -> None:
    """So nobody keeps a crowd of changes out of the roll by a draw after the other."""
    alone, crowd = asked(), asked()
    [jury.ask(crowd) for _ in range(63)]
    bond_often(alone, 100)
    bond_often(crowd, 100)

    jury.draw(alone, SEED, TWO, ())
    jury.draw(crowd, SEED, TWO, ())

    weights = roll.weight_of(alone, ALICE.id), roll.weight_of(crowd, ALICE.id)
    assert weights == (BOND + 100, BOND + 8)


def bond_often(draft: Draft, times: int) -> None:
    for _ in range(times):
        jury.bond(draft, ALICE.id, Amount(1), TWO)


def test_who_left_and_was_paid_out_before_the_draw_is_not_on_the_jury() -> None:
    draft = asked()
    jury.leave(draft, ALICE.id, TWO, START)
    end(draft, ALICE.id, LATER)

    assert sorted(jury.draw(draft, SEED, ONE, ())) == sorted((BOB.id, CAROL.id))
    jury.check_invariant(draft)


@pytest.mark.parametrize(("share", "lost"), [(500, 5_000), (0, 0), (1, 10)])
def test_who_gives_no_verdict_loses_a_share_of_the_bond(share: int, lost: int) -> None:
    draft = begun()
    params.MODERATION.save(draft, replace(params.MODERATION.default, absence_bp=share))

    told = jury.charge(draft, ALICE.id, TWO)

    assert [each.lost for each in told if isinstance(each, JurorCharged)] == [lost] * bool(lost)
    assert roll.weight_of(draft, ALICE.id) == BOND - lost
    assert supply.load(draft).burned == lost
    jury.check_invariant(draft)


def test_a_share_is_rounded_up_and_a_bond_can_come_to_nothing() -> None:
    draft = Draft(MemoryState())
    give(draft, ALICE.id, 1)
    jury.bond(draft, ALICE.id, Amount(1), ONE)

    jury.charge(draft, ALICE.id, TWO)

    assert (bond_of(draft, ALICE.id), roll.load(draft).size) == (Juror(Amount(0)), 0)
    jury.check_invariant(draft)


def test_who_left_is_charged_and_stays_off_the_roll() -> None:
    draft = begun()
    jury.leave(draft, ALICE.id, TWO, START)

    jury.charge(draft, ALICE.id, TWO)

    assert roll.weight_of(draft, ALICE.id) == 0
    jury.check_invariant(draft)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda draft: roll.set_weight(draft, ALICE.id, Amount(1)),
        lambda draft: accounts.credit(draft, pools.JUROR_BONDS, Amount(1)),
    ],
)
def test_a_roll_or_pool_that_is_not_the_bonds_is_found(spoil: Callable[[Draft], None]) -> None:
    draft = begun()
    spoil(draft)

    with pytest.raises(InvariantBroken):
        jury.check_invariant(draft)


PEOPLE = tuple(AccountId(bytes([number]) * 32) for number in range(24))
people = st.sampled_from(PEOPLE)


class Jurors(RuleBasedStateMachine):
    """Whatever jurors do and whoever is drawn, roll, records and pool agree."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = Draft(MemoryState())
        self.now, self.height, self.waiting = START, ONE, list[Height]()
        self.owed: list[AccountId] = []
        for who in PEOPLE:
            give(self.draft, who, FUNDS)

    @rule(who=people, amount=st.integers(1, 1_000))
    def bond(self, who: AccountId, amount: int) -> None:
        record = bond_of(self.draft, who)
        if record is None or not record.leaves_at:
            jury.bond(self.draft, who, Amount(amount), self.height)

    @rule(who=people)
    def leave(self, who: AccountId) -> None:
        record = bond_of(self.draft, who)
        if record and not record.leaves_at:
            jury.leave(self.draft, who, self.height, self.now)

    @rule()
    def ask(self) -> None:
        jury.ask(self.draft)
        self.waiting.append(self.height)

    @precondition(lambda self: self.waiting)
    @rule(seed=st.binary(min_size=32, max_size=32), barred=st.lists(people, max_size=2))
    def draw(self, seed: bytes, barred: list[AccountId]) -> None:
        drawn = jury.draw(self.draft, seed, self.waiting.pop(0), tuple(barred))
        assert not set(drawn) & set(barred)
        assert len(drawn) == len(set(drawn))
        self.owed += drawn

    @precondition(lambda self: self.owed)
    @rule(absent=st.booleans())
    def judge(self, *, absent: bool) -> None:
        who = self.owed.pop(0)
        if absent:
            jury.charge(self.draft, who, self.height)
        jury.release(self.draft, who, self.now)

    @rule(span=st.integers(1, params.Moderation().unbonding_ms))
    def go_on(self, span: int) -> None:
        self.now, self.height = EpochMs(self.now + span), Height(self.height + 1)
        for each in list(due.pending(self.draft, self.now)):
            self.draft.delete(each.place)
            jury.end(self.draft, each.entry, each, at(self.now, self.height))

    @invariant()
    def everything_agrees(self) -> None:
        jury.check_invariant(self.draft)
        supply.check_invariant(self.draft)

    @invariant()
    def who_owes_a_verdict_has_a_bond(self) -> None:
        owing = {who: self.owed.count(who) for who in self.owed}
        records = {who: bond_of(self.draft, who) for who in PEOPLE}
        assert {w: r.cases for w, r in records.items() if r and r.cases} == owing


TestJurors = Jurors.TestCase
TestJurors.settings = settings(max_examples=settings().max_examples // 2)
