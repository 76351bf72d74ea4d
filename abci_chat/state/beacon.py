"""Randomness that no proposer can choose: preimages of chains to which validators are bound.

    ("beacon", address)       [operator, [head, left, number], [[head, left, number]?], since]
    ("draw",)                 [window, phase, opened_at, left, quiet, digest, first, until, last]
    ("draw_waiting", place)   the entry that waits at that place

A chain of preimages is a secret's hash, hashed again and again; the validator is bound to its head,
and its next preimage is what hashes to the head. A draw that is pending opens a window. While it is
open, a proposer with a preimage left owes exactly the next one, and everybody rejects a block
without it; who has none left owes nothing. Outside of a window nobody reveals anything. Entries
that were asked for in one block share a window; whatever is asked for later waits for the next one,
so no preimage counts for an entry that was revealed before the entry was there.

The window is over with so many preimages, not blocks: CometBFT lets a proposer put any validator's
address on its block, so blocks without a preimage cannot be kept out, but they only make it longer.
A window in which nobody reveals anything for STALLED_AFTER blocks stalls, and nothing more is
written, until a validator binds itself to another chain: then a new window opens for those that
wait. No seed is ever made of fewer preimages.

Who reveals the last one can withhold it, and so choose between two seeds; m such proposers in a row
choose among 2^m at most. They also know the seed that many blocks before the others do: what it
picks from must not change by anybody's wish while a draw is pending.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import sha256
from typing import Final

from abci_chat import keys, params
from dchat.kernel import codec, genesis, headers
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.contribution import Duty
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.family import Event
from dchat.kernel.ids import AccountId, ChainId, Height
from dchat.kernel.store import Draft, State, read

SECRET_BYTES: Final = 32
ADDRESS_BYTES: Final = headers.ADDRESS_SIZE
MAX_LENGTH: Final = 4096
"""Preimages of one chain: its owner hashes as often in front of a proposal, which takes 2 ms."""
MAX_WAITING: Final = 64
"""Entries that share a window: one block hands all their seeds over."""
MAX_DRAWN: Final = 7 * MAX_WAITING
"""Jurors that they ask for together, which is fewer entries where a vote made juries larger."""
STALLED_AFTER: Final = 256
"""Blocks in a row without a preimage that stall a window."""
EMPTY_HEAD: Final = bytes(32)
_FIRST_TAG: Final = "dchat/beacon/first/v1"
_LINK_TAG: Final = b"dchat/beacon/link/v1"
_SEED_TAG: Final = "dchat/beacon/seed/v1"
_REVEALED_TAG: Final = "dchat/beacon/revealed/v1"
_NOTHING: Final = b""


class Phase(IntEnum):
    """What a draw is doing; the numbers are frozen."""

    IDLE = 0
    """Nobody waits."""
    OPEN = 1
    """Proposers reveal preimages."""
    STALLED = 2
    """Somebody waits, and nobody has a preimage."""


@dataclass(frozen=True, slots=True)
class Link:
    """How far a chain of preimages was revealed."""

    head: bytes
    left: int
    """Preimages that are still secret."""
    number: int
    """Which of its validator's chains it is; the first is number 1."""


@dataclass(frozen=True, slots=True)
class Beacon:
    """What a validator is bound to."""

    operator: AccountId
    """Who may bind it to another chain."""
    link: Link
    next: tuple[Link, ...]
    """At most one: the chain that takes the place of this one."""
    since: int
    """The first window in which the next one counts."""


@dataclass(frozen=True, slots=True)
class Draw:
    """The window that is open or was the last one, and who waits for it or the next."""

    window: int
    phase: Phase
    opened_at: Height
    """The block in which it was asked for; proposers owe from the next one on."""
    left: int
    """Preimages that it still takes."""
    quiet: int
    """Blocks since the last preimage."""
    digest: bytes
    """Of all preimages so far, in their order."""
    first: int
    """Place of the first entry that waits."""
    until: int
    """Entries before this place get this window's seed."""
    last: int
    """The first place that is free."""


@dataclass(frozen=True, slots=True)
class PreimageRevealed(Event):
    """A proposer added its next preimage to a draw."""

    validator: bytes
    window: int
    left: int
    """Preimages of that chain that are still secret."""


