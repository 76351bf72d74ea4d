"""What a report is about, who answers for it, and the cases in which a jury agreed.

    ("mark", kind, name, sequence)   [case, …]     upheld and not overturned, the first 16 of them

A mark is a takedown record that anybody can prove: clients hide what has one, or warn of it. The
chain keeps no contents, so there is nothing it could delete.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from abci_chat import keys
from abci_chat.state import channels, handles, identities, post_proofs, posts
from abci_chat.state.post_proofs import Part, PostProof
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID_BYTES
from dchat.kernel.errors import TxRejected
from dchat.kernel.ids import AccountId
from dchat.kernel.inclusion import NotProved, Path
from dchat.kernel.store import Draft, State, read

MAX_NAME_BYTES: Final = 32
MAX_AUNTS: Final = 16
MAX_MARKS: Final = 16
NOBODY: Final = AccountId(b"")
"""Who answers for what is posted in a private channel: its posts do not say."""


class UnknownTarget(TxRejected):
    """There is no such post, account, channel or handle, or the post is not proved."""

    code = 333


class AlreadyMarked(TxRejected):
    """A report of this post was upheld before. Attribute: case."""

    code = 335

    def __init__(self, case: int) -> None:
        super().__init__(f"upheld in case {case}")
        self.case = case


class Kind(IntEnum):
    """What can be reported; the numbers are frozen."""

    POST = 1
    ACCOUNT = 2
    CHANNEL = 3
    HANDLE = 4


@dataclass(frozen=True, slots=True)
class Target:
    """What a report is about."""

    kind: Kind
    name: bytes
    """Account id, channel id, or handle in ASCII; of a post, that of its channel."""
    sequence: int = 0
    """Number of the post in its channel, else 0."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What shows that a post is in its channel, and whose it is."""

    first: int
    """First number of the record with the post in it."""
    commitment: bytes
    proof: PostProof


TARGET: Final = codec.Record(
    Target, kind=codec.Choice(Kind), name=codec.Blob(MAX_NAME_BYTES, 1), sequence=codec.U64
)
_PATH: Final = codec.Record(
    Path, index=codec.U64, total=codec.U64, aunts=codec.ListOf(codec.Fixed(32), MAX_AUNTS)
)
_PART: Final = codec.Record(
    Part,
    author=codec.Blob(ACCOUNT_ID_BYTES),
    device=codec.Blob(32),
    counter=codec.U64,
    count=codec.U64,
    root=codec.Fixed(32),
)
_PROOF: Final = codec.Record(PostProof, part=_PART, offset=codec.U64, in_part=_PATH, in_batch=_PATH)
PROOF_OF_POST: Final = codec.Record(
    Shown, first=codec.U64, commitment=codec.Fixed(32), proof=_PROOF
)
SHOWN: Final = codec.ListOf(PROOF_OF_POST, 1)
"""One for a post, none for anything else."""
MARK: Final = codec.ListOf(codec.U64, MAX_MARKS)


def check(target: Target, shown: tuple[Shown, ...]) -> None:
    """Return if the parts of a target belong together. Raises: UnknownTarget."""
    if (target.kind is Kind.POST) != bool(shown):
        raise UnknownTarget("a post is reported with the proof of it, and nothing else is")
    if target.kind is not Kind.POST and target.sequence:
        raise UnknownTarget("only a post has a number")
    if target.kind is not Kind.HANDLE and len(target.name) != ACCOUNT_ID_BYTES:
        raise UnknownTarget("accounts and channels have ids of 32 bytes")
    if target.kind is Kind.HANDLE and not target.name.isascii():
        raise UnknownTarget("a handle is ASCII")


def responsible(state: State, target: Target, shown: tuple[Shown, ...]) -> AccountId:
    """Return who answers for a target that check() has passed; NOBODY where none can say.

    Raises: UnknownTarget, UnknownChannel, ChannelClosed, AlreadyMarked.
    """
    match target.kind:
        case Kind.POST:
            return _author(state, target, shown[0])
        case Kind.CHANNEL:
            return channels.open_channel(state, target.name).owner
        case Kind.HANDLE:
            owner = handles.owner(state, target.name.decode("ascii"))
            if owner is None:
                raise UnknownTarget("nobody has exactly this handle")
            return owner
        case Kind.ACCOUNT:
            who = AccountId(target.name)
            if identities.load(state, who) is None:
                raise UnknownTarget("the account has no identity")
            return who


def _author(state: State, target: Target, shown: Shown) -> AccountId:
    marked = marks(state, target)
    if marked:
        raise AlreadyMarked(marked[0])
    batch = posts.batch(state, target.name, shown.first)
    if batch is None:
        raise UnknownTarget(f"no record of posts begins with {shown.first}")
    try:
        place = post_proofs.check(batch.root, batch.parts, shown.proof, shown.commitment)
    except NotProved as fault:
        raise UnknownTarget(str(fault)) from None
    if shown.first + place != target.sequence:
        raise UnknownTarget(f"the proof is of post {shown.first + place}")
    return AccountId(shown.proof.part.author)


def marks(state: State, target: Target) -> tuple[int, ...]:
    """Return the cases in which reports of this target were upheld, the first one first."""
    return read(state, _key(target), MARK) or ()


def mark(draft: Draft, target: Target, case: int) -> None:
    """Add a case to the target's mark; beyond 16 it makes no difference any more."""
    cases = marks(draft, target)
    if len(cases) < MAX_MARKS:
        draft.put(_key(target), MARK.encode((*cases, case)))


def unmark(draft: Draft, target: Target, case: int) -> None:
    """Take a case out of the target's mark; without any, the mark goes."""
    left = tuple([each for each in marks(draft, target) if each != case])
    if left:
        draft.put(_key(target), MARK.encode(left))
    else:
        draft.delete(_key(target))


def _key(target: Target) -> bytes:
    return keys.mark(target.kind, target.name, target.sequence)
