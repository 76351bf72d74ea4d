"""What is signed of posts, and how a single one is proved under the record of its batch.

A post is a commitment of 32 bytes to a content that the chain never sees. An author's posts of one
batch are a part, whose root is the RFC 6962 root of their commitments; the batch's is that of its
parts as `TAG ‖ [offset, author, device, counter, count, root]`. So a post is proved by its place
in a part, the part by its place in the batch, the batch by its record, and that by the app hash.
The number of the post follows: that of the batch's first, the part's offset, the place in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dchat.kernel import codec, inclusion
from dchat.kernel.headers import merkle_root
from dchat.kernel.ids import ChainId
from dchat.kernel.inclusion import NotProved, Path

DOMAIN: Final = b"dchat/post/v1"
NOBODY: Final = b""
"""The author, and device, of posts of a private channel: any of its members."""
_PART_TAG: Final = b"dchat/post-part/v1"


@dataclass(frozen=True, slots=True)
class Part:
    """Posts in a row, of one author."""

    author: bytes
    device: bytes
    """The Ed25519 key that signed."""
    counter: int
    """How many posts the author had made in this channel before."""
    count: int
    root: bytes
    """RFC 6962 root of the commitments."""


@dataclass(frozen=True, slots=True)
class PostProof:
    """What shows that a commitment is in a batch."""

    part: Part
    offset: int
    """Posts of the batch that come before the part."""
    in_part: Path
    in_batch: Path


def statement(chain_id: ChainId, channel_id: bytes, epoch: int, part: Part) -> bytes:
    """Return what the part's device signs under DOMAIN.

    Posts of a private channel are signed with the epoch's posting key, and stand here under the
    account that sends them and the nonce by which it does, so that nobody can send them again.
    """
    return codec.pack(
        (chain_id, channel_id, epoch, part.author, part.counter, part.count, part.root)
    )


def root_of(parts: Sequence[Part]) -> bytes:
    """Return the root over all parts of a batch."""
    return merkle_root(_leaves(parts))


def prove(parts: Sequence[Part], at: int, commitments: Sequence[bytes], place: int) -> PostProof:
    """Return the proof of the post at a place of part number `at`, whose commitments these are."""
    offset = sum(part.count for part in parts[:at])
    in_part = inclusion.path_of(place, commitments)
    return PostProof(parts[at], offset, in_part, inclusion.path_of(at, _leaves(parts)))


def check(root: bytes, parts: int, proof: PostProof, commitment: bytes) -> int:
    """Return how many posts of a batch come before the one of this commitment.

    Root and number of parts are known from the batch's record. Raises: NotProved.
    """
    part, paths = proof.part, (proof.in_part, proof.in_batch)
    if tuple(path.total for path in paths) != (part.count, parts):
        raise NotProved("the post is not proved: a path for another number of posts or parts")
    if inclusion.root_by(proof.in_part, commitment) != part.root:
        raise NotProved("the post is not proved: not in the part")
    if inclusion.root_by(proof.in_batch, _leaf(proof.offset, part)) != root:
        raise NotProved("the post is not proved: the part is not in the batch")
    return proof.offset + proof.in_part.index


def _leaves(parts: Sequence[Part]) -> list[bytes]:
    leaves: list[bytes] = []
    offset = 0
    for part in parts:
        leaves.append(_leaf(offset, part))
        offset += part.count
    return leaves


def _leaf(offset: int, part: Part) -> bytes:
    fields = (offset, part.author, part.device, part.counter, part.count, part.root)
    return _PART_TAG + codec.pack(fields)
