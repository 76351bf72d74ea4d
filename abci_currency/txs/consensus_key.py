"""Consensus keys: proof that an operator has one, and the family that changes it.

A retired key goes on naming its operator, so that what it signed can still be punished, and no
validator can ever use it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_currency import params
from abci_currency.state import stake, staking
from dchat.kernel import codec, holdings, signing
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Amount, ChainId, Cost, EpochMs
from dchat.kernel.store import Draft

PROOF_DOMAIN: Final = b"dchat/consensus-key/v1"
PROOF: Final = codec.Fixed(signing.SIGNATURE_BYTES)


class WeakConsensusKey(TxRejected):
    """The consensus key is of small order or not canonical: anybody could vote for it."""

    code = 113


class BadPossessionProof(TxRejected):
    """The consensus key has not signed that this account may vote with it on this chain."""

    code = 114


class RotationTooSoon(TxRejected):
    """The consensus key changed already within an unbonding period. Attributes: next_at -- ms."""

    code = 126

    def __init__(self, next_at: EpochMs) -> None:
        super().__init__(f"the consensus key may change again at {next_at} ms of block time")
        self.next_at = next_at


class RotationFeeTooLow(TxRejected):
    """To change the key costs more than the sender allows. Attributes: have, need -- base units."""

    code = 127

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"at most {have} base units may be burned, a rotation burns {need}")
        self.have = have
        self.need = need


@dataclass(frozen=True, slots=True)
class RotateConsensusKey:
    """Let the sender's validator vote with another key from two blocks on."""

    consensus_key: bytes
    proof: bytes
    """The new key's signature, see `prove`."""
    most_burned: Amount
    """The sender's bound on the parameter key_rotation_fee, which is burned."""


@dataclass(frozen=True, slots=True)
class ConsensusKeyRotated(Event):
    """A validator votes with another key; the old one is retired for good."""

    operator: AccountId
    retired: bytes
    consensus_key: bytes


def prove(seed: bytes, chain_id: ChainId, operator: AccountId) -> bytes:
    """Return the proof that the key of this seed is the operator's on that chain."""
    return signing.sign(seed, PROOF_DOMAIN, codec.pack((chain_id, operator)))


def check_key(consensus_key: bytes) -> None:
    """Return if votes by this key mean something. Raises: WeakConsensusKey."""
    if not signing.is_strong(consensus_key):
        raise WeakConsensusKey("small order or not canonical")


def check_proof(consensus_key: bytes, proof: bytes, ctx: TxContext) -> None:
    """Return if the key's holder named the sender its operator. Raises: BadPossessionProof."""
    named = codec.pack((ctx.chain_id, ctx.sender))
    try:
        signing.verify(consensus_key, PROOF_DOMAIN, named, proof)
    except signing.SignatureInvalid:
        raise BadPossessionProof("it is not this key's over chain id and sender") from None


def check(tx: RotateConsensusKey) -> None:
    """Apply the rules that need no state. Raises: WeakConsensusKey."""
    check_key(tx.consensus_key)


def apply(draft: Draft, tx: RotateConsensusKey, ctx: TxContext) -> tuple[Event, ...]:
    """Put the new key in the place of the old one, and burn the fee.

    Raises: UnknownValidator, ValidatorTombstoned, RotationTooSoon, RotationFeeTooLow,
    ConsensusKeyTaken, BadPossessionProof, InsufficientFunds.
    """
    before, rules = staking.found(draft, ctx.sender), params.STAKING.load(draft)
    _check_due(before, rules, ctx.block_time_ms)
    if tx.most_burned < rules.key_rotation_fee:
        raise RotationFeeTooLow(have=tx.most_burned, need=rules.key_rotation_fee)
    staking.claim_key(draft, tx.consensus_key, ctx.sender)
    check_proof(tx.consensus_key, tx.proof, ctx)
    holdings.burn(draft, ctx.sender, rules.key_rotation_fee)
    after = replace(before, consensus_key=tx.consensus_key, key_changed_at=ctx.block_time_ms)
    staking.replace_validator(draft, ctx.sender, before, after)
    return (ConsensusKeyRotated(ctx.sender, before.consensus_key, tx.consensus_key),)


def _check_due(before: stake.Validator, rules: params.Staking, now: EpochMs) -> None:
    if before.tombstoned:
        raise staking.ValidatorTombstoned("it signed twice and will never vote again")
    next_at = EpochMs(before.key_changed_at + rules.unbonding_ms)
    if now < next_at:
        raise RotationTooSoon(next_at)


FAMILY: Final = Family(
    type=15,
    name="rotate_consensus_key",
    shape=codec.Record(
        RotateConsensusKey,
        consensus_key=stake.CONSENSUS_KEY,
        proof=PROOF,
        most_burned=codec.U64,
    ),
    cost=Cost(300),
    check=check,
    apply=apply,
    spends=lambda tx: tx.most_burned,
)
