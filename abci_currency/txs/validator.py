"""Validators: the families that create one and change what it promises."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_currency import params
from abci_currency.params import BASIS_POINTS, DAY_MS
from abci_currency.state import rewards, stake, staking
from abci_currency.state.stake import Commission
from abci_currency.txs.consensus_key import PROOF, check_key, check_proof
from dchat.kernel import codec, wording
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Amount, Cost, EpochMs
from dchat.kernel.store import Draft


class BadCommission(TxRejected):
    """Not rate <= maximum <= 10000 basis points and change <= maximum, or the step is too large."""

    code = 115


class CommissionTooSoon(TxRejected):
    """The commission changed less than 24 hours ago. Attributes: next_at -- ms."""

    code = 116

    def __init__(self, next_at: EpochMs) -> None:
        super().__init__(f"the commission may change again at {next_at} ms of block time")
        self.next_at = next_at


class BadMoniker(TxRejected):
    """A moniker is 1 to 64 bytes of text without control characters."""

    code = 117


class ValidatorStakeTooLow(TxRejected):
    """A new validator needs more stake of its own. Attributes: have, need -- base units."""

    code = 118

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"stakes {have} base units, the least is {need}")
        self.have = have
        self.need = need


class BadMinSelfDelegation(TxRejected):
    """The least own stake is 0, above the stake there is, or lower than promised before."""

    code = 119


@dataclass(frozen=True, slots=True)
class CreateValidator:
    """Let the sender operate a validator, with stake of its own."""

    consensus_key: bytes
    proof: bytes
    """The consensus key's signature, see `consensus_key.prove`."""
    moniker: str
    rate_bp: int
    max_rate_bp: int
    max_change_bp: int
    min_self_delegation: Amount
    """Base units; with less of its own the validator is jailed. It can only be raised."""
    stake: Amount


@dataclass(frozen=True, slots=True)
class EditValidator:
    """Set what a validator promises; what is to stay is given as it is."""

    moniker: str
    rate_bp: int
    min_self_delegation: Amount


@dataclass(frozen=True, slots=True)
class ValidatorCreated(Event):
    """There is a new validator; whether it votes, the block's end tells."""

    operator: AccountId
    consensus_key: bytes
    stake: Amount


@dataclass(frozen=True, slots=True)
class ValidatorEdited(Event):
    """A validator promises something else."""

    operator: AccountId
    moniker: str
    rate_bp: int
    min_self_delegation: Amount


def check_moniker(moniker: str) -> None:
    """Return if the moniker can be shown. Raises: BadMoniker."""
    if not wording.is_line(moniker):
        raise BadMoniker("empty, or with characters that are no text")


def check_create(tx: CreateValidator) -> None:
    """Apply the rules that need no state.

    Raises: WeakConsensusKey, BadMoniker, BadCommission, BadMinSelfDelegation.
    """
    check_key(tx.consensus_key)
    check_moniker(tx.moniker)
    if not max(tx.rate_bp, tx.max_change_bp) <= tx.max_rate_bp <= BASIS_POINTS:
        raise BadCommission(
            f"rate {tx.rate_bp}, change {tx.max_change_bp}, maximum {tx.max_rate_bp} basis points"
        )
    if not 1 <= tx.min_self_delegation <= tx.stake:
        raise BadMinSelfDelegation(f"{tx.min_self_delegation} of a stake of {tx.stake} base units")


def check_edit(tx: EditValidator) -> None:
    """Apply the rules that need no state. Raises: BadMoniker."""
    check_moniker(tx.moniker)


def create(draft: Draft, tx: CreateValidator, ctx: TxContext) -> tuple[Event, ...]:
    """Open the sender's validator and bond its stake.

    Raises: ValidatorStakeTooLow, AlreadyValidator, ConsensusKeyTaken, BadPossessionProof,
    InsufficientFunds.
    """
    least = params.STAKING.load(draft).min_validator_stake
    if tx.stake < least:
        raise ValidatorStakeTooLow(have=tx.stake, need=least)
    commission = Commission(tx.rate_bp, tx.max_rate_bp, tx.max_change_bp, ctx.block_time_ms)
    terms = (commission, tx.min_self_delegation)
    staking.open_validator(draft, ctx.sender, tx.consensus_key, tx.moniker, terms)
    check_proof(tx.consensus_key, tx.proof, ctx)
    rewards.accrue(draft, ctx.block_time_ms)
    staking.bond(draft, ctx.sender, ctx.sender, tx.stake, ctx.sender)
    return (ValidatorCreated(ctx.sender, tx.consensus_key, tx.stake),)


def edit(draft: Draft, tx: EditValidator, ctx: TxContext) -> tuple[Event, ...]:
    """Change what the sender's validator promises.

    Raises: UnknownValidator, BadCommission, CommissionTooSoon, BadMinSelfDelegation.
    """
    before = staking.found(draft, ctx.sender)
    _check_least(draft, tx.min_self_delegation, before.min_self_delegation, ctx.sender)
    rewards.accrue(draft, ctx.block_time_ms)
    after = replace(
        before,
        moniker=tx.moniker,
        commission=_changed(before.commission, tx.rate_bp, ctx.block_time_ms),
        min_self_delegation=tx.min_self_delegation,
    )
    staking.replace_validator(draft, ctx.sender, before, after)
    return (ValidatorEdited(ctx.sender, tx.moniker, tx.rate_bp, tx.min_self_delegation),)


def _check_least(draft: Draft, asked: Amount, promised: Amount, operator: AccountId) -> None:
    if asked < promised:
        raise BadMinSelfDelegation(f"{asked} base units, {promised} are promised")
    if asked > promised and asked > (own := stake.self_stake(draft, operator)):
        raise BadMinSelfDelegation(f"{asked} base units, the operator has {own} of its own")


def _changed(held: Commission, rate_bp: int, now: EpochMs) -> Commission:
    if rate_bp == held.rate_bp:
        return held
    step = max(rate_bp - held.rate_bp, held.rate_bp - rate_bp)
    if rate_bp > held.max_rate_bp or step > held.max_change_bp:
        raise BadCommission(
            f"from {held.rate_bp} to {rate_bp} basis points: "
            f"the maximum is {held.max_rate_bp}, {held.max_change_bp} a day"
        )
    next_at = EpochMs(held.changed_at + DAY_MS)
    if now < next_at:
        raise CommissionTooSoon(next_at)
    return replace(held, rate_bp=rate_bp, changed_at=now)


CREATE: Final = Family(
    type=10,
    name="create_validator",
    shape=codec.Record(
        CreateValidator,
        consensus_key=stake.CONSENSUS_KEY,
        proof=PROOF,
        moniker=codec.Text(stake.MAX_MONIKER_BYTES),
        rate_bp=codec.U64,
        max_rate_bp=codec.U64,
        max_change_bp=codec.U64,
        min_self_delegation=codec.U64,
        stake=codec.U64,
    ),
    cost=Cost(350),
    check=check_create,
    apply=create,
    spends=lambda tx: tx.stake,
)
EDIT: Final = Family(
    type=11,
    name="edit_validator",
    shape=codec.Record(
        EditValidator,
        moniker=codec.Text(stake.MAX_MONIKER_BYTES),
        rate_bp=codec.U64,
        min_self_delegation=codec.U64,
    ),
    cost=Cost(80),
    check=check_edit,
    apply=edit,
)
FAMILIES: Final = (CREATE, EDIT)
