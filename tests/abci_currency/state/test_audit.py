from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from abci_currency import keys
from abci_currency.state import audit, leaving, pools, rewards, stake
from abci_currency.state.stake import Delegation
from dchat.kernel import accounts, due, holdings, supply
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.family import TxContext
from dchat.kernel.ids import Amount, Height
from dchat.kernel.store import Draft
from tests.fakes.earners import ONE, delegate, pay_fees, slash, staked, validator_of
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, START, give

BOBS = TxContext(CHAIN, BOB.id, BOB.public_key, Height(5), START)


def busy() -> Draft:
    """Return a sound state with a bit of everything that has to do with stake."""
    draft = staked(10 * ONE, 5 * ONE, rate_bp=700)
    delegate(draft, BOB.id, ALICE.id, 3 * ONE)
    delegate(draft, CAROL.id, BOB.id, ONE)
    pay_fees(draft, 123_457)
    slash(draft, ALICE.id, 500)
    leaving.unbond(draft, BOBS, ALICE.id, ONE)
    leaving.redelegate(draft, BOBS, ALICE.id, BOB.id, ONE)
    give(draft, CAROL.id, 17)
    return draft


def test_a_sound_state_passes() -> None:
    audit.check_invariants(busy())


def move(draft: Draft, source: accounts.AccountId, target: accounts.AccountId) -> None:
    holdings.move(draft, source, target, Amount(1))


def forge_delegation(draft: Draft, **changes: int) -> None:
    held = stake.delegation(draft, BOB.id, ALICE.id)
    assert held
    stake.save_delegation(draft, BOB.id, ALICE.id, replace(held, **changes))


def forge_validator(draft: Draft, **changes: object) -> None:
    stake.save_validator(draft, ALICE.id, replace(validator_of(draft, ALICE.id), **changes))


def empty_rewards(draft: Draft) -> None:
    holdings.move(draft, pools.REWARDS, CAROL.id, Amount(10))


def move_exchange_rate(draft: Draft) -> None:
    record = validator_of(draft, ALICE.id)
    give(draft, pools.STAKED, record.shares)
    draft.delete(keys.power(record.tokens, ALICE.id))
    tokens = Amount(record.tokens + record.shares)
    draft.put(keys.power(tokens, ALICE.id), b"\x90")
    held = rewards.totals(draft)
    active = Amount(held.active_tokens + record.shares)
    rewards.save_totals(draft, replace(held, active_tokens=active))
    stake.save_validator(draft, ALICE.id, replace(record, tokens=tokens))


FAULTS: dict[str, tuple[str, Callable[[Draft], None]]] = {
    "a unit nobody issued": (
        "accounts hold",
        lambda draft: accounts.credit(draft, CAROL.id, Amount(1)),
    ),
    "a unit that vanished": (
        "accounts hold",
        lambda draft: accounts.debit(draft, CAROL.id, Amount(1)),
    ),
    "a burn of what is still there": (
        "accounts hold",
        lambda draft: supply.burn(draft, Amount(1)),
    ),
    "a unit too many in stake": (
        "tokens of validators",
        lambda draft: move(draft, CAROL.id, pools.STAKED),
    ),
    "a unit too few in stake": (
        "tokens of validators",
        lambda draft: move(draft, pools.STAKED, CAROL.id),
    ),
    "a share from nowhere": (
        "shares of a validator",
        lambda draft: forge_delegation(draft, shares=5 * ONE),
    ),
    "a delegation to nobody": (
        "a delegation to no validator",
        lambda draft: stake.save_delegation(draft, ALICE.id, CAROL.id, Delegation(1, 0, 0)),
    ),
    "a delegation of nothing": (
        "a delegation without shares",
        lambda draft: draft.put(
            keys.delegation(CAROL.id, ALICE.id), stake.DELEGATION.encode(Delegation(0, 0, 0))
        ),
    ),
    "shares that rose above their price": (
        "a share is worth more",
        move_exchange_rate,
    ),
    "more liable than there is": (
        "more shares are liable",
        lambda draft: forge_delegation(draft, liable_shares=99 * ONE),
    ),
    "liable for no reason": (
        "liable shares and redelegations",
        lambda draft: forge_delegation(draft, liable_shares=1),
    ),
    "a jailed validator that may vote": (
        "the index of power",
        lambda draft: forge_validator(draft, jailed=True),
    ),
    "a candidate nobody finds": (
        "the index of power",
        lambda draft: draft.delete(keys.power(validator_of(draft, BOB.id).tokens, BOB.id)),
    ),
    "a unit too many on its way": (
        "unbonding entries",
        lambda draft: move(draft, CAROL.id, pools.UNBONDING),
    ),
    "an unbonding nobody ends": (
        "would never end",
        lambda draft: draft.delete(next(draft.scan(due.SPACE))[0]),
    ),
    "a redelegation to nowhere": (
        "where there are no shares",
        lambda draft: draft.put(
            keys.redelegation(ALICE.id, CAROL.id, 0),
            stake.REDELEGATION.encode(next_redelegation(draft, CAROL.id)),
        ),
    ),
    "active stake miscounted": (
        "active tokens",
        lambda draft: rewards.save_totals(
            draft, replace(rewards.totals(draft), active_tokens=Amount(ONE))
        ),
    ),
    "rewards that are not there": (
        "may be claimed",
        empty_rewards,
    ),
    "commission out of nothing": (
        "may be claimed",
        lambda draft: rewards.save_validator(
            draft,
            BOB.id,
            replace(rewards.of_validator(draft, BOB.id), commission=123_457 * rewards.SCALE),
        ),
    ),
    "stake of no relay": (
        "relays have 0 at stake",
        lambda draft: move(draft, CAROL.id, pools.RELAY_STAKES),
    ),
    "postage of no escrow": (
        "set aside are 0",
        lambda draft: move(draft, CAROL.id, pools.ESCROWS),
    ),
}


def next_redelegation(draft: Draft, target: accounts.AccountId) -> stake.Redelegation:
    record = next(draft.scan(keys.REDELEGATIONS))[1]
    entry = stake.REDELEGATION.decode_own(record)
    draft.put(due.key(entry.due, keys.redelegation(ALICE.id, target, 0)), b"\x90")
    return entry


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found(fault: str) -> None:
    told, commit = FAULTS[fault]
    draft = busy()
    commit(draft)

    with pytest.raises(InvariantBroken, match=told):
        audit.check_invariants(draft)
