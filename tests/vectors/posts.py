"""What the vectors of posts, expiry and anchors begin with, and what is sent to them."""

from __future__ import annotations

from dataclasses import replace

from abci_chat.state.post_proofs import NOBODY, Part
from abci_chat.txs import anchor, expire, post
from abci_chat.txs.expire import ExpirePosts
from abci_chat.txs.post import Post, PostBatch, SignedPart
from dchat.kernel.codec import Raw
from dchat.kernel.ids import Amount, Cost
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, MemoryState, Person, signed
from tests.fakes.posting import (
    DEVICE,
    DEVICE_SEED,
    EPOCH,
    OPEN,
    POSTING_SEED,
    PRIVATE,
    PUBLIC,
    Room,
    commitment,
    commitments,
    part_of,
)

CONVERSATION = b"\x55" * 32
"""The seed of its key."""


def start() -> MemoryState:
    """Return a state with a public and a private channel that keep posts for five milliseconds."""
    return Room(replace(OPEN, retention_ms=5)).state


def orders() -> list[bytes]:
    """Return every order once as it is carried out, and those that are refused most often."""
    one = Post(PUBLIC, EPOCH, 0, commitment(7))
    device = part_of(BOB.id, DEVICE, 0, commitments(3))
    own = part_of(CAROL.id, CAROL.public_key, 1, commitments(1000))
    both = (_signed(DEVICE_SEED, PUBLIC, device), _signed(CAROL.seed, PUBLIC, own))
    hidden = part_of(CAROL.id, NOBODY, 4, commitments(16))
    unnamed = post.unnamed(_signed(POSTING_SEED, PRIVATE, hidden))
    last = anchor.sign(CONVERSATION, CHAIN, 9, b"h" * 32)
    return [
        _sent(CAROL, post.POST.body(one)),
        _sent(CAROL, post.POST.body(one), 1),
        _sent(ALICE, post.BATCH.body(PostBatch(PUBLIC, EPOCH, both))),
        _sent(ALICE, post.BATCH.body(PostBatch(PUBLIC, EPOCH, both)), 1),
        _sent(CAROL, post.POST.body(replace(one, channel=PRIVATE)), 2),
        _sent(CAROL, post.POST.body(replace(one, epoch=EPOCH + 1)), 3),
        _sent(CAROL, post.BATCH.body(PostBatch(PRIVATE, EPOCH, (unnamed,))), 4),
        _sent(CAROL, post.BATCH.body(PostBatch(PRIVATE, EPOCH, (unnamed,))), 5),
        _sent(BOB, expire.FAMILY.body(ExpirePosts(PUBLIC, (1, 2)))),
        _sent(BOB, expire.FAMILY.body(ExpirePosts(PUBLIC, (2,))), 1),
        _sent(BOB, expire.FAMILY.body(ExpirePosts(PRIVATE, (1,))), 2),
        _sent(BOB, anchor.FAMILY.body(last), 3),
        _sent(BOB, anchor.FAMILY.body(last), 4),
    ]


def _signed(seed: bytes, channel: bytes, part: Part) -> SignedPart:
    return post.sign(seed, CHAIN, channel, EPOCH, part)


def _sent(who: Person, body: tuple[Raw, ...], nonce: int = 0) -> bytes:
    return signed(who, body, nonce, fee=Amount(5000), cost_limit=Cost(5000))
