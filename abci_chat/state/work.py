"""Work in place of a fee, for those who have no credits yet and must be able to act all the same.

`("work",)` holds `[level, since, anchored_at, [anchor, …]]`. Work is a salt that makes a hash
small; what is hashed names the chain, the account, its nonce, a recent anchor and the order itself,
so work is good for one order, once, and cannot be stored up for long. What it takes is a leaky
bucket: every use makes it harder, every so many blocks make up for one. Nothing ticks: what leaked
follows from the height.

Anchors are hashes of blocks, the newest first. Before the first there is one that every chain has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from abci_chat import keys
from abci_chat.params import WORK
from abci_chat.params import Work as Rules
from dchat.kernel import codec
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import TxContext
from dchat.kernel.ids import AccountId, ChainId, Height, Nonce
from dchat.kernel.store import Draft, State, read

ANCHOR_BYTES: Final = 32
MAX_SALT_BYTES: Final = 16
KEPT_ANCHORS: Final = 16
_TAG: Final = b"dchat/work/v1"
_FIRST_TAG: Final = b"dchat/work-anchor/v1"
_START: Final = Height(0)
_SPACE: Final = 1 << 256
_MOST_BITS: Final = 200
"""Nobody finds so many: the bound only keeps the number small."""


class NoWork(TxRejected):
    """The transaction carries neither a fee nor work."""

    code = 215


class UnknownAnchor(TxRejected):
    """The work is bound to a block that the chain no longer takes as recent."""

    code = 216


class TooLittleWork(TxRejected):
    """The work is less than it takes now. Attributes: have, need -- expected hashes."""

    code = 217

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"worked for {have} hashes, it takes {need}")
        self.have = have
        self.need = need


@dataclass(frozen=True, slots=True)
class Proof:
    """Work that was done; both parts are empty where a fee is paid instead."""

    anchor: bytes
    salt: bytes


@dataclass(frozen=True, slots=True)
class Bucket:
    """How much work was used lately, and what new work is bound to."""

    level: int = 0
    """Uses that blocks have not made up for, at the height `since`."""
    since: Height = _START
    anchored_at: Height = _START
    anchors: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Return the record as the state keeps it."""
        return BUCKET.encode(self)


NONE: Final = Proof(b"", b"")
"""A fee is paid."""
PROOF: Final = codec.Record(Proof, anchor=codec.Blob(ANCHOR_BYTES), salt=codec.Blob(MAX_SALT_BYTES))
BUCKET: Final = codec.Record(
    Bucket,
    level=codec.U64,
    since=codec.U64,
    anchored_at=codec.U64,
    anchors=codec.ListOf(codec.Fixed(ANCHOR_BYTES), KEPT_ANCHORS),
)
_EMPTY: Final = Bucket()


def load(state: State) -> Bucket:
    """Return the bucket, an empty one on a chain that nobody has used yet."""
    return read(state, keys.WORK, BUCKET) or _EMPTY


def first_anchor(chain_id: ChainId) -> bytes:
    """Return the anchor that a chain has before any block gave one."""
    return sha256(_FIRST_TAG + codec.pack(chain_id)).digest()


def anchors(bucket: Bucket, chain_id: ChainId) -> tuple[bytes, ...]:
    """Return what work may be bound to now, the newest first."""
    return bucket.anchors or (first_anchor(chain_id),)


def take_anchor(draft: Draft, chain_id: ChainId, block_hash: bytes, height: Height) -> bool:
    """Add the block to the anchors, if the last one is old enough; tell whether it was."""
    bucket = load(draft)
    if height < bucket.anchored_at + WORK.load(draft).anchor_blocks:
        return False
    kept = (block_hash, *anchors(bucket, chain_id))[:KEPT_ANCHORS]
    draft.put(keys.WORK, replace(bucket, anchored_at=height, anchors=kept))
    return True


def required(state: State, height: Height) -> int:
    """Return the hashes that one use takes at this height, as an expectation."""
    return takes(WORK.load(state), load(state), height)


def takes(rules: Rules, bucket: Bucket, height: Height) -> int:
    """Return the same from the two records that it depends on."""
    doublings, rest = divmod(_left(bucket, height, rules.cooling_blocks), rules.step)
    bits = min(rules.base_bits + doublings, _MOST_BITS)
    return (rules.step + rest << bits) // rules.step


def _left(bucket: Bucket, height: Height, cooling_blocks: int) -> int:
    return max(0, bucket.level - (height - bucket.since) // cooling_blocks)


def statement(chain_id: ChainId, account: AccountId, nonce: Nonce, anchor: bytes) -> bytes:
    """Return what the work of one transaction is bound to, besides the order itself."""
    return codec.pack((chain_id, account, nonce, anchor))


def task(bound_to: bytes, body: bytes) -> bytes:
    """Return what a salt is put behind and hashed; body is the order, encoded without its work."""
    return sha256(_TAG + sha256(body).digest() + bound_to).digest()


def worked(problem: bytes, salt: bytes) -> int:
    """Return how many hashes it takes, as an expectation, to find a salt as good as this."""
    return _SPACE // (int.from_bytes(sha256(problem + salt).digest(), "big") + 1)


def check(state: State, proof: Proof, body: bytes, ctx: TxContext) -> int:
    """Return what was worked for the order. Raises: NoWork, UnknownAnchor, TooLittleWork."""
    if proof == NONE:
        raise NoWork("pay the fee, or work")
    if proof.anchor not in anchors(load(state), ctx.chain_id):
        raise UnknownAnchor("the anchor is not recent")
    bound_to = statement(ctx.chain_id, ctx.sender, ctx.nonce, proof.anchor)
    have, need = worked(task(bound_to, body), proof.salt), required(state, ctx.height)
    if have < need:
        raise TooLittleWork(have, need)
    return have


def use(draft: Draft, proof: Proof, body: bytes, ctx: TxContext) -> None:
    """Make the next use harder where work was done for this order, nothing where a fee was paid.

    Raises: UnknownAnchor, TooLittleWork: who pays cannot make it harder for others by a salt alone.
    """
    if proof == NONE:
        return
    check(draft, proof, body, ctx)
    bucket, cooling = load(draft), WORK.load(draft).cooling_blocks
    left = _left(bucket, ctx.height, cooling)
    since = bucket.since + (bucket.level - left) * cooling if left else ctx.height
    draft.put(keys.WORK, replace(bucket, level=left + 1, since=Height(since)))
