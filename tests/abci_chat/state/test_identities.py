from __future__ import annotations

from abci_chat.state import handles, identities
from abci_chat.state.identities import Identity
from dchat.kernel.ids import Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, MemoryState

RECORD = Identity("alice", ALICE.public_key, BOB.public_key, ("/a", "/b"), b"h" * 32, Height(3))


def test_a_saved_identity_comes_back() -> None:
    draft = Draft(MemoryState())

    identities.save(draft, ALICE.id, RECORD)

    assert (identities.load(draft, ALICE.id), identities.load(draft, BOB.id)) == (RECORD, None)


def test_a_claimed_handle_names_its_owner() -> None:
    draft = Draft(MemoryState())

    handles.claim(draft, "alice", ALICE.id)

    assert (handles.owner(draft, "alice"), handles.owner(draft, "bob")) == (
        ALICE.id,
        None,
    )
