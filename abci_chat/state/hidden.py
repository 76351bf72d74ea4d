"""Hidden members: leaves of a tree whose root alone is in the state.

    seat   SHA-256("dchat/channel-seat/v1" ‖ [account, blind])
    leaf   SHA-256("dchat/channel-leaf/v1" ‖ [channel, seat, role])    member or moderator

The tree is that of RFC 6962, filled up to one of SIZES with leaves that nobody can open: its depth
and every place in it tell the class of its size and nothing more. A member who acts shows role,
blind and path, and is then known to be one. A seat without its account shows what role a removed
leaf had, so that a moderator can remove members only, and still not whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from abci_chat import keys
from abci_chat.state.channels import Role
from abci_chat.state.epochs import Epoch
from dchat.kernel import codec
from dchat.kernel.errors import TxRejected
from dchat.kernel.headers import merkle_root
from dchat.kernel.ids import AccountId
from dchat.kernel.inclusion import NotProved, Path, path_of, root_by
from dchat.kernel.store import Draft, State

BLIND_BYTES: Final = 32
HASH_BYTES: Final = 32
SIZES: Final = (16, 64, 256, 1024, 4096, 16384, 65536)
"""Leaves that a tree has, for as many members at most."""
MAX_AUNTS: Final = SIZES[-1].bit_length() - 1
_SEAT_TAG: Final = b"dchat/channel-seat/v1"
_LEAF_TAG: Final = b"dchat/channel-leaf/v1"
_PRESENT: Final = codec.pack(())


class BadHiddenProof(TxRejected):
    """What was shown does not lead to the root of the channel's present epoch."""

    code = 266


class RemovedLeaf(TxRejected):
    """The member's leaf was removed since the tree was made."""

    code = 267


@dataclass(frozen=True, slots=True)
class HiddenProof:
    """What a hidden member shows to act; the account is that of the sender."""

    role: Role
    blind: bytes
    index: int
    """Place of the leaf, from 0."""
    aunts: tuple[bytes, ...]
    """Hashes of the other halves, lowest first."""


HIDDEN_PROOF: Final = codec.Record(
    HiddenProof,
    role=codec.Choice(Role),
    blind=codec.Fixed(BLIND_BYTES),
    index=codec.U64,
    aunts=codec.ListOf(codec.Fixed(HASH_BYTES), MAX_AUNTS),
)
MAYBE_PROOF: Final = codec.ListOf(HIDDEN_PROOF, 1)
"""One where members are hidden, none where they are listed."""


def seat(who: AccountId, blind: bytes) -> bytes:
    """Return what stands for a member in a leaf; blind is 32 random bytes of its own."""
    return sha256(_SEAT_TAG + codec.pack((who, blind))).digest()


def leaf(channel_id: bytes, seat: bytes, role: Role) -> bytes:
    """Return a member's leaf."""
    return sha256(_LEAF_TAG + codec.pack((channel_id, seat, int(role)))).digest()


def proved(
    state: State, channel_id: bytes, who: AccountId, shown: HiddenProof, epoch: Epoch
) -> Role:
    """Return the role that a member's path proves in an epoch.

    Raises: BadHiddenProof, RemovedLeaf.
    """
    if shown.role is Role.OWNER:
        raise BadHiddenProof("no tree makes an owner")
    mine = leaf(channel_id, seat(who, shown.blind), shown.role)
    try:
        reached = root_by(Path(shown.index, epoch.size_class, shown.aunts), mine)
    except NotProved as fault:
        raise BadHiddenProof(f"no member's path: {fault}") from None
    if reached != epoch.member_root:
        raise BadHiddenProof("the path leads to another root; prove it for the present epoch")
    if is_removed(state, channel_id, mine):
        raise RemovedLeaf("the member was removed")
    return shown.role


def is_removed(state: State, channel_id: bytes, leaf: bytes) -> bool:
    """Tell whether a leaf counts no more."""
    return state.get(keys.removed_leaf(channel_id, leaf)) is not None


def remove(draft: Draft, channel_id: bytes, leaf: bytes) -> None:
    """Let a leaf count no more, in this tree and in every later one."""
    draft.put(keys.removed_leaf(channel_id, leaf), _PRESENT)


def size_of(count: int) -> int | None:
    """Return the class of a tree for so many members, None where there are too many."""
    return next((size for size in SIZES if count <= size), None)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root of a whole tree, as many leaves as its class says."""
    return merkle_root(leaves)


def prove(role: Role, blind: bytes, index: int, leaves: Sequence[bytes]) -> HiddenProof:
    """Return what the member of the leaf at that place in a whole tree shows."""
    return HiddenProof(role, blind, index, path_of(index, leaves).aunts)
