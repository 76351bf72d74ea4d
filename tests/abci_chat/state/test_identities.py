from __future__ import annotations

from abci_chat.state import identities
from abci_chat.state.identities import Identity
from dchat.kernel.ids import Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, MemoryState

RECORD = Identity("alice", ALICE.public_key, BOB.public_key, ("/a", "/b"), b"h" * 32, Height(3))


def test_a_saved_identity_comes_back() -> None:
    draft = Draft(MemoryState())

    identities.save(draft, ALICE.id, RECORD)

    assert (identities.load(draft, ALICE.id), identities.load(draft, BOB.id)) == (RECORD, None)
