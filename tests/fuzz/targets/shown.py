"""What people show: that they are hidden members, that a post is there, what their keys were."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

from abci_chat.state import hidden, post_proofs
from abci_chat.state.channels import Role
from abci_chat.state.epochs import Epoch
from abci_chat.state.hidden import HIDDEN_PROOF, BadHiddenProof
from abci_chat.state.identities import LOG_ENTRY, LogEntry
from abci_chat.state.post_proofs import Part
from abci_chat.state.targets import PROOF_OF_POST, Shown
from dchat.client.core import keylog
from dchat.client.core.keylog import BrokenLog
from dchat.kernel import codec
from dchat.kernel.codec import CodecError
from dchat.kernel.headers import merkle_root
from dchat.kernel.inclusion import NotProved
from tests.dchat.client.core import test_keylog as logs
from tests.fakes.channels import Tree, blind
from tests.fakes.memory import ALICE, BOB, MemoryState
from tests.fakes.posting import PUBLIC, commitments
from tests.fuzz.mutate import change_bytes, change_values
from tests.fuzz.target import Target, named

TREE: Final = Tree(PUBLIC, alice=Role.MODERATOR, bob=Role.MEMBER)
EPOCH: Final = Epoch(3, member_root=TREE.root, size_class=TREE.size)
LEAVES: Final = (commitments(3), commitments(1, 10), commitments(5, 20))
PARTS: Final = tuple(
    Part(who.id, who.public_key, 0, len(own), merkle_root(own))
    for who, own in zip((ALICE, BOB, ALICE), LEAVES, strict=True)
)
ROOT: Final = post_proofs.root_of(PARTS)
ALL: Final = tuple(leaf for own in LEAVES for leaf in own)
LOG: Final = tuple(logs.log(logs.BEGUN, logs.ADDED, logs.REVOKED, logs.ROTATED, logs.RECOVERED))
RECORD: Final = logs.record(list(LOG), logs.THIRD)
ENTRIES: Final = codec.ListOf(LOG_ENTRY, 16)


def _member(encoded: bytes) -> str:
    """A path makes bob what he is in the tree, and nobody else anything."""
    shown = HIDDEN_PROOF.decode(encoded)
    role = hidden.proved(MemoryState(), PUBLIC, BOB.id, shown, EPOCH)
    assert role is Role.MEMBER
    assert shown == TREE.proof(BOB), "a second proof of one seat"
    return "member"


def _post(encoded: bytes) -> str:
    """A proof is good for the post that is at its place, and for no other."""
    shown = PROOF_OF_POST.decode(encoded)
    place = post_proofs.check(ROOT, len(PARTS), shown.proof, shown.commitment)
    assert ALL[place] == shown.commitment, f"proved that {place} is another"
    assert shown.proof == _proof(place).proof, "a second proof of one post"
    return f"post {place}"


def _log(encoded: bytes) -> str:
    """Only the whole log is one."""
    entries: tuple[LogEntry, ...] = ENTRIES.decode(encoded)
    keylog.audit(RECORD, entries)
    assert entries == LOG, "another log than the one that the record names"
    return "log"


def _proof(place: int) -> Shown:
    at = next(n for n in range(len(PARTS)) if place < sum(len(own) for own in LEAVES[: n + 1]))
    inside = place - sum(len(own) for own in LEAVES[:at])
    return Shown(1, ALL[place], post_proofs.prove(PARTS, at, LEAVES[at], inside))


KINDS: Final[tuple[Callable[[bytes], str], ...]] = (_member, _post, _log)


def judge(data: bytes) -> str:
    """The first byte chooses what is shown; it is what is true, or it is refused."""
    try:
        return "shown: " + KINDS[int.from_bytes(data[:1], "big") % len(KINDS)](data[1:])
    except (CodecError, BadHiddenProof, NotProved, BrokenLog) as fault:
        return named(fault)


def _change(rng: Random, data: bytes) -> bytes:
    return data[:1] + change_values(rng, data[1:])


def _seeds() -> tuple[bytes, ...]:
    others: tuple[Any, ...] = (TREE.proof(BOB), TREE.proof(ALICE))
    assert blind(BOB) == others[0].blind
    return (
        *(b"\0" + HIDDEN_PROOF.encode(each) for each in others),
        *(b"\1" + PROOF_OF_POST.encode(_proof(place)) for place in range(len(ALL))),
        *(b"\2" + ENTRIES.encode(each) for each in (LOG, LOG[:-1], (*LOG, LOG[-1]))),
    )


TARGET: Final = Target(
    "shown",
    "a hidden seat, a post or a key log is believed where it is true only, and in one encoding",
    judge,
    _seeds(),
    (_change, _change, change_bytes),
)
