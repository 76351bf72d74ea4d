"""State read from a chain that is believed in nothing but its validators' signatures.

A read is: a header verified from the root of trust (or from the last one kept), the value at the
height before it, and a Merkle proof that leads from the value to the header's app hash. A node
that sends something else is left for the next in the list; what is wrong at this end (an expired
root of trust, a wrong clock) is told. A newest header that is too old is not taken for the newest,
and each new one is compared with what other nodes have at its height.

Source: docs/adr/0010-verify-before-believing.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import trio

from dchat.kernel import codec
from dchat.kernel.errors import (
    DchatError,
    LocalProtocolError,
    OperatorError,
    ProtocolError,
    RemoteProtocolError,
)
from dchat.kernel.headers import InvalidHeader
from dchat.kernel.ids import Height
from dchat.kernel.light import (
    Expired,
    FromTheFuture,
    TrustedBlock,
    decode_trusted,
    encode_trusted,
)
from dchat.kernel.merkle.proof import PROOF_TYPE, Proof
from dchat.kernel.merkle.proof import verify as verify_proof
from dchat.kernel.queries import LISTING, PAGE, Listing, Page, QueryCode, check_page
from dchat.node.clock import Clock
from dchat.node.follow import Follower, Trust
from dchat.node.rpc import POLL_S, Chain, ChainUnavailable, Queried, Question
from dchat.node.witness import Comparison, Witnessed

MIN_ATTEMPTS: Final = 3
MAX_ATTEMPTS: Final = 10
WAIT_S: Final = 30.0
STALE_WAIT_S: Final = 5.0
"""How long a newer header is waited for where the newest is too old."""

_START: Final = Height(0)

T = TypeVar("T")


class TrustExpired(ChainUnavailable):
    """The root of trust, or the last header verified from it, is beyond the trusting period."""

    hint = "get a newer network file from a source you trust; old validators may have sold keys"


class ClockBehind(ChainUnavailable):
    """A header is ahead of this machine's clock by more than the drift allowed."""

    hint = "set this machine's clock, then try again"


class NoNewBlock(ChainUnavailable):
    """The chain made no block with the wanted state before the deadline."""

    hint = "check that the chain makes blocks; a proof waits for the next one"


class StaleChain(ChainUnavailable):
    """The newest header that any node shows is too old. Attributes: height, age_s."""

    hint = (
        "the chain stands still, its nodes withhold new blocks, or this machine's clock is ahead:"
        " name other nodes, or read old state on purpose with `dchat query … --max-age 0`"
    )

    def __init__(self, chain_id: str, height: int, age_s: int) -> None:
        super().__init__(f"the newest header of {chain_id}, {height}, is {age_s} s old")
        self.height = height
        self.age_s = age_s


class HeightAhead(OperatorError):
    """The chain has no such block yet. Attributes: height, newest."""

    def __init__(self, height: int, newest: int) -> None:
        super().__init__(
            f"block {height} is not there yet, the newest is {newest}",
            f"ask for a height to {newest}, or leave --height out for the newest state",
        )
        self.height = height
        self.newest = newest


class HeightNotKept(OperatorError):
    """No node of the list keeps the state of that height; the message names those it keeps."""

    hint = (
        "ask for one of the heights it keeps, leave --height out for the newest, or name a node"
        " that keeps more with --rpc URL"
    )


class NodeMisled(ChainUnavailable):
    """No node of the list sent an answer that verifies; the message has the last reason."""

    hint = "the node is faulty or of another network: name other nodes in the network file"


class QueryRefused(RemoteProtocolError):
    """The application refused a query. Attributes: code, reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the application refused the query: {reason} ({code})")
        self.code = code
        self.reason = reason


class ForeignAnswer(RemoteProtocolError):
    """The node is of another chain, or proves things in a form unknown here."""


class TrustStore(Protocol):
    """Keeps the latest verified header of each root of trust; losing it costs time only."""

    def load(self, name: bytes) -> bytes | None:
        """Return what was saved under name, None where nothing was."""
        ...

    def save(self, name: bytes, trusted: bytes) -> None:
        """Keep trusted under name in place of what was there."""
        ...


class MemoryTrustStore:
    """Keeps headers for as long as the process runs."""

    def __init__(self) -> None:
        self._kept: dict[bytes, bytes] = {}

    def load(self, name: bytes) -> bytes | None:
        """Return what was saved under name, None where nothing was."""
        return self._kept.get(name)

    def save(self, name: bytes, trusted: bytes) -> None:
        """Keep trusted under name in place of what was there."""
        self._kept[name] = trusted


@dataclass(frozen=True, slots=True)
class VerifiedValue:
    """A state value and the header that proves it; value None: proved absent."""

    key: bytes
    value: bytes | None
    block: TrustedBlock

    @property
    def height(self) -> Height:
        """The block whose state this is: the one before the header's."""
        return Height(self.block.height - 1)


