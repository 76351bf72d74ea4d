"""What one host allows: connections, handshakes, memory and patience. Seconds and bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostLimits:
    """Bounds of one host. The defaults suit a small relay that strangers can reach."""

    max_connections: int = 256
    """Inbound connections, handshakes included; dialled ones come on top."""
    max_per_source: int = 64
    """Inbound connections from one IPv4 address or IPv6 /64."""
    max_half_open: int = 128
    """Inbound connections that have not finished their handshake."""
    max_half_open_per_source: int = 16
    max_per_peer: int = 2
    """Connections with one peer id; a newer one closes the oldest."""
    max_streams_per_connection: int = 32
    """Streams a peer may hold open on one connection; more are reset."""
    max_buffered: int = 4 * 1024 * 1024
    """Bytes a peer may have sent that nobody has read; more closes the connection."""
    handshake_timeout_s: float = 5.0
    write_timeout_s: float = 15.0
    """How long one write may block on a full socket before it is closed."""
    stall_timeout_s: float = 20.0
    """How long a stream write may wait for a peer that does not read."""
    ping_every_s: float = 8.0
    dead_after_s: float = 20.0
    """A peer silent for so long is gone; noticed at most `ping_every_s` later."""
