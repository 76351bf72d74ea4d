from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from abci_currency.state import pools, vesting
from abci_currency.state.vesting import (
    NothingLocked,
    NothingVested,
    TooLittleLocked,
    Vesting,
    begin,
    check_invariant,
    claim,
    fault_of,
    returned,
    stake,
)
from dchat.kernel import accounts, holdings, supply
from dchat.kernel.errors import AmountTooLarge, InvariantBroken
from dchat.kernel.ids import Amount, EpochMs
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, MemoryState

MOST = 2**64 - 1


def lock(  # one lock with everything that can differ
    original: int = 1000, *, linear: bool = True, at: tuple[int, int, int] = (1000, 1250, 2000)
) -> Vesting:
    begins, cliff, ends = (EpochMs(each) for each in at)
    return Vesting(Amount(original), linear, begins, cliff, ends)


AT_ONCE = lock(linear=False, at=(1000, 2000, 2000))


def start(held: Vesting | None = None) -> Draft:
    draft = Draft(MemoryState())
    begin(draft, [(ALICE.id, held or lock())])
    return draft


def of(draft: Draft) -> Vesting:
    found = vesting.vesting(draft, ALICE.id)
    assert found is not None
    return found


def balance(draft: Draft, account: accounts.AccountId = ALICE.id) -> int:
    return accounts.load(draft, account).balance


def delegate(draft: Draft, amount: int) -> None:
    """What delegate_vested does, with a validator that is none."""
    stake(draft, ALICE.id, Amount(amount))
    holdings.move(draft, pools.VESTING, pools.STAKED, Amount(amount))


def come_back(draft: Draft, amount: int) -> int:
    """What staking does with an unbonding that is due; return what becomes a balance."""
    holdings.move(draft, pools.STAKED, pools.UNBONDING, Amount(amount))
    own = returned(draft, ALICE.id, Amount(amount))
    holdings.move(draft, pools.UNBONDING, ALICE.id, own)
    return own


def slash(draft: Draft, amount: int) -> None:
    accounts.debit(draft, pools.STAKED, Amount(amount))
    supply.burn(draft, Amount(amount))


