"""What the currency chain begins with: accounts, parameters, stake and what is locked.

[kernel genesis,
 [staking, slashing, rewards, relays],                      each section's values
 [[operator, consensus_key, moniker, [rate, max, change], min_self_delegation, stake], …],
 [[delegator, operator, tokens], …],
 [[account, tokens, linear, begins_at, cliff_at, ends_at], …],
 treasury]

Operators, delegations and vesting accounts are strictly ascending. Stake and delegations come out
of the accounts' allocations; what vests and the treasury are issued beside them. Amounts are base
units, times milliseconds since 1970, rates basis points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from abci_currency import params
from abci_currency.hooks import active_set
from abci_currency.params import BASIS_POINTS, Relays, Rewards, Slashing, Staking
from abci_currency.state import pools, rewards, stake, staking, vesting
from abci_currency.state.stake import Commission, Delegation
from abci_currency.state.vesting import Vesting
from abci_currency.txs.validator import check_moniker
from dchat.kernel import accounts, codec, signing, supply
from dchat.kernel import genesis as kernel
from dchat.kernel.accounts import ACCOUNT_ID, show_account
from dchat.kernel.codec import CodecError
from dchat.kernel.ids import AccountId, Amount, EpochMs
from dchat.kernel.machine import GenesisContext, ValidatorPower
from dchat.kernel.store import Draft

MAX_DELEGATIONS: Final = 1_000_000
MAX_LOCKS: Final = 1_000_000
_MOST_FOUNDERS: Final = params.STAKING.bounds["max_validators"][1]
_NOTHING: Final = Amount(0)


@dataclass(frozen=True, slots=True)
class Rules:
    """Every number of the economy."""

    staking: Staking = params.STAKING.default
    slashing: Slashing = params.SLASHING.default
    rewards: Rewards = params.REWARDS.default
    relays: Relays = params.RELAYS.default


@dataclass(frozen=True, slots=True)
class Terms:
    """What an operator keeps of its delegators' rewards, and may change about that."""

    rate_bp: int = 0
    max_rate_bp: int = BASIS_POINTS
    max_change_bp: int = BASIS_POINTS


@dataclass(frozen=True, slots=True)
class Founder:
    """A validator that is there from the beginning, and votes."""

    operator: AccountId
    consensus_key: bytes
    moniker: str
    terms: Terms
    min_self_delegation: Amount
    stake: Amount
    """Taken from the operator's allocation."""


@dataclass(frozen=True, slots=True)
class Bond:
    """Stake that somebody else has with a founder, taken from the delegator's allocation."""

    delegator: AccountId
    operator: AccountId
    tokens: Amount


@dataclass(frozen=True, slots=True)
class Lock:
    """Tokens that become the account's own in time: nothing before the cliff.

    Linear: from begins_at to ends_at, in proportion. Otherwise all of them at the cliff.
    """

    account: AccountId
    tokens: Amount
    linear: bool
    begins_at: EpochMs
    cliff_at: EpochMs
    ends_at: EpochMs


@dataclass(frozen=True, slots=True)
class Beginning:
    """The currency chain's initial state in its shortest form."""

    kernel: kernel.Genesis
    rules: Rules
    founders: tuple[Founder, ...]
    bonds: tuple[Bond, ...] = ()
    locks: tuple[Lock, ...] = ()
    treasury: Amount = _NOTHING


_SECTIONS: Final = codec.Record(
    Rules,
    staking=params.STAKING.shape,
    slashing=params.SLASHING.shape,
    rewards=params.REWARDS.shape,
    relays=params.RELAYS.shape,
)
_TERMS: Final = codec.Record(
    Terms, rate_bp=codec.U64, max_rate_bp=codec.U64, max_change_bp=codec.U64
)
_FOUNDER: Final = codec.Record(
    Founder,
    operator=ACCOUNT_ID,
    consensus_key=stake.CONSENSUS_KEY,
    moniker=codec.Text(stake.MAX_MONIKER_BYTES),
    terms=_TERMS,
    min_self_delegation=codec.U64,
    stake=codec.U64,
)
_BOND: Final = codec.Record(Bond, delegator=ACCOUNT_ID, operator=ACCOUNT_ID, tokens=codec.U64)
_LOCK: Final = codec.Record(
    Lock,
    account=ACCOUNT_ID,
    tokens=codec.U64,
    linear=codec.Bool,
    begins_at=codec.U64,
    cliff_at=codec.U64,
    ends_at=codec.U64,
)
SHAPE: Final = codec.Record(
    Beginning,
    kernel=kernel.SHAPE,
    rules=_SECTIONS,
    founders=codec.ListOf(_FOUNDER, _MOST_FOUNDERS),
    bonds=codec.ListOf(_BOND, MAX_DELEGATIONS),
    locks=codec.ListOf(_LOCK, MAX_LOCKS),
    treasury=codec.U64,
)


