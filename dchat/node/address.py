"""Network addresses as operators write them: `host:port` and multiaddrs."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

MAX_PORT: Final = 65_535
PORT: Final = re.compile(r"[0-9]{1,5}")
HOST_NAME: Final = re.compile(
    r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?"
)
PEER_ID: Final = re.compile(r"[A-Za-z0-9]{20,128}")
MAX_HOST: Final = 253
HOST_KINDS: Final = frozenset({"ip4", "ip6", "dns", "dns4", "dns6"})


class BadAddress(ValueError):
    """The text is not an address; says which part is wrong."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host (name, IPv4 or IPv6 without brackets) and a TCP port; 0 asks for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return `host:port`, IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def dialled(self) -> Address:
        """Return the address to dial from this machine: a wildcard becomes its loopback."""
        wildcards = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
        return Address(wildcards.get(self.host, self.host), self.port)


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a peer listens and, when known, the id it must prove."""

    address: Address
    peer_id: str | None


def parse(text: str) -> Address:
    """Read `host:port` or `[v6]:port`. Raises: BadAddress."""
    host, colon, port = text.strip().rpartition(":")
    if not colon:
        raise BadAddress(f"{text!r} has no port; write host:port, such as 0.0.0.0:7070")
    if host.startswith("[") and host.endswith("]"):
        return Address(_ip(host[1:-1], 6), _port(port))
    if ":" in host:
        raise BadAddress(f"{text!r}: put an IPv6 host in brackets, such as [::1]:7070")
    return Address(_host(host), _port(port))


def parse_multiaddr(text: str) -> PeerAddress:
    """Read `/ip4|ip6|dns…/HOST/tcp/PORT[/p2p/ID]`; a name after `/ip4` counts as a DNS name.

    Raises: BadAddress.
    """
    parts = text.strip().split("/")
    well_formed = len(parts) in (5, 7) and parts[0] == "" and parts[3] == "tcp"
    if not well_formed or parts[1] not in HOST_KINDS:
        raise BadAddress(f"{text!r} is not /ip4/HOST/tcp/PORT, optionally with /p2p/ID")
    host = _ip(parts[2], 6) if parts[1] == "ip6" else _host(parts[2])
    address = Address(host, _port(parts[4]))
    if len(parts) == 5:  # noqa: PLR2004 - "", kind, host, "tcp", port
        return PeerAddress(address, None)
    if parts[5] != "p2p" or not PEER_ID.fullmatch(parts[6]):
        raise BadAddress(f"{text!r}: what follows the port must be /p2p/ID")
    return PeerAddress(address, parts[6])


def _port(text: str) -> int:
    if not PORT.fullmatch(text) or int(text) > MAX_PORT:
        raise BadAddress(f"port {text[:20]!r} is not a number from 0 to {MAX_PORT}")
    return int(text)


def _ip(text: str, version: int) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise BadAddress(f"{text!r} is not an IPv{version} address") from None
    if address.version != version:
        raise BadAddress(f"{text!r} is not an IPv{version} address")
    return str(address)


def _host(text: str) -> str:
    if re.fullmatch(r"[0-9.]+", text):
        return _ip(text, 4)
    if len(text) > MAX_HOST or not HOST_NAME.fullmatch(text):
        raise BadAddress(f"{text[:80]!r} is neither an IPv4 address nor a host name")
    return text
