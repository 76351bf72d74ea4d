"""Stake as the state keeps it: validators, delegations, and what is on its way out.

    ("validator", operator)                      Validator
    ("consensus_key", address)                   operator, also of retired keys
    ("power", 2^64-1-tokens, operator)           consensus key of every validator that may vote
    ("delegation", delegator, operator)          [shares, paid_per_share, liable_shares]
    ("unbonding", delegator, operator, number)   [tokens, begun_at, due, source, came_at]
    ("redelegation", delegator, target, number)  [source, shares, begun_at, due]

A delegator holds shares of a validator's tokens: a slash takes tokens, and every share is worth
less at once. Shares round in favour of those that stay: down when they are given, and what they
are worth down when they are taken back. They are one for one at first, so a validator never has
more tokens than shares, and what is bought or taken is off by less than a base unit.
What is done with stake is in staking.py, how it leaves in leaving.py.
Source: the rules of Cosmos SDK x/staking; ADR 14.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_currency import keys
from dchat.kernel import codec, headers
from dchat.kernel.accounts import ACCOUNT_ID, ACCOUNT_ID_BYTES
from dchat.kernel.amounts import UNIT
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.store import Draft, State, read

MAX_MONIKER_BYTES: Final = 64
CONSENSUS_KEY: Final = codec.Fixed(32)
ADDRESS_BYTES: Final = headers.ADDRESS_SIZE
address_of: Final = headers.address_of
"""Return the 20 bytes by which votes and evidence name a consensus key."""
_GENESIS: Final = Height(0)
POWER_UNIT: Final = UNIT
"""Base units of stake for one unit of voting power: CometBFT bounds the sum of powers to 2^60."""


@dataclass(frozen=True, slots=True)
class Commission:
    """What an operator keeps of its delegators' rewards, in basis points."""

    rate_bp: int
    max_rate_bp: int
    """Never raised."""
    max_change_bp: int
    """How far the rate may move in 24 hours."""
    changed_at: EpochMs


@dataclass(frozen=True, slots=True)
class Validator:
    """A validator, named by its operator's account."""

    consensus_key: bytes
    key_changed_at: EpochMs
    """0 until it changes for the first time: that is allowed at any time."""
    moniker: str
    commission: Commission
    min_self_delegation: Amount
    tokens: Amount
    shares: int
    jailed: bool
    jailed_until: EpochMs
    tombstoned: bool
    """It signed twice, again: it never returns."""
    active: bool
    """It is in the set that CometBFT was given last."""

    def encode(self) -> bytes:
        """Return the record as the state keeps it."""
        return VALIDATOR.encode(self)


@dataclass(frozen=True, slots=True)
class Delegation:
    """What one account has with one validator."""

    shares: int
    paid_per_share: int
    """The validator's per_share up to which rewards were paid."""
    liable_shares: int
    """Of the shares, those that came by a redelegation and still answer for where they were."""

    def encode(self) -> bytes:
        """Return the record as the state keeps it."""
        return DELEGATION.encode(self)


@dataclass(frozen=True, slots=True)
class Unbonding:
    """Stake that left a validator and is liable until it is due; slashes are taken off then."""

    tokens: Amount
    begun_at: Height
    due: EpochMs
    source: bytes = b""
    """The validator it had come from by a redelegation that was not due, empty where there is none:
    it answers for that one's offences before came_at as well."""
    came_at: Height = _GENESIS


@dataclass(frozen=True, slots=True)
class Redelegation:
    """Shares that came from another validator, and are liable for it until they are due."""

    source: AccountId
    shares: int
    begun_at: Height
    due: EpochMs


_COMMISSION: Final = codec.Record(
    Commission,
    rate_bp=codec.U64,
    max_rate_bp=codec.U64,
    max_change_bp=codec.U64,
    changed_at=codec.U64,
)
VALIDATOR: Final = codec.Record(
    Validator,
    consensus_key=CONSENSUS_KEY,
    key_changed_at=codec.U64,
    moniker=codec.Text(MAX_MONIKER_BYTES),
    commission=_COMMISSION,
    min_self_delegation=codec.U64,
    tokens=codec.U64,
    shares=codec.U128,
    jailed=codec.Bool,
    jailed_until=codec.U64,
    tombstoned=codec.Bool,
    active=codec.Bool,
)
_NO_SHARES: Final = Delegation(0, 0, 0)
DELEGATION: Final = codec.Record(
    Delegation, shares=codec.U128, paid_per_share=codec.U128, liable_shares=codec.U128
)
UNBONDING: Final = codec.Record(
    Unbonding,
    tokens=codec.U64,
    begun_at=codec.U64,
    due=codec.U64,
    source=codec.Blob(ACCOUNT_ID_BYTES),
    came_at=codec.U64,
)
REDELEGATION: Final = codec.Record(
    Redelegation, source=ACCOUNT_ID, shares=codec.U128, begun_at=codec.U64, due=codec.U64
)


def validator(state: State, operator: AccountId) -> Validator | None:
    """Return the validator of this operator, None where there is none."""
    return read(state, keys.validator(operator), VALIDATOR)


def save_validator(draft: Draft, operator: AccountId, record: Validator) -> None:
    """Write a validator. Only `staking.replace_validator` keeps power and rewards in step."""
    draft.put(keys.validator(operator), record)


def delegation(state: State, delegator: AccountId, operator: AccountId) -> Delegation | None:
    """Return what an account has with a validator, None where it has nothing."""
    return read(state, keys.delegation(delegator, operator), DELEGATION)


def held(state: State, delegator: AccountId, operator: AccountId) -> Delegation:
    """Return what one account has with one validator: shares, which may be none."""
    return delegation(state, delegator, operator) or _NO_SHARES


def save_delegation(
    draft: Draft, delegator: AccountId, operator: AccountId, record: Delegation
) -> None:
    """Write what an account has with a validator; nothing of it remains without shares."""
    at = keys.delegation(delegator, operator)
    if record.shares:
        draft.put(at, record)
    else:
        draft.delete(at)


def operator_of(state: State, address: bytes) -> AccountId | None:
    """Return whose consensus key has this address, also once retired; None for a stranger's."""
    found = state.get(keys.consensus_key(address))
    return None if found is None else AccountId(ACCOUNT_ID.decode_own(found))


def shares_for(record: Validator, tokens: Amount) -> int:
    """Return the shares that tokens buy, rounded down; one for one where there are none yet.

    A validator with shares has tokens, or what it sells is worth nothing: `staking.bond` refuses.
    """
    return tokens * record.shares // record.tokens if record.shares else tokens


def tokens_for(record: Validator, shares: int) -> Amount:
    """Return what shares are worth, rounded down."""
    return Amount(shares * record.tokens // record.shares) if record.shares else Amount(0)


def self_stake(state: State, operator: AccountId) -> Amount:
    """Return what the operator's own shares of its validator are worth."""
    record, own = validator(state, operator), delegation(state, operator, operator)
    return tokens_for(record, own.shares) if record and own else Amount(0)
