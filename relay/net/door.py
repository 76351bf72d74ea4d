"""Who may come in: inbound connections counted in all and by source, handshakes apart.

A slot is held by a `with` block and given back when it ends, so none can leak.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from dchat.kernel.errors import RemoteProtocolError
from relay.net.limits import HostLimits

_HOST_BITS_V6 = 64


class DoorClosed(RemoteProtocolError):
    """An inbound connection is over a bound. Attribute: bound -- the limit's name."""

    def __init__(self, bound: str) -> None:
        super().__init__(f"{bound} reached")
        self.bound = bound


@dataclass(slots=True)
class _Room:
    """Visitors, bounded in all and by source."""

    name: str
    limit: int
    per_source: int
    inside: Counter[str] = field(default_factory=Counter[str])

    @contextmanager
    def visit(self, source: str) -> Generator[None, None, None]:
        """Hold a place while the block runs. Raises: DoorClosed."""
        if self.inside.total() >= self.limit:
            raise DoorClosed(f"max_{self.name}")
        if self.inside[source] >= self.per_source:
            raise DoorClosed(f"max_{self.name}_per_source")
        self.inside[source] += 1
        try:
            yield
        finally:
            self.inside[source] -= 1
            self.inside += Counter()  # drops the zeros: a source that left takes no memory


class Door:
    """Places for inbound connections; sources are addresses as `source_of` groups them."""

    def __init__(self, limits: HostLimits) -> None:
        self._connections = _Room("connections", limits.max_connections, limits.max_per_source)
        self._half_open = _Room("half_open", limits.max_half_open, limits.max_half_open_per_source)

    def connected(self, source: str) -> AbstractContextManager[None]:
        """Hold a place for a connection from its first byte to its last. Raises: DoorClosed."""
        return self._connections.visit(source)

    def half_open(self, source: str) -> AbstractContextManager[None]:
        """Hold a place for a handshake. Raises: DoorClosed."""
        return self._half_open.visit(source)


def source_of(host: str) -> str:
    """Return what one party can hardly have many of: the IPv4 address, or the IPv6 /64."""
    address = ip_address(host.partition("%")[0])
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> _HOST_BITS_V6 << _HOST_BITS_V6))
