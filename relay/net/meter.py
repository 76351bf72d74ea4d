"""What the relay counts of itself, as the operators' guide names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from relay.core.jobs import Cleared, Job, Kept, Outcome, Pruned
from relay.core.refusals import Refusal

_COUNTERS: Final[Mapping[str, str]] = {
    "envelopes_accepted": "Envelopes taken into custody.",
    "messages_forwarded": "Envelopes handed to their recipient and acknowledged.",
    "messages_nacked": "Envelopes that their recipient could not use.",
    "messages_expired": "Envelopes that nobody fetched in time.",
}
_KNOWN: Final = frozenset(refusal.value for refusal in Refusal)


class Meter:
    """Counters of one relay process on one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counters = {
            name: Counter(f"dchat_relay_{name}", text, registry=registry)
            for name, text in _COUNTERS.items()
        }
        self._accepted = counters["envelopes_accepted"]
        self._forwarded = counters["messages_forwarded"]
        self._nacked = counters["messages_nacked"]
        self._expired = counters["messages_expired"]
        self._refusals = _labelled(registry, "dchat_relay_refusals", "Requests refused.", "reason")
        for refusal in Refusal:
            self._refusals.labels(reason=refusal.name.lower())
        text = "Bytes of relay messages, framing and encryption not counted."
        traffic = _labelled(registry, "dchat_network_bandwidth_bytes", text, "direction")
        self._bytes_in = traffic.labels(direction="in")
        self._bytes_out = traffic.labels(direction="out")
        text = "Acknowledged envelopes over all that left the queue since the start; 1 before any."
        self._rate = Gauge("dchat_relay_delivery_success_rate", text, registry=registry)
        self._rate.set(1)
        self.forwarded = 0
        self.accepted = 0
        self._lost = 0

    def settled(self, job: Job, outcome: Outcome) -> None:
        """Count what a job has done."""
        del job
        match outcome:
            case Kept(is_new=True):
                self.accepted += 1
                self._accepted.inc()
            case Cleared():
                self._left_queue(outcome.acked, outcome.nacked)
                self._nacked.inc(outcome.nacked)
            case Pruned():
                self._left_queue(0, len(outcome.places))
                self._expired.inc(len(outcome.places))
            case _:
                pass

    def received(self, size: int) -> None:
        """Count bytes that a peer sent."""
        self._bytes_in.inc(size)

    def sent(self, size: int) -> None:
        """Count bytes sent to a peer."""
        self._bytes_out.inc(size)

    def refused(self, code: int) -> None:
        """Count one refusal."""
        if code in _KNOWN:
            self._refusals.labels(reason=Refusal(code).name.lower()).inc()

    def _left_queue(self, delivered: int, lost: int) -> None:
        self.forwarded += delivered
        self._lost += lost
        self._forwarded.inc(delivered)
        if self.forwarded + self._lost:
            self._rate.set(self.forwarded / (self.forwarded + self._lost))


def _labelled(registry: CollectorRegistry, name: str, text: str, label: str) -> Counter:
    return Counter(name, text, [label], registry=registry)