@dataclass(frozen=True, slots=True)
class DrawStalled(Event):
    """Nobody adds to the draw; it begins again once a validator is bound to another chain."""

    window: int


_LINK: Final = codec.Record(Link, head=codec.Fixed(32), left=codec.U64, number=codec.U64)
BEACON: Final = codec.Record(
    Beacon, operator=ACCOUNT_ID, link=_LINK, next=codec.ListOf(_LINK, 1), since=codec.U64
)
DRAW: Final = codec.Record(
    Draw,
    window=codec.U64,
    phase=codec.Choice(Phase),
    opened_at=codec.U64,
    left=codec.U64,
    quiet=codec.U64,
    digest=codec.Fixed(32),
    first=codec.U64,
    until=codec.U64,
    last=codec.U64,
)
NO_DRAW: Final = Draw(0, Phase.IDLE, Height(0), 0, 0, EMPTY_HEAD, 0, 0, 0)
"""What there is before anybody has asked for a seed."""


def load(state: State, address: bytes) -> Beacon | None:
    """Return what the validator of that address is bound to, None if it never was."""
    return read(state, keys.beacon(address), BEACON)


def load_draw(state: State) -> Draw:
    """Return the draw, idle before the first one."""
    return read(state, keys.DRAW, DRAW) or NO_DRAW


def current(beacon: Beacon, window: int) -> Link:
    """Return the chain that counts in that window."""
    return beacon.next[0] if beacon.next and window >= beacon.since else beacon.link


def newest(beacon: Beacon) -> Link:
    """Return the chain to which a validator was bound last, whether it counts yet or not."""
    return beacon.next[0] if beacon.next else beacon.link


def after(preimage: bytes) -> bytes:
    """Return what comes behind a value of a chain, towards its head."""
    return sha256(_LINK_TAG + preimage).digest()


def value(secret: bytes, chain_id: ChainId, number: int, at: int) -> bytes:
    """Return a secret's chain of that number at a place; at its length, that is the head."""
    found = sha256(codec.pack((_FIRST_TAG, secret, chain_id, number))).digest()
    for _ in range(at):
        found = after(found)
    return found


def begin(
    draft: Draft, consensus_key: bytes, operator: AccountId, head: bytes, length: int
) -> None:
    """Bind a validator of genesis to its first chain; it may have none: EMPTY_HEAD, of length 0."""
    link = Link(head, length, 1 if length else 0)
    bound = Beacon(operator, link, (), 0)
    draft.put(keys.beacon(headers.address_of(consensus_key)), BEACON.encode(bound))


def bind(draft: Draft, address: bytes, chain: Link, height: Height) -> int:
    """Bind a validator to another chain; return the first window in which that one counts.

    A draw that is stalled begins anew.
    """
    held, draw = _bound(draft, address), load_draw(draft)
    since = draw.window + 1
    bound = Beacon(held.operator, current(held, draw.window), (chain,), since)
    draft.put(keys.beacon(address), BEACON.encode(bound))
    if draw.phase is Phase.STALLED:
        _save(draft, _opened(draft, draw, height))
    return since


def request(draft: Draft, entry: bytes, height: Height) -> None:
    """Ask for a seed for this entry, the key of whatever waits for it.

    The window opens with the next block, or after the one that is open; `hooks/draws.py` hands the
    seed over, once for every time that somebody asked.
    """
    draw = load_draw(draft)
    draft.put(keys.draw_waiting(draw.last), entry)
    draw = replace(draw, last=draw.last + 1)
    if draw.phase is Phase.IDLE:
        draw = _opened(draft, draw, height)
    elif draw.phase is Phase.OPEN and draw.opened_at == height:
        draw = replace(draw, until=_until(draft, draw))
    _save(draft, draw)


def wait(draft: Draft, draw: Draw) -> tuple[Event, ...]:
    """Count one more block of a window; see STALLED_AFTER."""
    if draw.quiet < STALLED_AFTER:
        _save(draft, replace(draw, quiet=draw.quiet + 1))
        return ()
    _save(draft, replace(draw, phase=Phase.STALLED))
    return (DrawStalled(draw.window),)


