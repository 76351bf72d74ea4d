from __future__ import annotations

from abci_chat.state import conversations
from abci_chat.state.conversations import Anchor
from dchat.kernel.ids import ChainId, EpochMs
from dchat.kernel.store import Draft
from tests.fakes.memory import CHAIN, MemoryState

NAME = b"n" * 32
RECORD = Anchor(3, b"h" * 32, EpochMs(5))


def test_each_conversation_has_its_own_anchor() -> None:
    draft = Draft(MemoryState())
    conversations.save(draft, NAME, RECORD)

    assert conversations.load(draft, NAME) == RECORD
    assert conversations.load(draft, b"o" * 32) is None


def test_what_is_signed_names_the_chain() -> None:
    here, there = (
        conversations.statement(chain, NAME, 3, b"h" * 32) for chain in (CHAIN, ChainId("test-2"))
    )

    assert here != there
