from __future__ import annotations

from dataclasses import replace

import pytest

from abci_currency import keys
from abci_currency.state import pools, rewards, stake, staking
from abci_currency.state.staking import (
    AlreadyValidator,
    ConsensusKeyTaken,
    InsufficientStake,
    UnknownValidator,
)
from dchat.kernel import accounts
from dchat.kernel.amounts import UNIT
from dchat.kernel.codec import MAX_U128
from dchat.kernel.errors import AmountTooLarge, InsufficientFunds
from dchat.kernel.ids import Amount, EpochMs
from dchat.kernel.store import Draft
from tests.fakes.currency import FUNDS, STAKE, begun, voter
from tests.fakes.memory import ALICE, BOB, CAROL

TERMS = (stake.Commission(0, 0, 0, EpochMs(0)), Amount(1))


def draft() -> Draft:
    return Draft(begun())


def powers(state: Draft) -> list[bytes]:
    return [key for key, _ in state.scan(keys.POWERS)]


def changed(state: Draft, **changes: object) -> None:
    before = staking.found(state, ALICE.id)
    staking.replace_validator(state, ALICE.id, before, replace(before, **changes))


def test_bonding_moves_tokens_into_the_pool_and_gives_shares() -> None:
    state = draft()

    shares = staking.bond(state, CAROL.id, ALICE.id, Amount(7), CAROL.id)

    assert (shares, stake.delegation(state, CAROL.id, ALICE.id)) == (7, stake.Delegation(7, 0, 0))
    assert accounts.load(state, CAROL.id).balance == FUNDS - 7
    assert accounts.load(state, pools.STAKED).balance == 2 * STAKE + 7
    assert staking.found(state, ALICE.id).tokens == STAKE + 7


def test_bonding_again_adds_shares() -> None:
    state = draft()
    staking.bond(state, CAROL.id, ALICE.id, Amount(7), CAROL.id)
    staking.bond(state, CAROL.id, ALICE.id, Amount(5), CAROL.id)

    assert stake.delegation(state, CAROL.id, ALICE.id) == stake.Delegation(12, 0, 0)


def test_more_than_there_is_is_not_bonded() -> None:
    with pytest.raises(InsufficientFunds):
        staking.bond(draft(), CAROL.id, ALICE.id, Amount(FUNDS + 1), CAROL.id)


def test_shares_beyond_128_bits_are_refused() -> None:
    state = draft()
    changed(state, tokens=Amount(1), shares=MAX_U128)

    with pytest.raises(AmountTooLarge):
        staking.bond(state, CAROL.id, ALICE.id, Amount(1), CAROL.id)


def test_taken_shares_leave_tokens_in_the_pool() -> None:
    state = draft()
    staking.bond(state, CAROL.id, ALICE.id, Amount(7), CAROL.id)

    tokens = staking.take_shares(state, CAROL.id, ALICE.id, 5)

    assert (tokens, staking.found(state, ALICE.id).tokens) == (5, STAKE + 2)
    assert accounts.load(state, pools.STAKED).balance == 2 * STAKE + 7


def test_nobody_takes_more_shares_than_it_has() -> None:
    state = draft()
    staking.bond(state, CAROL.id, ALICE.id, Amount(7), CAROL.id)

    with pytest.raises(InsufficientStake):
        staking.take_shares(state, CAROL.id, ALICE.id, 8)


def test_rewards_are_paid_before_shares_change() -> None:
    state = draft()
    rewards.share_out(state, Amount(2_000_000))

    staking.take_shares(state, ALICE.id, ALICE.id, STAKE)

    assert accounts.load(state, ALICE.id).balance == FUNDS - STAKE + 900_000


def test_stake_that_comes_later_has_no_part_in_earlier_rewards() -> None:
    state = draft()
    rewards.share_out(state, Amount(2_000_000))
    staking.bond(state, CAROL.id, ALICE.id, STAKE, CAROL.id)

    assert rewards.claim(state, CAROL.id, ALICE.id) == 0


def test_the_index_of_power_follows_tokens_and_key() -> None:
    state = draft()
    key = voter(ALICE, 1).public_key

    changed(state, tokens=Amount(STAKE + UNIT), consensus_key=key)

    place = keys.power(STAKE + UNIT, ALICE.id)
    assert powers(state) == [place, keys.power(STAKE, BOB.id)]
    assert state.get(place) == stake.CONSENSUS_KEY.encode(key)


@pytest.mark.parametrize("changes", [{"jailed": True}, {"tokens": Amount(UNIT - 1)}])
def test_who_may_not_vote_has_no_place_in_the_index(changes: dict[str, object]) -> None:
    state = draft()

    changed(state, **changes)

    assert powers(state) == [keys.power(STAKE, BOB.id)]


def test_who_is_freed_has_its_place_back() -> None:
    state = draft()
    before = powers(state)

    changed(state, jailed=True)
    changed(state, jailed=False)

    assert powers(state) == before


@pytest.mark.parametrize(
    ("changes", "active"),
    [
        ({"tokens": Amount(STAKE + 5)}, 2 * STAKE + 5),
        ({"active": False}, STAKE),
        ({"active": False, "tokens": Amount(5)}, STAKE),
        ({"moniker": "other"}, 2 * STAKE),
    ],
)
def test_the_sum_of_active_stake_follows(changes: dict[str, object], active: int) -> None:
    state = draft()

    changed(state, **changes)

    assert rewards.totals(state).active_tokens == active


def test_what_was_earned_is_settled_at_the_old_commission() -> None:
    state = draft()
    rewards.share_out(state, Amount(2_000_000))
    before = staking.found(state, ALICE.id)

    changed(state, commission=replace(before.commission, rate_bp=2000))

    assert rewards.claim_commission(state, ALICE.id) == 100_000


def test_nothing_is_written_where_nothing_changes() -> None:
    state = draft()

    changed(state)

    assert state.writes() == {}


def test_a_validator_is_opened_once() -> None:
    with pytest.raises(AlreadyValidator):
        staking.open_validator(draft(), ALICE.id, voter(CAROL).public_key, "again", TERMS)


def test_a_consensus_key_has_one_operator() -> None:
    with pytest.raises(ConsensusKeyTaken):
        staking.open_validator(draft(), CAROL.id, voter(ALICE).public_key, "carol", TERMS)


def test_a_stranger_is_no_validator() -> None:
    with pytest.raises(UnknownValidator):
        staking.found(draft(), CAROL.id)


def test_all_shares_take_all_tokens() -> None:
    state = draft()
    changed(state, shares=STAKE * 3)
    stake.save_delegation(state, ALICE.id, ALICE.id, stake.Delegation(STAKE * 3, 0, 0))

    assert staking.take_shares(state, ALICE.id, ALICE.id, STAKE * 3) == STAKE
    after = staking.found(state, ALICE.id)
    assert (after.tokens, after.shares) == (0, 0)
