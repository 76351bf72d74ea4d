"""Headers followed from a root of trust, on whichever node's word, by skipping verification."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, TypeVar

import trio

from dchat.kernel import codec
from dchat.kernel.errors import RemoteProtocolError
from dchat.kernel.headers import InvalidHeader
from dchat.kernel.ids import Height
from dchat.kernel.light import (
    MIN_DRIFT_NS,
    Expired,
    LightBlock,
    NotEnoughTrust,
    TrustedBlock,
    TrustRoot,
    start,
    verify,
)
from dchat.kernel.wire import NS_PER_SECOND
from dchat.node.clock import Clock
from dchat.node.rpc import Chain

MAX_STEPS: Final = 256
FOLLOW_S: Final = 20.0
"""For all steps together; a node that needs longer is left for another."""
_NS_PER_MS: Final = 1_000_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trust:
    """What is believed without proof, and for how long."""

    root: TrustRoot
    trusting_period_s: int
    drift_ns: int = MIN_DRIFT_NS
    max_age_s: int = 0
    """Seconds that the newest header may be old, 0 for any: nodes can withhold newer ones."""

    @property
    def name(self) -> bytes:
        """Names this root in a TrustStore: two roots never share what follows from them."""
        root = self.root
        parts = (root.chain_id, root.height, str(root.time_ns), root.validators_hash)
        return hashlib.sha256(codec.pack(parts)).digest()


class TooSlow(RemoteProtocolError):
    """A node answers, each time within the deadline of a call, but gets nowhere."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A verified header, with the block it was verified from."""

    trusted: TrustedBlock
    block: LightBlock


@dataclass(frozen=True, slots=True)
class Follower:
    """Verifies what nodes say of one chain's headers; holds no state of its own."""

    trust: Trust
    clock: Clock

    async def begin(self, chain: Chain) -> Followed:
        """Return the root's own block. Raises: HeaderRefused, TooSlow, as Chain.light_block()."""
        root = self.trust.root
        block = await _within(self._fetch(chain, root.height))
        return Followed(start(root, block, *self._bounds()), block)

    async def follow(self, chain: Chain, trusted: TrustedBlock, height: Height) -> Followed:
        """Return the header at a greater height, skipping as far as the signatures carry.

        By halves, at most MAX_STEPS steps, within FOLLOW_S. Raises: as begin().
        """
        return await _within(self._follow(chain, trusted, height))

    async def _follow(self, chain: Chain, trusted: TrustedBlock, height: Height) -> Followed:
        pending = [await self._fetch(chain, height)]
        for _ in range(MAX_STEPS):
            try:
                trusted = verify(trusted, pending[-1], *self._bounds())
                last = pending.pop()
            except NotEnoughTrust:
                middle = (trusted.height + pending[-1].header.height) // 2
                pending.append(await self._fetch(chain, Height(middle)))
            else:
                if not pending:
                    return Followed(trusted, last)
        raise InvalidHeader(f"height {height} does not follow within {MAX_STEPS} steps")

    def judge_age(self, trusted: TrustedBlock) -> None:
        """Return if the header may still be trusted. Raises: Expired."""
        now_ns, period_ns, _ = self._bounds()
        if trusted.time_ns + period_ns <= now_ns:
            raise Expired(trusted.time_ns, now_ns)

    def age_s(self, trusted: TrustedBlock) -> int:
        """Return how many seconds old a header is."""
        return max(0, self._bounds()[0] - trusted.time_ns) // NS_PER_SECOND

    def is_stale(self, trusted: TrustedBlock) -> bool:
        """Tell whether the header is too old to be the chain's newest."""
        return 0 < self.trust.max_age_s < self.age_s(trusted)

    async def _fetch(self, chain: Chain, height: Height) -> LightBlock:
        block = await chain.light_block(height)
        if block.header.height != height:
            raise InvalidHeader(f"asked for height {height}, got {block.header.height}")
        return block

    def _bounds(self) -> tuple[int, int, int]:
        """Return now, trusting period and drift, in nanoseconds."""
        now_ns = self.clock.now() * _NS_PER_MS
        return now_ns, self.trust.trusting_period_s * NS_PER_SECOND, self.trust.drift_ns


async def _within(work: Awaitable[T]) -> T:
    """Return what work does. Raises: TooSlow after FOLLOW_S, and as work."""
    try:
        with trio.fail_after(FOLLOW_S):
            return await work
    except trio.TooSlowError:
        raise TooSlow(f"no header verified within {FOLLOW_S:g} s") from None
