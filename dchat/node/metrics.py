"""A Prometheus registry per process; each part declares its own metrics on it."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Gauge, GCCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

import dchat
from dchat.node.clock import monotonic_ms

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


def new_registry(process: str) -> CollectorRegistry:
    """Return a registry holding what every process reports: memory, CPU, version, uptime."""
    registry = CollectorRegistry()
    standard = ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    build = Gauge("dchat_build_info", "Always 1.", ["version", "process"], registry=registry)
    build.labels(version=dchat.__version__, process=process).set(1)
    memory = Gauge("dchat_memory_usage_bytes", "Resident memory, in bytes.", registry=registry)
    memory.set_function(lambda: _resident_bytes(standard))
    started = monotonic_ms()
    uptime = Gauge("dchat_uptime_seconds", "Seconds since the process started.", registry=registry)
    uptime.set_function(lambda: (monotonic_ms() - started) / 1000)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """Return the text a Prometheus server reads."""
    return generate_latest(registry)


def _resident_bytes(standard: ProcessCollector) -> float:
    for family in standard.collect():
        if family.name == "process_resident_memory_bytes":
            return family.samples[0].value
    return 0.0
