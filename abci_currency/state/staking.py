"""What is done with stake: bonding it, taking it back, and changing a validator in one place.

The records are those of stake.py. `replace_validator` is the only way to
change a validator: it lets rewards catch up first and keeps the index of power and the sum of
active tokens in step, so that neither is ever computed by walking.
Source: the rules of Cosmos SDK x/staking; ADR 14.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from abci_currency import keys
from abci_currency.state import pools, rewards, stake
from abci_currency.state.stake import (
    CONSENSUS_KEY,
    POWER_UNIT,
    Commission,
    Delegation,
    Validator,
    address_of,
    delegation,
    operator_of,
    save_delegation,
    save_validator,
    shares_for,
    tokens_for,
    validator,
)
from dchat.kernel import codec, holdings
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import AmountTooLarge, TxRejected
from dchat.kernel.ids import AccountId, Amount, EpochMs
from dchat.kernel.store import Draft

_NEVER: Final = EpochMs(0)
_NOTHING: Final = Amount(0)


class UnknownValidator(TxRejected):
    """No validator has this operator."""

    code = 110


class AlreadyValidator(TxRejected):
    """The account operates a validator already."""

    code = 111


class ConsensusKeyTaken(TxRejected):
    """The consensus key is some validator's, or was once."""

    code = 112


class InsufficientStake(TxRejected):
    """The account has less with the validator than it takes. Attributes: have, need -- base units.

    The numbers are shares where shares are taken.
    """

    code = 120

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"has {have} with this validator, needs {need}")
        self.have = have
        self.need = need


class ValidatorTombstoned(TxRejected):
    """The validator will never vote again, so nobody may bond more with it."""

    code = 124


class WorthlessShares(TxRejected):
    """All that the validator had was slashed, so its shares have no price."""

    code = 125


def found(draft: Draft, operator: AccountId) -> Validator:
    """Return the validator of this operator. Raises: UnknownValidator."""
    record = validator(draft, operator)
    if record is None:
        raise UnknownValidator("no validator has this operator")
    return record


def open_validator(
    draft: Draft,
    operator: AccountId,
    consensus_key: bytes,
    moniker: str,
    terms: tuple[Commission, Amount],
) -> None:
    """Write a validator without stake. `terms` are its commission and its least own stake.

    Raises: AlreadyValidator, ConsensusKeyTaken.
    """
    if validator(draft, operator) is not None:
        raise AlreadyValidator("the account operates a validator already")
    claim_key(draft, consensus_key, operator)
    commission, least = terms
    record = Validator(
        consensus_key=consensus_key,
        key_changed_at=_NEVER,
        moniker=moniker,
        commission=commission,
        min_self_delegation=least,
        tokens=_NOTHING,
        shares=0,
        jailed=False,
        jailed_until=_NEVER,
        tombstoned=False,
        active=False,
    )
    save_validator(draft, operator, record)


def claim_key(draft: Draft, consensus_key: bytes, operator: AccountId) -> None:
    """Let a consensus key name its operator for good. Raises: ConsensusKeyTaken."""
    address = address_of(consensus_key)
    if operator_of(draft, address) is not None:
        raise ConsensusKeyTaken("a validator has this consensus key, or had it once")
    draft.put(keys.consensus_key(address), ACCOUNT_ID.encode(operator))


def replace_validator(
    draft: Draft, operator: AccountId, before: Validator, after: Validator
) -> None:
    """Put after in the place of before: rewards catch up first, power and active stake follow."""
    if after == before:
        return
    if _earns_by(after) != _earns_by(before):
        rewards.settle(draft, operator, before)
        _count_active(draft, _voting(after) - _voting(before))
    _rank(draft, operator, before, after)
    save_validator(draft, operator, after)


def _earns_by(record: Validator) -> tuple[int, int, int, bool]:
    return record.tokens, record.shares, record.commission.rate_bp, record.active


def _voting(record: Validator) -> int:
    return record.tokens if record.active else 0


