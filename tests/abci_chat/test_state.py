from __future__ import annotations

from abci_chat import state
from abci_chat.state import Identity
from dchat.kernel.ids import Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, MemoryState

RECORD = Identity("alice", ALICE.public_key, BOB.public_key, ("/a", "/b"), b"h" * 32, Height(3))


def test_a_saved_identity_comes_back() -> None:
    draft = Draft(MemoryState())

    state.save_identity(draft, ALICE.id, RECORD)

    assert (state.identity(draft, ALICE.id), state.identity(draft, BOB.id)) == (RECORD, None)


def test_a_claimed_handle_names_its_owner() -> None:
    draft = Draft(MemoryState())

    state.claim_handle(draft, "alice", ALICE.id)

    assert (state.handle_owner(draft, "alice"), state.handle_owner(draft, "bob")) == (
        ALICE.id,
        None,
    )
