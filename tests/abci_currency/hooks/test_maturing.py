from __future__ import annotations

from abci_currency import keys
from abci_currency.hooks import maturing
from abci_currency.hooks.maturing import MOST_A_BLOCK
from abci_currency.params import DAY_MS
from abci_currency.state import leaving, liability, pools, stake, staking
from abci_currency.state.leaving import RedelegationEnded, UnbondingEnded
from dchat.kernel import due
from dchat.kernel.accounts import account_id, load
from dchat.kernel.family import TxContext
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.currency import (
    STAKE,
    UNBONDING_MS,
    as_,
    begun,
    block_at,
    shared_by,
    time_of,
    with_emission,
)
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN

DUE = time_of(5) + UNBONDING_MS


def crowd(count: int) -> list[AccountId]:
    return [account_id(at.to_bytes(32, "big")) for at in range(count)]


def leave(draft: Draft, owner: AccountId, height: int = 5) -> None:
    """Let somebody's stake of one base unit begin to leave alice's validator."""
    staking.bond(draft, owner, ALICE.id, Amount(1), CAROL.id)
    leaving.unbond(draft, context(owner, height), ALICE.id, 1)


def context(owner: AccountId, height: int) -> TxContext:
    return TxContext(CHAIN, owner, b"", Height(height), time_of(height))


def queued(draft: Draft) -> int:
    return len(list(draft.scan(due.SPACE)))


def test_nothing_is_written_before_something_is_due() -> None:
    base = Draft(begun())
    leave(base, BOB.id)
    draft = base.fork()

    assert maturing.mature(draft, block_at(9, time=DUE - 1)) == ()

    assert draft.writes() == {}


def test_what_is_due_is_paid_and_leaves_no_trace() -> None:
    draft = Draft(begun())
    before = load(draft, BOB.id).balance
    leave(draft, BOB.id)

    told = maturing.mature(draft, block_at(9, time=DUE))

    assert told == (UnbondingEnded(BOB.id, ALICE.id, Amount(1), Amount(0)),)
    assert load(draft, BOB.id).balance == before + 1
    assert (queued(draft), draft.get(keys.unbonding(BOB.id, ALICE.id, 0))) == (0, None)


def test_a_block_ends_a_bounded_number_and_the_next_the_rest() -> None:
    draft = Draft(begun())
    owners = crowd(MOST_A_BLOCK + 1)
    for owner in owners:
        leave(draft, owner)

    first = maturing.mature(draft, block_at(9, time=DUE))
    left = queued(draft)
    second = maturing.mature(draft, block_at(10, time=DUE))

    assert (len(first), left, len(second), queued(draft)) == (MOST_A_BLOCK, 1, 1, 0)
    assert load(draft, pools.UNBONDING).balance == 0


def test_the_soonest_ends_first() -> None:
    draft = Draft(begun())
    leave(draft, BOB.id, height=6)
    leave(draft, CAROL.id, height=5)

    told = maturing.mature(draft, block_at(9, time=DUE + UNBONDING_MS))

    assert [each.delegator for each in told if isinstance(each, UnbondingEnded)] == [
        CAROL.id,
        BOB.id,
    ]


def test_redelegated_shares_are_free_when_they_are_due() -> None:
    draft = Draft(begun())
    staking.bond(draft, CAROL.id, ALICE.id, Amount(4), CAROL.id)
    leaving.redelegate(draft, as_(CAROL, 5), ALICE.id, BOB.id, 4)

    told = maturing.mature(draft, block_at(9, time=DUE))

    assert told == (RedelegationEnded(CAROL.id, BOB.id, ALICE.id, Amount(0)),)
    assert stake.delegation(draft, CAROL.id, BOB.id) == stake.Delegation(4, 0, 0)
    assert draft.get(keys.redelegation(CAROL.id, BOB.id, 0)) is None


def test_an_entry_that_was_taken_away_or_begun_anew_is_not_ended_early() -> None:
    draft = Draft(begun())
    staking.bond(draft, CAROL.id, ALICE.id, Amount(9), CAROL.id)
    leaving.redelegate(draft, as_(CAROL, 5), ALICE.id, BOB.id, 4)
    leaving.unbond(draft, as_(CAROL, 6), BOB.id, 4)
    gone = maturing.mature(draft.fork(), block_at(9, time=DUE))
    leaving.redelegate(draft, as_(CAROL, 7), ALICE.id, BOB.id, 5)

    anew = maturing.mature(draft, block_at(9, time=EpochMs(DUE)))

    assert (gone, anew) == ((), ())
    assert stake.delegation(draft, CAROL.id, BOB.id) == stake.Delegation(5, 0, 5)


def test_emission_that_is_due_goes_to_stake_before_a_slash_is_taken_off() -> None:
    draft = Draft(with_emission(begun()))
    staking.bond(draft, CAROL.id, ALICE.id, STAKE, CAROL.id)
    leaving.redelegate(draft, as_(CAROL, 5), ALICE.id, BOB.id, STAKE)
    slash = liability.Slash(1, Height(5), 5_000, STAKE, Amount(0), time_of(6))
    liability.record(draft, ALICE.id, slash, Height(6))

    maturing.mature(draft, block_at(9, time=DUE + DAY_MS))

    assert shared_by(draft, 3 * STAKE)
