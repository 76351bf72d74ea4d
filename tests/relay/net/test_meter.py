from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from dchat.kernel.ids import EpochMs
from relay.core.jobs import Cleared, Failed, GetBundle, Kept, Pruned
from relay.core.refusals import Refusal
from relay.net.meter import Meter

JOB = GetBundle(b"k" * 32)
NEW = Kept(EpochMs(1), is_new=True, is_present=True)
OLD = Kept(EpochMs(1), is_new=False, is_present=True)
EXPIRED = Pruned(((b"m" * 32, b"1" * 32),))
RATE = "dchat_relay_delivery_success_rate"


def measured(*outcomes: Any) -> CollectorRegistry:
    registry = CollectorRegistry()
    meter = Meter(registry)
    for outcome in outcomes:
        meter.settled(JOB, outcome)
    return registry


@pytest.mark.parametrize(
    ("outcomes", "name", "value"),
    [
        ((NEW, OLD), "dchat_relay_envelopes_accepted_total", 1),
        ((Cleared(2, 1),), "dchat_relay_messages_forwarded_total", 2),
        ((Cleared(2, 1),), "dchat_relay_messages_nacked_total", 1),
        ((EXPIRED,), "dchat_relay_messages_expired_total", 1),
        ((), RATE, 1),
        ((NEW, Failed()), RATE, 1),
        ((Cleared(3, 0), EXPIRED), RATE, 0.75),
        ((Cleared(1, 1),), RATE, 0.5),
    ],
)
def test_each_figure_counts_what_its_name_says(outcomes: Any, name: str, value: float) -> None:
    assert measured(*outcomes).get_sample_value(name) == value


@pytest.mark.parametrize("refusal", Refusal)
def test_every_refusal_has_its_own_count(refusal: Refusal) -> None:
    registry = CollectorRegistry()

    Meter(registry).refused(refusal.value)

    label = {"reason": refusal.name.lower()}
    assert registry.get_sample_value("dchat_relay_refusals_total", label) == 1


def test_bytes_are_counted_by_direction() -> None:
    registry = CollectorRegistry()
    meter = Meter(registry)

    meter.received(3)
    meter.sent(5)

    name = "dchat_network_bandwidth_bytes_total"
    assert registry.get_sample_value(name, {"direction": "in"}) == 3
    assert registry.get_sample_value(name, {"direction": "out"}) == 5
