from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from abci_currency import keys
from abci_currency.state import audit, leaving, liability, pools, stake, staking, vesting
from abci_currency.state.leaving import StillLiable, TooManyEntries
from abci_currency.state.stake import Redelegation, Unbonding
from abci_currency.state.staking import InsufficientStake
from abci_currency.state.vesting import Vesting
from dchat.kernel import accounts
from dchat.kernel.due import SPACE as QUEUE
from dchat.kernel.due import key as queue_key
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.currency import DAVE, FUNDS, UNBONDING_MS, as_, begun, block_at, time_of
from tests.fakes.memory import ALICE, BOB, CAROL, Person


def delegated(*amounts: tuple[Person, int]) -> Draft:
    """What carol has with validators."""
    draft = Draft(begun((ALICE, BOB, DAVE)))
    for operator, amount in amounts:
        staking.bond(draft, CAROL.id, operator.id, Amount(amount), CAROL.id)
    return draft


def unbond(draft: Draft, operator: Person, shares: int, height: int = 5) -> int:
    return leaving.unbond(draft, as_(CAROL, height), operator.id, shares)


def move(draft: Draft, source: Person, target: Person, shares: int, height: int = 5) -> int:
    return leaving.redelegate(draft, as_(CAROL, height), source.id, target.id, shares)


def unbondings(draft: Draft, operator: Person) -> list[Unbonding]:
    found = [draft.get(keys.unbonding(CAROL.id, operator.id, at)) for at in range(5)]
    return [stake.UNBONDING.decode_own(each) for each in found if each]


def redelegations(draft: Draft, target: Person) -> list[Redelegation]:
    found = [draft.get(keys.redelegation(CAROL.id, target.id, at)) for at in range(5)]
    return [stake.REDELEGATION.decode_own(each) for each in found if each]


def held(draft: Draft, operator: Person) -> tuple[int, int]:
    found = stake.delegation(draft, CAROL.id, operator.id)
    return (found.shares, found.liable_shares) if found else (0, 0)


def due(height: int) -> EpochMs:
    return EpochMs(time_of(height) + UNBONDING_MS)


def test_an_unbonding_is_an_entry_in_a_pool_and_a_place_in_the_queue() -> None:
    draft = delegated((ALICE, 10))

    assert unbond(draft, ALICE, 4, height=5) == 4

    assert unbondings(draft, ALICE) == [Unbonding(Amount(4), Height(5), due(5))]
    assert accounts.load(draft, pools.UNBONDING).balance == 4
    place = queue_key(due(5), keys.unbonding(CAROL.id, ALICE.id, 0))
    assert [key for key, _ in draft.scan(QUEUE)] == [place]


def test_what_leaves_is_counted_for_later_slashes() -> None:
    draft = delegated((ALICE, 10))

    unbond(draft, ALICE, 4, height=5)
    move(draft, ALICE, BOB, 3, height=6)

    assert liability.left_since(draft, ALICE.id, Height(1)) == 7
    assert liability.left_since(draft, BOB.id, Height(1)) == 0


def test_a_redelegation_is_an_entry_and_liable_shares() -> None:
    draft = delegated((ALICE, 10))

    assert move(draft, ALICE, BOB, 4) == 4

    assert redelegations(draft, BOB) == [Redelegation(ALICE.id, 4, Height(5), due(5))]
    assert (held(draft, ALICE), held(draft, BOB)) == ((6, 0), (4, 4))


def test_free_shares_go_first_and_then_the_oldest_redelegation() -> None:
    draft = delegated((ALICE, 10), (BOB, 2), (DAVE, 10))
    move(draft, ALICE, BOB, 4, height=5)
    move(draft, DAVE, BOB, 4, height=4)

    unbond(draft, BOB, 7, height=7)

    assert unbondings(draft, BOB) == [
        Unbonding(Amount(2), Height(7), due(7)),
        Unbonding(Amount(4), Height(7), due(7), DAVE.id, Height(4)),
        Unbonding(Amount(1), Height(7), due(7), ALICE.id, Height(5)),
    ]
    assert redelegations(draft, BOB) == [Redelegation(ALICE.id, 3, Height(5), due(5))]
    assert held(draft, BOB) == (3, 3)


def test_parts_add_up_to_what_the_shares_are_worth() -> None:
    draft = delegated((ALICE, 10), (BOB, 1))
    move(draft, ALICE, BOB, 3)
    record = staking.found(draft, BOB.id)
    slashed = replace(record, tokens=Amount(record.tokens * 3 // 4))
    stake.save_validator(draft, BOB.id, slashed)

    tokens = unbond(draft, BOB, 4)

    assert tokens == 3
    assert sum(each.tokens for each in unbondings(draft, BOB)) == 3


def test_liable_shares_do_not_move_on() -> None:
    draft = delegated((ALICE, 10), (BOB, 2))
    move(draft, ALICE, BOB, 4)

    with pytest.raises(StillLiable) as refusal:
        move(draft, BOB, DAVE, 3)

    assert (refusal.value.have, refusal.value.need) == (2, 3)


@pytest.mark.parametrize("act", [unbond, lambda draft, who, shares: move(draft, who, BOB, shares)])
def test_more_than_there_is_does_not_leave(act: Callable[[Draft, Person, int], int]) -> None:
    draft = delegated((ALICE, 10))

    with pytest.raises(InsufficientStake):
        act(draft, ALICE, 11)


def test_entries_are_bounded() -> None:
    draft = delegated((ALICE, 10))
    for _ in range(3):
        unbond(draft, ALICE, 1)

    with pytest.raises(TooManyEntries) as refusal:
        unbond(draft, ALICE, 1)

    assert refusal.value.limit == 3


def test_stake_from_a_lock_is_locked_again() -> None:
    draft = delegated()
    lock = Vesting(Amount(10), False, EpochMs(0), EpochMs(9), EpochMs(9))
    vesting.begin(draft, [(CAROL.id, lock)])
    vesting.stake(draft, CAROL.id, Amount(6))
    staking.bond(draft, CAROL.id, ALICE.id, Amount(6), pools.VESTING)
    unbond(draft, ALICE, 6)
    (entry,) = unbondings(draft, ALICE)

    leaving.end_unbonding(draft, CAROL.id, ALICE.id, entry, Height(9))

    assert accounts.load(draft, pools.VESTING).balance == 10
    assert accounts.load(draft, CAROL.id).balance == FUNDS


def test_a_redelegation_that_ends_frees_its_shares() -> None:
    draft = delegated((ALICE, 10))
    move(draft, ALICE, BOB, 4)
    (entry,) = redelegations(draft, BOB)

    assert leaving.end_redelegation(draft, CAROL.id, BOB.id, entry, block_at(9)).slashed == 0

    assert held(draft, BOB) == (4, 0)
    audit.check_stakes(draft, audit.read_stakes(draft))


def test_what_a_slash_takes_off_redelegated_shares_has_left_their_target() -> None:
    draft = delegated((ALICE, 10))
    move(draft, ALICE, BOB, 10, height=5)
    (entry,) = redelegations(draft, BOB)
    slash = liability.Slash(1, Height(5), 3_000, Amount(10), Amount(0), time_of(6))
    liability.record(draft, ALICE.id, slash, Height(6))

    assert leaving.end_redelegation(draft, CAROL.id, BOB.id, entry, block_at(9)).slashed == 3

    assert held(draft, BOB) == (7, 0)
    assert liability.left_since(draft, BOB.id, Height(5)) == 3
    assert liability.left_since(draft, ALICE.id, Height(5)) == 10
