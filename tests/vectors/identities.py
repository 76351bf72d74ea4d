"""What is sent for the golden vectors of identities, handles and work."""

from __future__ import annotations

from dataclasses import replace

from abci_chat.machine import MACHINE as CHAT
from abci_chat.state import handles
from abci_chat.state.handles import Handle
from abci_chat.txs.handle import (
    CLAIM,
    COMMIT,
    RELEASE,
    TRANSFER,
    ClaimHandle,
    CommitHandle,
    ReleaseHandle,
    TransferHandle,
)
from abci_chat.txs.identity import (
    DEACTIVATE,
    REGISTER,
    UPDATE_PREKEYS,
    UPDATE_RELAYS,
    Deactivate,
    RegisterIdentity,
    UpdatePrekeys,
    UpdateRelays,
)
from dchat.kernel import signing
from dchat.kernel.ids import Height
from tests.fakes import toil
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, MemoryState, Person, opened, signed

PEER = "12D3KooWGRUvh9kLTZ5ekLEo3yTVmNdsjKLNJGJ6ZT2kFuLxXy9B"
RELAYS = tuple(f"/ip4/192.0.2.{at}/tcp/7070/p2p/{PEER}" for at in (1, 2))
SALT = b"s" * 32
FORM = RegisterIdentity("alice", SALT, signing.public_key(b"i" * 32), RELAYS[:1], b"h" * 32)
BARE = replace(FORM, handle="", salt=b"")


def start() -> MemoryState:
    """Return the state in which alice and bob can pay, and carol can only work."""
    return toil.eased(opened(CHAT, alice=100_000, bob=50_000))


def orders() -> list[bytes]:
    """Return one transaction for each of as many blocks, from height 1 on."""
    held = Handle("alice", ALICE.id)
    until = Height(50)
    passed = handles.accept(BOB.seed, CHAIN, held, BOB.id, until)
    return [
        _commit(ALICE, "alice", 0),
        signed(ALICE, REGISTER.body(FORM), 1),
        signed(BOB, REGISTER.body(FORM)),
        signed(ALICE, UPDATE_RELAYS.body(UpdateRelays(RELAYS)), 2),
        signed(ALICE, UPDATE_PREKEYS.body(UpdatePrekeys(b"n" * 32)), 3),
        signed(BOB, UPDATE_PREKEYS.body(UpdatePrekeys(b"n" * 32)), 1),
        signed(BOB, REGISTER.body(BARE), 2),
        signed(ALICE, TRANSFER.body(TransferHandle(BOB.id, until, bytes(64))), 4),
        signed(ALICE, TRANSFER.body(TransferHandle(BOB.id, until, passed)), 5),
        signed(BOB, RELEASE.body(ReleaseHandle()), 3),
        _commit(BOB, "b0b", 4),
        signed(BOB, CLAIM.body(ClaimHandle("alice", SALT)), 5),
        signed(BOB, CLAIM.body(ClaimHandle("b0b", SALT)), 6),
        signed(BOB, DEACTIVATE.body(Deactivate()), 7),
        toil.registration(start(), CAROL, BARE, height=15),
        toil.free(CAROL, REGISTER.body(BARE), 1),
    ]


def _commit(who: Person, name: str, nonce: int) -> bytes:
    digest = handles.commitment(CHAIN, who.id, name, SALT)
    return signed(who, COMMIT.body(CommitHandle(digest)), nonce)
