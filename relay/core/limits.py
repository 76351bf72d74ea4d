"""Everything a relay holds or does for others has a bound, and each bound is in this file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dchat.kernel.ids import EpochMs

_DAY_MS: Final = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket's settings: `burst` at once, `per_minute` in the long run."""

    per_minute: int
    burst: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What one relay grants; the defaults are safe for a stranger's machine."""

    max_queue_size: int = 10_000
    """Envelopes on disk."""

    max_queue_bytes: int = 256 * 1024 * 1024
    """Ciphertext on disk."""

    max_message_age_ms: int = 7 * _DAY_MS
    """Furthest expiry accepted, counted from arrival."""

    max_sessions_per_peer: int = 4
    """Links one peer may have open at once; a further one is closed without a word."""

    max_in_flight: int = 32
    """Requests of one session that are not answered yet; bounds its memory to 32 messages."""

    max_open_pages: int = 16
    """Mailboxes of one session with a page on the way or not acknowledged."""

    max_watches: int = 16
    """Mailboxes watched by one session."""

    max_one_time_keys: int = 100
    """Keys held for one inbox."""

    max_inboxes: int = 10_000
    """Inboxes for which a bundle or keys are held."""

    tombstones_per_message: int = 8
    """Tombstones kept, as a multiple of `max_queue_size`; the soonest to expire go first."""

    key_memory_ms: int = 90 * _DAY_MS
    """How long an untouched bundle is served and a key given away is remembered."""

    max_meters: int = 4_096
    """Peers or inboxes whose rates are remembered; the least recently seen are forgotten."""

    requests: Rate = Rate(per_minute=6_000, burst=1_000)
    """Requests of one peer, over all its sessions."""

    traffic: Rate = Rate(per_minute=60 * 1024 * 1024, burst=16 * 1024 * 1024)
    """Bytes received from one peer, over all its sessions."""

    puts: Rate = Rate(per_minute=12, burst=24)
    """Bundles and batches of one-time keys that one peer puts."""

    takes: Rate = Rate(per_minute=6, burst=20)
    """One-time keys given away per inbox, so that a stranger cannot drain it at once."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens left, in sixty-thousandths (what one per minute gains in a millisecond)."""

    level: int
    at: EpochMs


_TOKEN: Final = 60_000


def full(rate: Rate, now: EpochMs) -> Bucket:
    """Return the bucket of somebody not seen before."""
    return Bucket(rate.burst * _TOKEN, now)


def take(bucket: Bucket, rate: Rate, cost: int, now: EpochMs) -> tuple[Bucket, int]:
    """Return the bucket after paying `cost` and 0, or the bucket and the milliseconds to wait.

    A clock that steps back gains and costs nothing. A cost above the burst is paid by a full
    bucket, or it could never be paid.
    """
    gained = max(now - bucket.at, 0) * rate.per_minute
    level = min(bucket.level + gained, rate.burst * _TOKEN)
    price = min(cost, rate.burst) * _TOKEN
    if level < price:
        missing = price - level
        return Bucket(level, now), -(-missing // rate.per_minute)
    return Bucket(level - price, now), 0


class Meters:
    """One rate, measured for many peers; remembers at most `most` of them."""

    def __init__(self, rate: Rate, most: int) -> None:
        self._rate = rate
        self._most = most
        self._buckets: dict[bytes, Bucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, who: bytes, cost: int, now: EpochMs) -> int:
        """Pay `cost` for `who` and return 0, or pay nothing and return the milliseconds to wait."""
        bucket = self._buckets.pop(who, None) or full(self._rate, now)
        self._buckets[who], wait_ms = take(bucket, self._rate, cost, now)
        if len(self._buckets) > self._most:
            del self._buckets[next(iter(self._buckets))]
        return wait_ms