def _count_active(draft: Draft, change: int) -> None:
    if change:
        held = rewards.totals(draft)
        active = Amount(held.active_tokens + change)
        rewards.save_totals(draft, replace(held, active_tokens=active))


def _rank(draft: Draft, operator: AccountId, before: Validator, after: Validator) -> None:
    """Keep the one entry by which the strongest are found; who may not vote has none."""
    old, new = _place(operator, before), _place(operator, after)
    if old is not None and old != new:
        draft.delete(old)
    if new is not None and (new, after.consensus_key) != (old, before.consensus_key):
        draft.put(new, CONSENSUS_KEY.encode(after.consensus_key))


def _place(operator: AccountId, record: Validator) -> bytes | None:
    eligible = not record.jailed and record.tokens >= POWER_UNIT
    return keys.power(record.tokens, operator) if eligible else None


def bond(
    draft: Draft, delegator: AccountId, operator: AccountId, tokens: Amount, source: AccountId
) -> int:
    """Move tokens from source into stake with a validator; return the shares they bought.

    Raises: UnknownValidator, ValidatorTombstoned, WorthlessShares, AmountTooLarge,
    InsufficientFunds.
    """
    before = found(draft, operator)
    shares = _bought(before, tokens)
    held = _settled(draft, delegator, operator)
    after = replace(before, tokens=Amount(before.tokens + tokens), shares=before.shares + shares)
    holdings.move(draft, source, pools.STAKED, tokens)
    replace_validator(draft, operator, before, after)
    _hold(draft, delegator, operator, replace(held, shares=held.shares + shares))
    return shares


def _bought(record: Validator, tokens: Amount) -> int:
    if record.tombstoned:
        raise ValidatorTombstoned("it signed twice and will never vote again")
    if record.shares and not record.tokens:
        raise WorthlessShares("all that the validator had was slashed")
    shares = shares_for(record, tokens)
    if record.shares + shares > codec.MAX_U128:
        raise AmountTooLarge("the validator's shares would exceed 128 bits")
    return shares


def take_shares(draft: Draft, delegator: AccountId, operator: AccountId, shares: int) -> Amount:
    """Take shares from a delegator; return what they are worth, which the pool STAKED still holds.

    Stake that leaves for more than a burn goes by leaving.py, which sees to what it answers for.
    Raises: UnknownValidator, InsufficientStake.
    """
    before = found(draft, operator)
    held = _settled(draft, delegator, operator)
    if held.shares < shares:
        raise InsufficientStake(have=held.shares, need=shares)
    tokens = tokens_for(before, shares)
    after = replace(before, tokens=Amount(before.tokens - tokens), shares=before.shares - shares)
    replace_validator(draft, operator, before, after)
    _hold(draft, delegator, operator, replace(held, shares=held.shares - shares))
    return tokens


def _settled(draft: Draft, delegator: AccountId, operator: AccountId) -> Delegation:
    """Pay the rewards of the shares held so far, and return them; none are a delegation too."""
    if delegation(draft, delegator, operator) is not None:
        rewards.claim(draft, delegator, operator)
    return stake.held(draft, delegator, operator)


def _hold(draft: Draft, delegator: AccountId, operator: AccountId, record: Delegation) -> None:
    """Write a delegation that is owed nothing for the time before now."""
    paid = rewards.of_validator(draft, operator).per_share
    save_delegation(draft, delegator, operator, replace(record, paid_per_share=paid))


def shares_worth(record: Validator, held: int, tokens: Amount) -> int:
    """Return how many of the shares held to take for at least tokens, rounded up.

    What would be left over worth nothing goes along. Raises: InsufficientStake.
    """
    worth = tokens_for(record, held)
    if worth < tokens:
        raise InsufficientStake(have=worth, need=tokens)
    needed = -(-tokens * record.shares // record.tokens) if record.tokens else held
    return needed if tokens_for(record, held - needed) else held