def decode(data: bytes) -> Beginning:
    """Return the genesis in data, whose parts fit together. Raises: CodecError."""
    beginning = SHAPE.decode(data, kernel.MAX_BYTES, kernel.MAX_ALLOCATIONS)
    check(beginning)
    return beginning


def powers(beginning: Beginning) -> dict[bytes, int]:
    """Return the voting power of each founder by its consensus key, as CometBFT must have it."""
    held = tokens(beginning)
    return {
        each.consensus_key: held[each.operator] // stake.POWER_UNIT for each in beginning.founders
    }


def tokens(beginning: Beginning) -> dict[AccountId, int]:
    """Return what each founder begins with, the stake of others included."""
    held: dict[AccountId, int] = {each.operator: each.stake for each in beginning.founders}
    for bond in beginning.bonds:
        held[bond.operator] += bond.tokens
    return held


def check(beginning: Beginning) -> None:
    """Return if the chain can begin like this. Raises: CodecError with the reason."""
    kernel.check(beginning.kernel)
    check_rules(beginning.rules)
    _check_founders(beginning.founders, beginning.rules.staking)
    _check_bonds(beginning)
    _check_locks(beginning.locks)
    _check_held(beginning)
    _check_supply(beginning)


def check_rules(rules: Rules) -> None:
    """Return if every parameter is within its bounds and they fit together. Raises: CodecError."""
    kernel.check_section(params.STAKING, rules.staking)
    kernel.check_section(params.SLASHING, rules.slashing)
    kernel.check_section(params.REWARDS, rules.rewards)
    kernel.check_section(params.RELAYS, rules.relays)
    kernel.hold(
        lambda: params.check_together(rules.staking, rules.slashing, rules.rewards), kernel.AT_ODDS
    )


def _check_founders(founders: tuple[Founder, ...], rules: Staking) -> None:
    if not founders:
        raise CodecError("there is no validator, so nobody could make a block")
    if len(founders) > rules.max_validators:
        raise CodecError(f"{len(founders)} validators, and only {rules.max_validators} may vote")
    kernel.check_ascending([each.operator for each in founders], "validators")
    for left, right in pairwise(sorted(each.consensus_key for each in founders)):
        if left == right:
            raise CodecError(f"consensus key {left.hex()} is named twice")
    for each in founders:
        check_founder(each, rules)


def check_founder(founder: Founder, rules: Staking) -> None:
    """Return if a validator may begin like this, whatever the others do. Raises: CodecError."""
    name, terms = f"validator {show_account(founder.operator)}", founder.terms
    if len(founder.moniker.encode()) > stake.MAX_MONIKER_BYTES:
        raise CodecError(f"{name}: its moniker is over {stake.MAX_MONIKER_BYTES} bytes")
    kernel.hold(lambda: check_moniker(founder.moniker), f"{name}: its moniker")
    if not signing.is_strong(founder.consensus_key):
        raise CodecError(f"{name}: its consensus key is not a safe Ed25519 key")
    if not terms.rate_bp <= terms.max_rate_bp <= BASIS_POINTS:
        raise CodecError(
            f"{name}: commission of {terms.rate_bp} basis points, its maximum {terms.max_rate_bp}"
        )
    if terms.max_change_bp > terms.max_rate_bp:
        raise CodecError(
            f"{name}: commission may change by {terms.max_change_bp} basis points a day, "
            f"its maximum is {terms.max_rate_bp}"
        )
    if founder.min_self_delegation == 0:
        raise CodecError(f"{name}: it promises to keep nothing of its own staked")
    least = max(rules.min_validator_stake, founder.min_self_delegation)
    if founder.stake < least:
        raise CodecError(f"{name}: stake of {founder.stake} is below the minimum of {least}")


def _check_bonds(beginning: Beginning) -> None:
    bonds = beginning.bonds
    kernel.check_ascending([each.delegator + each.operator for each in bonds], "delegations")
    operators = {each.operator for each in beginning.founders}
    for bond in bonds:
        if bond.operator not in operators:
            raise CodecError(f"a delegation names {show_account(bond.operator)}, no validator")
        if bond.operator == bond.delegator:
            raise CodecError(f"{show_account(bond.operator)} delegates to itself: that is stake")
        if bond.tokens == 0:
            raise CodecError(f"{show_account(bond.delegator)} delegates nothing")


def _check_locks(locks: tuple[Lock, ...]) -> None:
    kernel.check_ascending([each.account for each in locks], "vesting accounts")
    for lock in locks:
        wrong = vesting.fault_of(_record(lock))
        if wrong:
            raise CodecError(f"vesting of {show_account(lock.account)}: {wrong}")


