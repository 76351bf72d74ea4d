"""State read from a chain that is believed in nothing but its validators' signatures.

A read is: a header verified from the root of trust (or from the last one kept), the value at the
height before it, and a Merkle proof that leads from the value to the header's app hash. A node
that sends something else is left for the next in the list; what is wrong at this end (an expired
root of trust, a wrong clock) is told.

Source: docs/adr/0010-verify-before-believing.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
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
    MIN_DRIFT_NS,
    Expired,
    FromTheFuture,
    LightBlock,
    NotEnoughTrust,
    TrustedBlock,
    TrustRoot,
    decode_trusted,
    encode_trusted,
    start,
    verify,
)
from dchat.kernel.merkle.proof import PROOF_TYPE, Proof
from dchat.kernel.merkle.proof import verify as verify_proof
from dchat.kernel.wire import NS_PER_SECOND
from dchat.node.clock import Clock
from dchat.node.rpc import POLL_S, Chain, Question

MAX_STEPS: Final = 256
MAX_ATTEMPTS: Final = 3
WAIT_S: Final = 30.0

_NS_PER_MS: Final = 1_000_000
_START: Final = Height(0)

T = TypeVar("T")


class TrustExpired(OperatorError):
    """The root of trust, or the last header verified from it, is beyond the trusting period."""

    hint = "get a newer network file from a source you trust; old validators may have sold keys"


class ClockBehind(OperatorError):
    """A header is ahead of this machine's clock by more than the drift allowed."""

    hint = "set this machine's clock, then try again"


class NoNewBlock(OperatorError):
    """The chain made no block with the wanted state before the deadline."""

    hint = "check that the chain makes blocks; a proof waits for the next one"


class NodeMisled(OperatorError):
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
class Trust:
    """What is believed without proof, and for how long."""

    root: TrustRoot
    trusting_period_s: int
    drift_ns: int = MIN_DRIFT_NS

    @property
    def name(self) -> bytes:
        """Names this root in a TrustStore: two roots never share what follows from them."""
        root = self.root
        parts = (root.chain_id, root.height, str(root.time_ns), root.validators_hash)
        return hashlib.sha256(codec.pack(parts)).digest()


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