@pytest.mark.parametrize(
    ("held", "at", "vested"),
    [
        (lock(), 0, 0),
        (lock(), 1249, 0),
        (lock(), 1250, 250),
        (lock(), 1251, 251),
        (lock(), 1999, 999),
        (lock(), 2000, 1000),
        (lock(), MOST, 1000),
        (lock(3), 1999, 2),
        (lock(MOST), 1500, MOST // 2),
        (AT_ONCE, 1999, 0),
        (AT_ONCE, 2000, 1000),
        (AT_ONCE, MOST, 1000),
        (lock(at=(0, 0, MOST)), MOST - 1, 999),
        (lock(at=(5, 5, 5)), 4, 0),
        (lock(at=(5, 5, 5)), 5, 1000),
        (lock(at=(5, 9, 9)), 8, 0),
        (lock(at=(5, 9, 9)), 9, 1000),
    ],
)
def test_so_much_has_vested(held: Vesting, at: int, vested: int) -> None:
    assert held.vested(EpochMs(at)) == vested


times = st.integers(0, 3000)
terms = st.tuples(times, times, times).map(lambda each: tuple(sorted(each)))


@given(st.integers(1, MOST), st.booleans(), terms, times, times)
def test_vesting_never_goes_back_nor_beyond_the_lock(
    original: int, linear: bool, at: tuple[int, int, int], one: int, other: int
) -> None:
    at = at if linear else (at[0], at[2], at[2])
    held = lock(original, linear=linear, at=at)
    earlier, later = sorted((one, other))

    assert fault_of(held) == ""
    assert 0 <= held.vested(EpochMs(earlier)) <= held.vested(EpochMs(later)) <= original
    assert held.vested(held.ends_at) == original


def test_what_genesis_locks_is_issued_into_the_pool() -> None:
    draft = Draft(MemoryState())

    begin(draft, [(ALICE.id, lock(7)), (BOB.id, AT_ONCE)])

    assert (balance(draft, pools.VESTING), supply.load(draft).issued) == (1007, 1007)
    assert dict(vesting.vestings(draft)) == {ALICE.id: lock(7), BOB.id: AT_ONCE}
    check_invariant(draft)
    supply.check_invariant(draft)


def test_a_chain_without_locks_writes_nothing() -> None:
    draft = Draft(MemoryState())

    begin(draft, [])

    assert draft.writes() == {}


@pytest.mark.parametrize(
    "held",
    [
        lock(0),
        lock(at=(1000, 999, 2000)),
        lock(at=(1000, 2001, 2000)),
        lock(at=(2001, 2001, 2000)),
        lock(linear=False),
        replace(lock(), claimed=Amount(1)),
        replace(lock(), staked=Amount(1)),
    ],
)
def test_a_lock_that_makes_no_sense_is_refused(held: Vesting) -> None:
    assert fault_of(held) != ""
    with pytest.raises(InvariantBroken):
        start(held)


def test_two_locks_of_one_account_are_refused() -> None:
    with pytest.raises(InvariantBroken, match="two locks"):
        begin(Draft(MemoryState()), [(ALICE.id, lock()), (ALICE.id, lock())])


def test_locks_beyond_64_bits_are_refused() -> None:
    with pytest.raises(AmountTooLarge):
        begin(Draft(MemoryState()), [(ALICE.id, lock(MOST)), (BOB.id, lock(1))])


def test_what_has_vested_is_paid_once() -> None:
    draft = start()

    paid = [claim(draft, ALICE.id, EpochMs(at)) for at in (1500, 1750, 2000)]

    assert (paid, balance(draft)) == ([500, 250, 250], 1000)
    assert (of(draft).claimed, of(draft).held) == (1000, 0)


@pytest.mark.parametrize("at", [0, 1249])
def test_before_the_cliff_there_is_nothing_to_claim(at: int) -> None:
    with pytest.raises(NothingVested):
        claim(start(), ALICE.id, EpochMs(at))


def test_a_second_claim_at_the_same_time_is_refused() -> None:
    draft = start()
    claim(draft, ALICE.id, EpochMs(1500))

    with pytest.raises(NothingVested):
        claim(draft, ALICE.id, EpochMs(1500))


def test_where_time_went_back_nothing_is_paid() -> None:
    """Block time never does; were it to, a negative amount would mint."""
    draft = start()
    claim(draft, ALICE.id, EpochMs(1500))

    with pytest.raises(NothingVested):
        claim(draft, ALICE.id, EpochMs(1300))


def test_whoever_has_no_lock_claims_and_stakes_nothing() -> None:
    with pytest.raises(NothingLocked):
        claim(start(), BOB.id, EpochMs(2000))
    with pytest.raises(NothingLocked):
        stake(start(), BOB.id, Amount(1))


def test_what_has_not_vested_may_be_staked() -> None:
    draft = start()

    delegate(draft, 1000)

    assert (of(draft).staked, of(draft).held) == (1000, 0)
    check_invariant(draft)


def test_more_than_the_lock_holds_is_not_staked() -> None:
    draft = start()
    claim(draft, ALICE.id, EpochMs(1500))
    delegate(draft, 300)

    with pytest.raises(TooLittleLocked) as refusal:
        stake(draft, ALICE.id, Amount(201))

    assert (refusal.value.have, refusal.value.need) == (200, 201)


def test_what_is_staked_cannot_be_claimed_although_it_vested() -> None:
    draft = start()
    delegate(draft, 900)

    paid = claim(draft, ALICE.id, EpochMs(2000))

    assert (paid, of(draft).held) == (100, 0)
    with pytest.raises(NothingVested):
        claim(draft, ALICE.id, EpochMs(2000))


def test_undelegating_unlocks_nothing() -> None:
    draft = start()
    delegate(draft, 1000)

    own = come_back(draft, 1000)

    assert (own, balance(draft), of(draft)) == (0, 0, lock())
    with pytest.raises(NothingVested):
        claim(draft, ALICE.id, EpochMs(1249))


def test_stake_of_ones_own_comes_back_behind_what_is_locked() -> None:
    draft = start()
    delegate(draft, 600)
    accounts.credit(draft, pools.STAKED, Amount(400))

    own = [come_back(draft, amount) for amount in (400, 300, 300)]

    assert (own, balance(draft)) == ([0, 100, 300], 400)
    assert of(draft) == lock()


def test_whoever_has_no_lock_gets_back_all() -> None:
    draft = start()

    assert returned(draft, BOB.id, Amount(77)) == 77
    assert vesting.vesting(draft, BOB.id) is None


def test_what_a_slash_took_is_not_counted_back() -> None:
    """In Cosmos SDK such accounting went below zero, and the chain halted or the lock was lost."""
    draft = start()
    delegate(draft, 1000)
    slash(draft, 50)

    own = come_back(draft, 950)

    assert own == 0
    assert (of(draft).staked, of(draft).held) == (50, 950)
    assert claim(draft, ALICE.id, EpochMs(2000)) == 950
    check_invariant(draft)


def test_a_slash_of_all_leaves_nothing_to_claim_and_no_error() -> None:
    draft = start()
    delegate(draft, 1000)
    slash(draft, 1000)

    assert come_back(draft, 0) == 0
    with pytest.raises(NothingVested):
        claim(draft, ALICE.id, EpochMs(2000))


def test_the_gap_of_a_slash_is_filled_once_and_can_be_claimed() -> None:
    draft = start()
    delegate(draft, 1000)
    slash(draft, 50)
    come_back(draft, 950)
    accounts.credit(draft, pools.STAKED, Amount(200))

    own = [come_back(draft, amount) for amount in (30, 100, 70)]

    assert own == [0, 80, 70]
    assert claim(draft, ALICE.id, EpochMs(2000)) == 1000


def test_gifts_neither_unlock_nor_lock() -> None:
    """In Cosmos SDK a gift to a vesting account could be locked as well, or lengthen the lock."""
    draft = start()
    delegate(draft, 400)
    accounts.credit(draft, ALICE.id, Amount(10**6))
    accounts.credit(draft, CAROL.id, Amount(10**6))
    holdings.move(draft, CAROL.id, ALICE.id, Amount(10**6))

    assert of(draft) == replace(lock(), staked=Amount(400))
    assert claim(draft, ALICE.id, EpochMs(1500)) == 500
    assert balance(draft) == 2 * 10**6 + 500


def test_an_audit_finds_a_pool_that_does_not_hold_what_is_locked() -> None:
    draft = start()
    holdings.move(draft, pools.VESTING, BOB.id, Amount(1))

    with pytest.raises(InvariantBroken):
        check_invariant(draft)


class Locked(RuleBasedStateMachine):
    """One lock among claims, stake, slashes and stake that comes back, own and locked."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = start()
        self.now = 900
        self.own_stake = 0
        self.claimed = 0

    @rule(later=st.integers(0, 300))
    def time_passes(self, later: int) -> None:
        before = of(self.draft).vested(EpochMs(self.now))
        self.now += later
        assert of(self.draft).vested(EpochMs(self.now)) >= before

    @rule()
    def claim(self) -> None:
        due = of(self.draft).claimable(EpochMs(self.now))
        if due:
            self.claimed += claim(self.draft, ALICE.id, EpochMs(self.now))

    @rule(amount=st.integers(1, 600))
    def stake_locked(self, amount: int) -> None:
        if amount <= of(self.draft).held:
            delegate(self.draft, amount)

    @rule(amount=st.integers(1, 600))
    def stake_own(self, amount: int) -> None:
        if amount <= balance(self.draft):
            holdings.move(self.draft, ALICE.id, pools.STAKED, Amount(amount))

    @rule(amount=st.integers(0, 600))
    def undelegate(self, amount: int) -> None:
        amount = min(amount, balance(self.draft, pools.STAKED))
        before = balance(self.draft)
        assert come_back(self.draft, amount) == balance(self.draft) - before

    @rule(amount=st.integers(0, 100))
    def slash(self, amount: int) -> None:
        slash(self.draft, min(amount, balance(self.draft, pools.STAKED)))

    @invariant()
    def the_lock_adds_up(self) -> None:
        held = of(self.draft)
        assert held.claimed + held.held + held.staked == held.original == 1000
        assert min(held.claimed, held.held, held.staked) >= 0
        check_invariant(self.draft)
        supply.check_invariant(self.draft)

    @invariant()
    def no_more_than_has_vested_was_claimed(self) -> None:
        assert of(self.draft).claimed == self.claimed <= of(self.draft).vested(EpochMs(self.now))

    @invariant()
    def nothing_that_is_locked_got_out(self) -> None:
        free = balance(self.draft)
        staked = balance(self.draft, pools.STAKED)
        burned = supply.load(self.draft).burned
        assert free + staked + of(self.draft).held + burned == 1000
        assert free <= self.claimed


TestLocked = Locked.TestCase
TestLocked.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
