"""Handles: names that lead to an identity, one for each identity at most.

Names that look alike are one name: they have a skeleton in common, under which the chain keeps
whoever holds one of them. A name is committed first and revealed in a later block, or whoever reads
what waits for a block could take it. One that was given up is nobody's for a while, so that nobody
is taken for its holder at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from abci_chat import keys
from abci_chat.params import IDENTITIES
from dchat.kernel import codec, signing
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import TxContext
from dchat.kernel.ids import AccountId, ChainId, EpochMs, Height
from dchat.kernel.store import Draft, State, read

MAX_BYTES: Final = 32
SALT_BYTES: Final = 32
COMMITMENT_BYTES: Final = 32
_FORM: Final = re.compile(r"[a-z0-9_]{3,32}", re.ASCII)
_COMMIT_TAG: Final = b"dchat/handle/v1"
ACCEPT_DOMAIN: Final = b"dchat/accept-handle/v1"
_HELD: Final = EpochMs(0)


class BadHandle(TxRejected):
    """A handle is 3 to 32 of a-z, 0-9 and the underscore, and not of underscores alone."""

    code = 200


class HandleTaken(TxRejected):
    """Somebody holds the handle, or one that looks like it."""

    code = 201


class HandleReserved(TxRejected):
    """Whoever had the handle would be taken for somebody with a say in the network."""

    code = 207


class HandleNotCommitted(TxRejected):
    """The sender has not committed to this handle with this salt in an earlier block."""

    code = 208


class CommitmentExpired(TxRejected):
    """The handle was committed to too long ago. Attributes: last, height."""

    code = 209

    def __init__(self, last: int, height: int) -> None:
        super().__init__(f"to be revealed until height {last}, this is {height}")
        self.last = last
        self.height = height


class HandleResting(TxRejected):
    """The handle was given up and is nobody's for a while. Attributes: until_ms."""

    code = 210

    def __init__(self, until_ms: int) -> None:
        super().__init__(f"until block time {until_ms}")
        self.until_ms = until_ms


@dataclass(frozen=True, slots=True)
class Handle:
    """One name, and whose it is or was."""

    name: str
    """As its holder spells it."""
    owner: AccountId
    changes: int = 0
    """How often it was claimed or passed on: what a consent to take it is bound to."""
    free_from: EpochMs = _HELD
    """Block time from which it may be claimed, 0 while somebody holds it."""

    def encode(self) -> bytes:
        """Return the record as the state keeps it."""
        return HANDLE.encode(self)


@dataclass(frozen=True, slots=True)
class Commitment:
    """What an account has promised to reveal."""

    digest: bytes
    height: Height

    def encode(self) -> bytes:
        """Return the record as the state keeps it."""
        return COMMITMENT.encode(self)


HANDLE: Final = codec.Record(
    Handle,
    name=codec.Text(MAX_BYTES),
    owner=ACCOUNT_ID,
    changes=codec.U64,
    free_from=codec.U64,
)
COMMITMENT: Final = codec.Record(Commitment, digest=codec.Fixed(COMMITMENT_BYTES), height=codec.U64)


def skeleton(name: str) -> str:
    """Return what all names that look like this one have in common.

    0 is o, 1 is l, m is rn, w is vv, and underscores do not count. Two letters stand for one that
    looks like them, never the other way round: else vvv would have two skeletons.
    """
    plain = name.replace("_", "").replace("0", "o").replace("1", "l")
    return plain.replace("m", "rn").replace("w", "vv")


RESERVED: Final = frozenset(
    map(
        skeleton,
        (
            "admin",
            "administrator",
            "all",
            "anonymous",
            "channel",
            "contact",
            "everybody",
            "everyone",
            "governance",
            "help",
            "helpdesk",
            "here",
            "info",
            "juror",
            "jury",
            "moderation",
            "moderator",
            "mods",
            "nobody",
            "notice",
            "null",
            "official",
            "operator",
            "postmaster",
            "root",
            "security",
            "staff",
            "support",
            "system",
            "team",
            "treasury",
            "undefined",
            "validator",
        ),
    )
)
"""Skeletons that nobody gets."""
_OURS: Final = skeleton("dchat")
"""What no skeleton begins with: account ids do, and so would whoever speaks for the network."""