def close(draft: Draft, draw: Draw, height: Height) -> tuple[tuple[bytes, bytes], ...]:
    """End a window that has all its preimages; return its entries, each with the seed it gets.

    The next window opens at once where more entries wait.
    """
    handed = [_take(draft, draw, place) for place in range(draw.first, draw.until)]
    draw = replace(draw, first=draw.until)
    waits = draw.first < draw.last
    _save(draft, _opened(draft, draw, height) if waits else replace(draw, phase=Phase.IDLE))
    return tuple(handed)


def seed_of(chain_id: ChainId, window: int, digest: bytes, entry: bytes) -> bytes:
    """Return what an entry gets of a window whose preimages have that digest."""
    return sha256(codec.pack((_SEED_TAG, chain_id, window, digest, entry))).digest()


def with_preimage(digest: bytes, address: bytes, preimage: bytes) -> bytes:
    """Return the digest of a window's preimages with one more; it begins with 32 zero bytes."""
    return sha256(codec.pack((_REVEALED_TAG, digest, address, preimage))).digest()


def _take(draft: Draft, draw: Draw, place: int) -> tuple[bytes, bytes]:
    entry = draft.get(keys.draw_waiting(place)) or _NOTHING
    draft.delete(keys.draw_waiting(place))
    return entry, seed_of(_chain_id(draft), draw.window, draw.digest, entry)


def _opened(draft: Draft, draw: Draw, height: Height) -> Draw:
    return replace(
        draw,
        window=draw.window + 1,
        phase=Phase.OPEN,
        opened_at=height,
        left=params.MODERATION.load(draft).draw_blocks,
        quiet=0,
        digest=EMPTY_HEAD,
        until=_until(draft, draw),
    )


def _until(state: State, draw: Draw) -> int:
    share = max(1, MAX_DRAWN // params.MODERATION.load(state).jury_size)
    return min(draw.last, draw.first + min(share, MAX_WAITING))


def _bound(state: State, address: bytes) -> Beacon:
    held = load(state, address)
    if held is None:
        raise InvariantBroken(f"no validator has the address {address.hex()}")
    return held


def _save(draft: Draft, draw: Draw) -> None:
    draft.put(keys.DRAW, DRAW.encode(draw))


def _chain_id(state: State) -> ChainId:
    return genesis.chain_id(state) or ChainId("")


def _owing(state: State, proposer: bytes) -> Link | None:
    """Return the chain of which this proposer owes the next preimage, None if it owes nothing."""
    draw = load_draw(state)
    if draw.phase is not Phase.OPEN:
        return None
    held = load(state, proposer)
    link = current(held, draw.window) if held else None
    return link if link and link.left else None


def _make(state: State, proposer: bytes, secret: bytes) -> bytes:
    """Return the next preimage, b"" where none is owed or the secret is not that of the chain."""
    link = _owing(state, proposer)
    if link is None or not secret:
        return _NOTHING
    preimage = value(secret, _chain_id(state), link.number, link.left - 1)
    return preimage if after(preimage) == link.head else _NOTHING


def _accepts(state: State, proposer: bytes, contributed: bytes) -> bool:
    link = _owing(state, proposer)
    if link is None:
        return not contributed
    return len(contributed) == len(link.head) and after(contributed) == link.head


def _apply(draft: Draft, proposer: bytes, preimage: bytes) -> tuple[Event, ...]:
    draw, held = load_draw(draft), _bound(draft, proposer)
    link = current(held, draw.window)
    rest = replace(link, head=preimage, left=link.left - 1)
    later = held.next if link is held.link else ()
    bound = Beacon(held.operator, rest, later, held.since)
    draft.put(keys.beacon(proposer), BEACON.encode(bound))
    digest = with_preimage(draw.digest, proposer, preimage)
    _save(draft, replace(draw, left=draw.left - 1, quiet=0, digest=digest))
    return (PreimageRevealed(proposer, draw.window, rest.left),)


DUTY: Final = Duty(_make, _accepts, _apply)
"""What the chat chain's proposers owe."""
