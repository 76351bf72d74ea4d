"""Who and where a peer is: its id from a key, its addresses from the text an operator writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NewType

from dchat.kernel import signing
from dchat.kernel.errors import OperatorError

PeerId = NewType("PeerId", str)
"""A libp2p peer id of an Ed25519 key, base58: `12D3Koo…`. Source: libp2p specs, peer-ids."""

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_KEY_BYTES: Final = 32
_ID_PREFIX: Final = bytes.fromhex("0024 0801 1220")
"""Identity multihash of 36 bytes; protobuf `PublicKey{Type: Ed25519, Data: 32 bytes}`."""
_MAX_TEXT: Final = 512
_MAX_PORT: Final = 65535
_PORT: Final = re.compile(r"[0-9]{1,5}")
_NAME: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_-]+)*", re.I)
_HOST_WORDS: Final = frozenset({"ip4", "ip6", "dns", "dns4", "dns6"})


class BadAddress(OperatorError):
    """The text is not an address dchat can dial or listen on. Attribute: text."""

    hint = "write it as /ip4/203.0.113.7/tcp/7070/p2p/12D3Koo… (host names are allowed)"

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"bad address {text[:_MAX_TEXT]!r}: {reason}")
        self.text = text


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP door of a peer. `host` is an IP or a name; `peer_id` says whom to expect there."""

    host: str
    port: int
    peer_id: PeerId | None = None

    def __str__(self) -> str:
        tail = f"/p2p/{self.peer_id}" if self.peer_id else ""
        return f"/{_host_word(self.host)}/{self.host}/tcp/{self.port}{tail}"


def peer_id(seed: bytes) -> PeerId:
    """Return the peer id of the Ed25519 key with this 32-byte seed."""
    return peer_id_of(signing.public_key(seed))


def peer_id_of(key: bytes) -> PeerId:
    """Return the peer id of a 32-byte Ed25519 public key."""
    return PeerId(_base58(_ID_PREFIX + key))


def parse_peer_id(text: str) -> PeerId:
    """Return the id if it names an Ed25519 key. Raises: BadAddress."""
    key_of(PeerId(text))
    return PeerId(text)


def key_of(peer: PeerId) -> bytes:
    """Return the 32-byte Ed25519 key that a peer id encodes. Raises: BadAddress."""
    raw = _unbase58(peer)
    if raw is None or len(raw) != len(_ID_PREFIX) + _KEY_BYTES or not raw.startswith(_ID_PREFIX):
        raise BadAddress(peer, "not the id of an Ed25519 key (12D3Koo…)")
    return raw[len(_ID_PREFIX) :]


def parse_address(text: str) -> Address:
    """Read `/(ip4|ip6|dns|dns4|dns6)/HOST/tcp/PORT[/p2p/ID]`.

    A host name is accepted after `ip4` and `ip6` too, because operators write it so.

    Raises: BadAddress.
    """
    words = text.split("/") if len(text) <= _MAX_TEXT else []
    match words:
        case ["", word, host, "tcp", port]:
            return Address(_host(text, word, host), _port(text, port))
        case ["", word, host, "tcp", port, "p2p", peer]:
            return Address(_host(text, word, host), _port(text, port), parse_peer_id(peer))
        case _:
            raise BadAddress(text, "expected /ip4|ip6|dns/HOST/tcp/PORT, then /p2p/ID if known")


def parse_listen(text: str) -> Address:
    """Read where to listen: `HOST:PORT`, `[IPV6]:PORT` or a multiaddr. Port 0 = any free one.

    Raises: BadAddress.
    """
    if text.startswith("/"):
        return parse_address(text)
    host, colon, port = text.rpartition(":")
    if not colon:
        raise BadAddress(text, "expected HOST:PORT")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    return Address(_host(text, "dns", bare), _port(text, port))


def _host(text: str, word: str, host: str) -> str:
    if word not in _HOST_WORDS:
        raise BadAddress(text, f"/{word} is not supported; use ip4, ip6 or dns over tcp")
    if _ip(host) is None and not _NAME.fullmatch(host):
        raise BadAddress(text, f"{host!r} is neither an IP address nor a host name")
    return host


def _port(text: str, port: str) -> int:
    if not _PORT.fullmatch(port) or int(port) > _MAX_PORT:
        raise BadAddress(text, f"{port!r} is not a port")
    return int(port)


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _host_word(host: str) -> str:
    address = _ip(host)
    return "dns" if address is None else f"ip{address.version}"


def _base58(raw: bytes) -> str:
    number, digits = int.from_bytes(raw), ""
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + digits


def _unbase58(text: str) -> bytes | None:
    if len(text) > 2 * _KEY_BYTES or not set(text) <= set(_ALPHABET):
        return None
    number = 0
    for letter in text:
        number = number * len(_ALPHABET) + _ALPHABET.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)