def _check_held(beginning: Beginning) -> None:
    """Return if everybody has what they stake, and nobody is an account of the chain's rules."""
    kernel.check_holders((each.account for each in beginning.kernel.allocations), pools.NAMES)
    kernel.check_holders((each.account for each in beginning.locks), pools.NAMES)
    missing = _staked(beginning)
    for allocation in beginning.kernel.allocations:
        need = missing.pop(allocation.account, 0)
        if need > allocation.balance:
            _refuse_stake(allocation.account, allocation.balance, need)
    for account, need in missing.items():
        _refuse_stake(account, _NOTHING, need)


def _refuse_stake(account: AccountId, have: Amount, need: int) -> None:
    raise CodecError(f"{show_account(account)} stakes {need}, and its allocation is {have}")


def _staked(beginning: Beginning) -> dict[AccountId, int]:
    """Return what goes from each account into stake."""
    staked: dict[AccountId, int] = {each.operator: each.stake for each in beginning.founders}
    for bond in beginning.bonds:
        staked[bond.delegator] = staked.get(bond.delegator, 0) + bond.tokens
    return staked


def _check_supply(beginning: Beginning) -> None:
    allocated = sum(each.balance for each in beginning.kernel.allocations)
    locked = sum(each.tokens for each in beginning.locks)
    if allocated + locked + beginning.treasury > codec.MAX_U64:
        raise CodecError("allocations, vesting and treasury together exceed 64 bits")


def init(draft: Draft, context: GenesisContext, data: bytes) -> None:
    """Write the initial state that canonical genesis bytes describe.

    Raises: CodecError, also where CometBFT begins with other validators; InvariantBroken.
    """
    beginning = decode(data)
    check_powers(beginning, context.validators)
    kernel.begin(draft, context.chain_id, beginning.kernel)
    params.STAKING.save(draft, beginning.rules.staking)
    params.SLASHING.save(draft, beginning.rules.slashing)
    params.REWARDS.save(draft, beginning.rules.rewards)
    params.RELAYS.save(draft, beginning.rules.relays)
    rewards.begin(draft, context.time_ms)
    _begin_staking(draft, beginning, context.time_ms)
    vesting.begin(draft, ((each.account, _record(each)) for each in beginning.locks))
    _issue(draft, pools.TREASURY, beginning.treasury)


def check_powers(beginning: Beginning, given: tuple[ValidatorPower, ...]) -> None:
    """Return if CometBFT's validators are the founders, each with its power. Raises: CodecError."""
    ours = powers(beginning)
    theirs = {each.public_key: each.power for each in given}
    for key in sorted(ours.keys() | theirs.keys()):
        have, want = theirs.get(key, 0), ours.get(key, 0)
        if have != want:
            raise CodecError(f"validator {key.hex()} has power {have}, its stake makes {want}")


def _begin_staking(draft: Draft, beginning: Beginning, now: EpochMs) -> None:
    """Bond everything one share a token, each validator once: nothing was earned or slashed yet."""
    held = tokens(beginning)
    for founder in beginning.founders:
        _begin_validator(draft, founder, Amount(held[founder.operator]), now)
        _begin_delegation(draft, founder.operator, founder.operator, founder.stake)
    for bond in beginning.bonds:
        _begin_delegation(draft, bond.delegator, bond.operator, bond.tokens)
    accounts.credit(draft, pools.STAKED, Amount(sum(held.values())))
    active_set.begin(draft)


def _begin_validator(draft: Draft, founder: Founder, held: Amount, now: EpochMs) -> None:
    terms = founder.terms
    commission = Commission(terms.rate_bp, terms.max_rate_bp, terms.max_change_bp, now)
    staking.open_validator(
        draft,
        founder.operator,
        founder.consensus_key,
        founder.moniker,
        (commission, founder.min_self_delegation),
    )
    opened = staking.found(draft, founder.operator)
    bonded = replace(opened, tokens=held, shares=held)
    staking.replace_validator(draft, founder.operator, opened, bonded)


def _begin_delegation(
    draft: Draft, delegator: AccountId, operator: AccountId, amount: Amount
) -> None:
    accounts.debit(draft, delegator, amount)
    record = Delegation(shares=amount, paid_per_share=0, liable_shares=0)
    stake.save_delegation(draft, delegator, operator, record)


def _record(lock: Lock) -> Vesting:
    return Vesting(lock.tokens, lock.linear, lock.begins_at, lock.cliff_at, lock.ends_at)


def _issue(draft: Draft, account: AccountId, amount: Amount) -> None:
    if amount:
        accounts.credit(draft, account, amount)
        supply.issue(draft, amount)