def check(name: str) -> None:
    """Return if the name has an allowed form. Raises: BadHandle, HandleReserved."""
    looks = skeleton(name)
    if not _FORM.fullmatch(name) or not looks:
        raise BadHandle(f"{name!r} is no handle")
    also = skeleton(name.replace("1", "i"))  # in place of an i, a 1 fools nobody but whom it is for
    if looks in RESERVED or also in RESERVED or looks.startswith(_OURS):
        raise HandleReserved(f"{name!r} is nobody's")


def commitment(chain_id: ChainId, account: AccountId, name: str, salt: bytes) -> bytes:
    """Return what an account commits to before it reveals name and salt."""
    return sha256(_COMMIT_TAG + codec.pack((chain_id, account, name, salt))).digest()


def load(state: State, name: str) -> Handle | None:
    """Return the record of names that look like this one, None where none was ever claimed."""
    return read(state, keys.handle(skeleton(name)), HANDLE)


def owner(state: State, name: str) -> AccountId | None:
    """Return who holds exactly this name, None where nobody does."""
    return _holder(load(state, name), name)


def holder(record: bytes | None, name: str) -> AccountId | None:
    """Return whose exactly this name is by a record that was proved. Raises: CodecError."""
    return _holder(HANDLE.decode(record) if record else None, name)


def _holder(found: Handle | None, name: str) -> AccountId | None:
    return found.owner if found and found.name == name and not found.free_from else None


def commit(draft: Draft, account: AccountId, digest: bytes, height: Height) -> None:
    """Remember what the account commits to, in place of what it committed to before."""
    draft.put(keys.handle_commitment(account), Commitment(digest, height))


def check_claim(state: State, name: str, salt: bytes, ctx: TxContext) -> None:
    """Return if the sender can claim the name.

    Raises: HandleTaken, HandleResting, HandleNotCommitted, CommitmentExpired.
    """
    _check_free(state, name, ctx.block_time_ms)
    digest = commitment(ctx.chain_id, ctx.sender, name, salt)
    made = read(state, keys.handle_commitment(ctx.sender), COMMITMENT)
    if made is None or made.digest != digest or made.height >= ctx.height:
        raise HandleNotCommitted("no such commitment in an earlier block")
    last = made.height + IDENTITIES.load(state).reveal_blocks
    if ctx.height > last:
        raise CommitmentExpired(last, ctx.height)


def _check_free(state: State, name: str, now: EpochMs) -> None:
    found = load(state, name)
    if found is None:
        return
    if not found.free_from:
        raise HandleTaken(f"{found.name!r} belongs to somebody")
    if now < found.free_from:
        raise HandleResting(found.free_from)


def claim(draft: Draft, name: str, who: AccountId) -> None:
    """Make the free name the owner's, whose commitment is used up."""
    before = load(draft, name)
    changes = before.changes + 1 if before else 0
    draft.put(keys.handle(skeleton(name)), Handle(name, who, changes))
    draft.delete(keys.handle_commitment(who))


def release(draft: Draft, name: str, now: EpochMs) -> EpochMs:
    """Take the name from its holder; return when somebody else can claim it."""
    held = load(draft, name)
    free_from = EpochMs(now + IDENTITIES.load(draft).handle_release_ms)
    if held is not None:
        draft.put(keys.handle(skeleton(name)), replace(held, free_from=free_from))
    return free_from


def pass_on(draft: Draft, held: Handle, to: AccountId) -> None:
    """Make the held name somebody else's."""
    passed = replace(held, owner=to, changes=held.changes + 1)
    draft.put(keys.handle(skeleton(held.name)), passed)


def consent(chain_id: ChainId, held: Handle, to: AccountId, last: Height) -> bytes:
    """Return what the one who is to get a handle signs under ACCEPT_DOMAIN: good once."""
    return codec.pack((chain_id, held.name, held.owner, held.changes, to, last))


def accept(seed: bytes, chain_id: ChainId, held: Handle, to: AccountId, last: Height) -> bytes:
    """Return the signature by which `to`, whose key the seed is, takes the handle over."""
    return signing.sign(seed, ACCEPT_DOMAIN, consent(chain_id, held, to, last))
