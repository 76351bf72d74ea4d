"""Anchors: how far the hash chain of a conversation goes, which names none of its members.

    ("anchor", conversation)  [number, head, at]

The conversation's name is an Ed25519 key that its members share. It signs each anchor, which
anybody may then submit: the chain learns neither who talks nor with how many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat import keys
from dchat.kernel import codec, signing
from dchat.kernel.ids import ChainId, EpochMs
from dchat.kernel.store import Draft, State, read

DOMAIN: Final = b"dchat/anchor/v1"
CONVERSATION: Final = codec.Fixed(signing.PUBLIC_KEY_BYTES)
HEAD: Final = codec.Fixed(32)


@dataclass(frozen=True, slots=True)
class Anchor:
    """Up to where a conversation's chain is fixed."""

    number: int
    """Of the last message under it; rises from anchor to anchor, by any step."""
    head: bytes
    """The hash chain's head there."""
    at: EpochMs
    """Block time: the messages are older."""


ANCHOR: Final = codec.Record(Anchor, number=codec.U64, head=HEAD, at=codec.U64)


def statement(chain_id: ChainId, conversation: bytes, number: int, head: bytes) -> bytes:
    """Return what the conversation's key signs under DOMAIN."""
    return codec.pack((chain_id, conversation, number, head))


def load(state: State, conversation: bytes) -> Anchor | None:
    """Return the conversation's last anchor, None before the first."""
    return read(state, keys.anchor(conversation), ANCHOR)


def save(draft: Draft, conversation: bytes, record: Anchor) -> None:
    """Write the conversation's last anchor."""
    draft.put(keys.anchor(conversation), ANCHOR.encode(record))
