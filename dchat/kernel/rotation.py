"""Rotations: an account gets another key and keeps its id; the family is the same on both chains.

The old key signs the transaction, the new one the proof that it is somebody's: over DOMAIN ‖
canonical `[chain id, account id, key version]`, the version being the one that the key will have.
So a proof is good for one account, on one chain, once.

Two accounts may have one key: an account is named by its id, every envelope names its sender, and
to forbid it would take an index of all keys. A key that an account had before may come back, where
its owner signs with it anew; the chain remembers the present key alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from dchat.kernel import accounts, codec, signing
from dchat.kernel.errors import BadKeyProof, SameKey, WeakKey
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, ChainId, Cost
from dchat.kernel.store import Draft

DOMAIN: Final = b"dchat/rotate-key/v1"
COST: Final = Cost(150)
"""A second signature (57 us), the new key's strength (50), and a record that follows (30)."""

Follow = Callable[[Draft, bytes, TxContext], None]
"""What else on a chain names the sender's key, and is brought in line with the new one."""


@dataclass(frozen=True, slots=True)
class RotateKey:
    """Let another key sign for the sender from the next transaction on."""

    public_key: bytes
    proof: bytes
    """The new key's signature; see the module."""


@dataclass(frozen=True, slots=True)
class KeyRotated(Event):
    """An account has another key."""

    account: AccountId
    public_key: bytes
    key_version: int


def prove(seed: bytes, chain_id: ChainId, account: AccountId, key_version: int) -> RotateKey:
    """Return the order that makes the seed's key the account's key of that version."""
    statement = _statement(chain_id, account, key_version)
    return RotateKey(signing.public_key(seed), signing.sign(seed, DOMAIN, statement))


def check(tx: RotateKey) -> None:
    """Apply the rules that need no state. Raises: WeakKey."""
    if not signing.is_strong(tx.public_key):
        raise WeakKey("small order or not canonical")


def family(type_number: int, follow: Follow, cost: Cost = COST) -> Family[RotateKey]:
    """Return the family under a chain's number; follow runs once the account has its new key.

    cost: COST, and what follow takes beyond one record.
    """

    def apply(draft: Draft, tx: RotateKey, ctx: TxContext) -> tuple[Event, ...]:
        told = _rotate(draft, tx, ctx)
        follow(draft, tx.public_key, ctx)
        return (told,)

    shape = codec.Record(
        RotateKey,
        public_key=codec.Fixed(signing.PUBLIC_KEY_BYTES),
        proof=codec.Fixed(signing.SIGNATURE_BYTES),
    )
    return Family(type_number, "rotate_key", shape, cost, check, apply, rekeys=True)


def _rotate(draft: Draft, tx: RotateKey, ctx: TxContext) -> KeyRotated:
    """Give the sender its new key. Raises: SameKey, BadKeyProof."""
    held = accounts.load(draft, ctx.sender)
    version = held.key_version + 1
    if tx.public_key == held.public_key:
        raise SameKey(f"it is key {held.key_version} of the account")
    statement = _statement(ctx.chain_id, ctx.sender, version)
    try:
        signing.verify(tx.public_key, DOMAIN, statement, tx.proof)
    except signing.SignatureInvalid:
        raise BadKeyProof(
            f"not the new key's signature as key {version} of this account on {ctx.chain_id}"
        ) from None
    renewed = replace(held, public_key=tx.public_key, key_version=version)
    accounts.save(draft, ctx.sender, renewed)
    return KeyRotated(ctx.sender, tx.public_key, version)


def _statement(chain_id: ChainId, account: AccountId, key_version: int) -> bytes:
    return codec.pack((chain_id, account, key_version))