@dataclass(frozen=True, slots=True)
class VerifiedPage:
    """A page of a listing, each of its entries proved under one header.

    That none was left out is not proved: the tree orders keys by their hashes.
    """

    page: Page
    block: TrustedBlock


class ChainReader:
    """Reads one chain's state with proofs; remembers the latest header it verified."""

    def __init__(
        self,
        chain: Chain,
        trust: Trust,
        clock: Clock,
        store: TrustStore,
        witnesses: Sequence[Chain] = (),
    ) -> None:
        self._chain = chain
        self._trust = trust
        self._follower = Follower(trust, clock)
        self._comparison = Comparison(self._follower, witnesses)
        self._store = store
        self._trusted: TrustedBlock | None = None
        self._lock = trio.Lock()
        self.witnessed = Witnessed()
        """How other nodes judged the header that was verified last."""

    async def read(
        self, key: bytes, at_least: Height = _START, timeout_s: float = WAIT_S
    ) -> VerifiedValue:
        """Return the newest provable value at key, of the state at `at_least` or later.

        Raises: TrustExpired, ClockBehind, NoNewBlock, StaleChain, ForkFound, HeightNotKept,
        NodeMisled, NodeUnreachable.
        """

        async def attempt() -> VerifiedValue:
            block = await self._latest(at_least, timeout_s)
            return await self._read_at(block, key)

        return await self.with_any_node(attempt)

    async def read_at(self, block: TrustedBlock, key: bytes) -> VerifiedValue:
        """Return the value at key under a header of this reader.

        Raises: InvalidHeader for the first one, and as read().
        """
        _refuse_first(block)
        return await self.with_any_node(lambda: self._read_at(block, key))

    async def list_at(self, block: TrustedBlock, listing: Listing) -> VerifiedPage:
        """Return the next page of a listing under a header of this reader.

        Raises: InvalidHeader for the first one, and as read().
        """
        _refuse_first(block)
        return await self.with_any_node(lambda: self._list_at(block, listing))

    async def latest(self, at_least: Height = _START, timeout_s: float = WAIT_S) -> TrustedBlock:
        """Return the newest header, verified, whose state is `at_least` or later.

        Raises: as read().
        """
        return await self.with_any_node(lambda: self._latest(at_least, timeout_s))

    async def state_at(self, height: Height, timeout_s: float = WAIT_S) -> TrustedBlock:
        """Return the header that proves the state after the block at height.

        The one after the newest block is waited for. Raises: HeightAhead, and as read().
        """
        newest = await self.latest()
        if height > newest.height:
            raise HeightAhead(height, newest.height)
        if height == newest.height:
            newest = await self.latest(height, timeout_s)
        return newest if newest.height == height + 1 else await self.header(Height(height + 1))

    async def header(self, height: Height) -> TrustedBlock:
        """Return the header at height, verified from the root of trust.

        Raises: InvalidHeader where height is below the root's, and as read().
        """
        root = self._trust.root
        if height < root.height:
            raise InvalidHeader(f"height {height} is below the root of trust's {root.height}")

        async def attempt() -> TrustedBlock:
            begun = await self._follower.begin(self._chain)
            if height == root.height:
                return begun.trusted
            return await self._follow(begun.trusted, height)

        return await self.with_any_node(attempt)

    async def with_any_node(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what ask returns, at one node after the other while it raises ProtocolError.

        All of the list, so that a few bad ones stop nobody: MIN_ATTEMPTS to MAX_ATTEMPTS of them.
        Raises: as read(), and what else ask raises.
        """
        reason: DchatError | None = None
        tried: list[str] = []
        while len(tried) < MIN_ATTEMPTS or (
            len(tried) < MAX_ATTEMPTS and self._chain.url not in tried
        ):
            tried.append(self._chain.url)
            try:
                return await ask()
            except Expired as fault:
                raise TrustExpired(f"{self._trust.root.chain_id}: {fault}") from None
            except FromTheFuture as fault:
                raise ClockBehind(str(fault)) from None
            except LocalProtocolError:
                raise
            except ProtocolError as fault:
                reason = fault
                self._chain.use_next()
        if isinstance(reason, QueryRefused) and reason.code == QueryCode.HEIGHT_UNAVAILABLE:
            raise HeightNotKept(reason.reason)
        raise NodeMisled(f"{self._trust.root.chain_id}: {reason}") from reason

    async def _latest(self, at_least: Height, timeout_s: float) -> TrustedBlock:
        """Wait for the header that proves the wanted state, and verify up to it."""
        trusted = self._trusted or self._load()
        known = trusted.height if trusted else self._trust.root.height + 1
        wanted = max(at_least + 1, known)
        newest: TrustedBlock | None = None
        started = trio.current_time()
        deadline = started + timeout_s
        # What nodes may take has deadlines of its own: a slow one is left, it does not end the wait
        while trio.current_time() < deadline:
            height = await self._reach()
            if height >= wanted:
                newest = await self._advance(height)
                if not self._follower.is_stale(newest):
                    return newest
                deadline = min(deadline, started + STALE_WAIT_S)
            self._chain.use_next()
            await trio.sleep(POLL_S)
        if newest:
            raise StaleChain(self._trust.root.chain_id, newest.height, self._follower.age_s(newest))
        raise NoNewBlock(f"no block {wanted} of {self._trust.root.chain_id} after {timeout_s:g} s")

    async def _reach(self) -> Height:
        """Return the height that the node in use says it is at."""
        status = await self._chain.status()
        if status.chain_id != self._trust.root.chain_id:
            raise ForeignAnswer(f"the node is of chain {status.chain_id[:50]!r}")
        return status.height

    async def _read_at(self, block: TrustedBlock, key: bytes) -> VerifiedValue:
        said = await self._ask("/store", key, block)
        # The canonical encoding of a value is never empty, so nothing stands for no value.
        value = said.value or None
        _check_proofs(block, said, ((key, value),))
        return VerifiedValue(key, value, block)

    async def _list_at(self, block: TrustedBlock, listing: Listing) -> VerifiedPage:
        said = await self._ask("/entries", LISTING.encode(listing), block)
        page = PAGE.decode(said.value)
        check_page(listing, page)
        _check_proofs(block, said, tuple((entry.key, entry.value) for entry in page.entries))
        return VerifiedPage(page, block)

    async def _ask(self, path: str, data: bytes, block: TrustedBlock) -> Queried:
        question = Question(path, data, Height(block.height - 1), prove=True)
        said = await self._chain.abci_query(question)
        if said.code != 0:
            raise QueryRefused(said.code, said.log)
        return said

    async def _advance(self, height: Height) -> TrustedBlock:
        """Verify up to height, keep the result, return it, or what another task got beyond."""
        async with self._lock:
            trusted = self._trusted or self._load()
            if trusted is None:
                trusted = (await self._follower.begin(self._chain)).trusted
            if height > trusted.height:
                trusted = await self._follow(trusted, height)
            self._follower.judge_age(trusted)
            self._trusted = trusted
            self._store.save(self._trust.name, encode_trusted(trusted))
            return trusted

    async def _follow(self, trusted: TrustedBlock, height: Height) -> TrustedBlock:
        """Return the header at height, verified and compared with other nodes'."""
        found = await self._follower.follow(self._chain, trusted, height)
        self.witnessed = await self._comparison.compare(trusted, found, self._chain.url)
        return found.trusted

    def _load(self) -> TrustedBlock | None:
        """Return the header kept by an earlier run; one that cannot be used is as none."""
        kept = self._store.load(self._trust.name)
        if kept is None:
            return None
        try:
            return decode_trusted(kept)
        except codec.CodecError:
            return None


def _refuse_first(block: TrustedBlock) -> None:
    if block.height <= 1:  # height 0 in a query means the latest
        raise InvalidHeader("the first header commits to no state that a node can show")


def _check_proofs(
    block: TrustedBlock, said: Queried, entries: Sequence[tuple[bytes, bytes | None]]
) -> None:
    """Return if each entry has its proof, and it leads to the header. Raises: ProtocolError."""
    if [kind for kind, _ in said.proofs] != [PROOF_TYPE] * len(entries):
        raise ForeignAnswer("the answer has no proof of the kind expected")
    for (key, value), (_, proof) in zip(entries, said.proofs, strict=True):
        verify_proof(block.app_hash, key, value, Proof.decode(proof))