class ChainReader:
    """Reads one chain's state with proofs; remembers the latest header it verified."""

    def __init__(self, chain: Chain, trust: Trust, clock: Clock, store: TrustStore) -> None:
        self._chain = chain
        self._trust = trust
        self._clock = clock
        self._store = store
        self._trusted: TrustedBlock | None = None
        self._lock = trio.Lock()

    async def read(
        self, key: bytes, at_least: Height = _START, timeout_s: float = WAIT_S
    ) -> VerifiedValue:
        """Return the newest provable value at key, of the state at `at_least` or later.

        Raises: TrustExpired, ClockBehind, NoNewBlock, NodeMisled, NodeUnreachable.
        """

        async def attempt() -> VerifiedValue:
            block = await self._latest(at_least, timeout_s)
            return await self._read_at(block, key)

        return await self._with_any_node(attempt)

    async def read_at(self, block: TrustedBlock, key: bytes) -> VerifiedValue:
        """Return the value at key under a header of this reader.

        Raises: InvalidHeader for the first one, and as read().
        """
        if block.height <= 1:  # height 0 in a query means the latest
            raise InvalidHeader("the first header commits to no state that a node can show")
        return await self._with_any_node(lambda: self._read_at(block, key))

    async def latest(self, at_least: Height = _START, timeout_s: float = WAIT_S) -> TrustedBlock:
        """Return the newest header, verified, whose state is `at_least` or later.

        Raises: as read().
        """
        return await self._with_any_node(lambda: self._latest(at_least, timeout_s))

    async def header(self, height: Height) -> TrustedBlock:
        """Return the header at height, verified from the root of trust.

        Raises: InvalidHeader where height is below the root's, and as read().
        """
        root = self._trust.root
        if height < root.height:
            raise InvalidHeader(f"height {height} is below the root of trust's {root.height}")

        async def attempt() -> TrustedBlock:
            trusted = await self._begin()
            return trusted if height == root.height else await self._bisect(trusted, height)

        return await self._with_any_node(attempt)

    async def _with_any_node(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask up to MAX_ATTEMPTS nodes, leaving each that sends what does not verify."""
        reason: DchatError | None = None
        for _ in range(MAX_ATTEMPTS):
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
        raise NodeMisled(f"{self._trust.root.chain_id}: {reason}") from reason

    async def _latest(self, at_least: Height, timeout_s: float) -> TrustedBlock:
        """Wait for the header that proves the wanted state, and verify up to it."""
        trusted = self._trusted or self._load()
        known = trusted.height if trusted else self._trust.root.height + 1
        with trio.move_on_after(timeout_s):
            while True:
                height = await self._reach()
                if height >= max(at_least + 1, known):
                    return await self._advance(height)
                self._chain.use_next()
                await trio.sleep(POLL_S)
        wanted = max(at_least + 1, known)
        raise NoNewBlock(f"no block {wanted} of {self._trust.root.chain_id} after {timeout_s:g} s")

    async def _reach(self) -> Height:
        """Return the height that the node in use says it is at."""
        status = await self._chain.status()
        if status.chain_id != self._trust.root.chain_id:
            raise ForeignAnswer(f"the node is of chain {status.chain_id[:50]!r}")
        return status.height

    async def _read_at(self, block: TrustedBlock, key: bytes) -> VerifiedValue:
        question = Question("/store", key, Height(block.height - 1), prove=True)
        said = await self._chain.abci_query(question)
        if said.code != 0:
            raise QueryRefused(said.code, said.log)
        proofs = [proof for kind, proof in said.proofs if kind == PROOF_TYPE]
        if len(proofs) != 1 or len(said.proofs) != 1:
            raise ForeignAnswer("the answer has no proof of the kind expected")
        # The canonical encoding of a value is never empty, so nothing stands for no value.
        value = said.value or None
        verify_proof(block.app_hash, key, value, Proof.decode(proofs[0]))
        return VerifiedValue(key, value, block)

    async def _advance(self, height: Height) -> TrustedBlock:
        """Verify up to height, keep the result, return it, or what another task got beyond."""
        async with self._lock:
            trusted = self._trusted or self._load() or await self._begin()
            if height > trusted.height:
                trusted = await self._bisect(trusted, height)
            self._judge_age(trusted)
            self._trusted = trusted
            self._store.save(self._trust.name, encode_trusted(trusted))
            return trusted

    async def _bisect(self, trusted: TrustedBlock, height: Height) -> TrustedBlock:
        """Skip as far as the signatures carry, by halves, at most MAX_STEPS steps."""
        pending = [await self._fetch(height)]
        for _ in range(MAX_STEPS):
            try:
                trusted = verify(trusted, pending[-1], *self._bounds())
                pending.pop()
            except NotEnoughTrust:
                middle = (trusted.height + pending[-1].header.height) // 2
                pending.append(await self._fetch(Height(middle)))
            if not pending:
                return trusted
        raise InvalidHeader(f"height {height} does not follow within {MAX_STEPS} steps")

    async def _begin(self) -> TrustedBlock:
        root = self._trust.root
        return start(root, await self._fetch(root.height), *self._bounds())

    async def _fetch(self, height: Height) -> LightBlock:
        block = await self._chain.light_block(height)
        if block.header.height != height:
            raise InvalidHeader(f"asked for height {height}, got {block.header.height}")
        return block

    def _load(self) -> TrustedBlock | None:
        """Return the header kept by an earlier run; one that cannot be used is as none."""
        kept = self._store.load(self._trust.name)
        if kept is None:
            return None
        try:
            return decode_trusted(kept)
        except codec.CodecError:
            return None

    def _judge_age(self, trusted: TrustedBlock) -> None:
        now_ns, period_ns, _ = self._bounds()
        if trusted.time_ns + period_ns <= now_ns:
            raise Expired(trusted.time_ns, now_ns)

    def _bounds(self) -> tuple[int, int, int]:
        """Return now, trusting period and drift, in nanoseconds."""
        now_ns = self._clock.now() * _NS_PER_MS
        return now_ns, self._trust.trusting_period_s * NS_PER_SECOND, self._trust.drift_ns
