"""Anchors: the family that fixes how far a conversation's hash chain goes, whoever sends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat.state import conversations
from abci_chat.state.conversations import Anchor
from dchat.kernel import codec, signing
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import ChainId, Cost
from dchat.kernel.store import Draft


class AnchorNotNewer(TxRejected):
    """The conversation is anchored further on already. Attributes: have, need."""

    code = 298

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"number {have}, the next anchor has {need} or more")
        self.have = have
        self.need = need


class BadAnchorSignature(TxRejected):
    """The anchor is not signed by the conversation's key for this chain."""

    code = 299


@dataclass(frozen=True, slots=True)
class SetAnchor:
    """Fix the head of a conversation's hash chain."""

    conversation: bytes
    number: int
    head: bytes
    signature: bytes
    """The conversation key's; see state/conversations.py."""


@dataclass(frozen=True, slots=True)
class Anchored(Event):
    """A conversation's chain is fixed up to there."""

    conversation: bytes
    number: int
    head: bytes


def sign(seed: bytes, chain_id: ChainId, number: int, head: bytes) -> SetAnchor:
    """Return the order that anchors the conversation whose key has this seed."""
    key = signing.public_key(seed)
    said = conversations.statement(chain_id, key, number, head)
    return SetAnchor(key, number, head, signing.sign(seed, conversations.DOMAIN, said))


def check(tx: SetAnchor) -> None:
    """Accept every anchor: its signature names the chain, so it is judged there."""


def apply(draft: Draft, tx: SetAnchor, ctx: TxContext) -> tuple[Event, ...]:
    """Replace the conversation's anchor. Raises: BadAnchorSignature, AnchorNotNewer."""
    said = conversations.statement(ctx.chain_id, tx.conversation, tx.number, tx.head)
    try:
        signing.verify(tx.conversation, conversations.DOMAIN, said, tx.signature)
    except signing.SignatureInvalid:
        raise BadAnchorSignature("not the conversation's key for this number and head") from None
    last = conversations.load(draft, tx.conversation)
    if last is not None and tx.number <= last.number:
        raise AnchorNotNewer(tx.number, last.number + 1)
    conversations.save(draft, tx.conversation, Anchor(tx.number, tx.head, ctx.block_time_ms))
    return (Anchored(tx.conversation, tx.number, tx.head),)


FAMILY: Final = Family(
    type=42,
    name="set_anchor",
    shape=codec.Record(
        SetAnchor,
        conversation=conversations.CONVERSATION,
        number=codec.U64,
        head=conversations.HEAD,
        signature=codec.Fixed(signing.SIGNATURE_BYTES),
    ),
    cost=Cost(110),
    check=check,
    apply=apply,
)
