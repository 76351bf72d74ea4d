"""What people and files write in a line: addresses, amounts, times, sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dchat.kernel import accounts, amounts, bech32m
from dchat.kernel.amounts import BadAmount
from dchat.kernel.headers import MAX_TIME_NS, MIN_TIME_NS
from dchat.node import address, rfc3339, units
from relay.net.address import BadAddress, parse_address, parse_listen, peer_id
from tests.fakes.memory import ALICE
from tests.fuzz.mutate import change_bytes, change_text
from tests.fuzz.target import Target, named


@dataclass(frozen=True, slots=True)
class Notation:
    """How one kind of thing is written: read it, and check what was read against the text."""

    name: str
    read: Callable[[str], object]
    errors: tuple[type[Exception], ...]
    holds: Callable[[str, object], bool]
    samples: tuple[str, ...]


def _amount_holds(text: str, units_read: object) -> bool:
    shown = amounts.show_amount(units_read)  # type: ignore[arg-type]
    return amounts.parse_amount(shown) == units_read and text.isascii()


def _time_holds(text: str, time_ns: object) -> bool:
    assert isinstance(time_ns, int)
    return (
        MIN_TIME_NS <= time_ns <= MAX_TIME_NS
        and rfc3339.parse_time(rfc3339.show_time(time_ns)) == time_ns
    )


def _peer_holds(_text: str, peer: object) -> bool:
    assert isinstance(peer, address.PeerAddress)
    return address.parse(str(peer.address)) == peer.address


PEER: Final = peer_id(ALICE.seed)
NOTATIONS: Final = (
    Notation(
        "bech32m",
        lambda text: bech32m.decode("dchat", text),
        (bech32m.BadAddress,),
        lambda text, payload: bech32m.encode("dchat", payload) == text.lower(),  # type: ignore[arg-type]
        (bech32m.encode("dchat", b""), bech32m.encode("dchat", b"payload"), "A1LQFN3A"),
    ),
    Notation(
        "account",
        accounts.parse_account,
        (accounts.BadAccount,),
        lambda text, account: accounts.show_account(account) == text.lower(),  # type: ignore[arg-type]
        (accounts.show_account(ALICE.id),),
    ),
    Notation(
        "amount",
        amounts.parse_amount,
        (BadAmount,),
        _amount_holds,
        (
            "5",
            "0.25",
            "1DCHAT",
            "250000udchat",
            "18446744073709.551615",
            "18446744073709551615udchat",
        ),
    ),
    Notation(
        "address",
        address.parse,
        (address.BadAddress,),
        lambda _, read: address.parse(str(read)) == read,
        ("127.0.0.1:80", "[::1]:7070", "relay.example.org:1", "0.0.0.0:0"),
    ),
    Notation(
        "multiaddr",
        address.parse_multiaddr,
        (address.BadAddress,),
        _peer_holds,
        ("/ip4/127.0.0.1/tcp/1", "/dns/a.example/tcp/7070/p2p/" + "Q" * 46, "/ip6/::1/tcp/9"),
    ),
    Notation(
        "peer",
        parse_address,
        (BadAddress,),
        lambda _, read: parse_address(str(read)) == read,
        (
            "/ip4/127.0.0.1/tcp/1",
            f"/dns/a.example/tcp/7070/p2p/{PEER}",
            f"/ip6/::1/tcp/9/p2p/{PEER}",
        ),
    ),
    Notation(
        "listener",
        parse_listen,
        (BadAddress,),
        lambda _, read: parse_address(str(read)) == read,
        ("127.0.0.1:80", "[::1]:7070", "0.0.0.0:0"),
    ),
    Notation(
        "time",
        rfc3339.parse_time,
        (ValueError,),
        _time_holds,
        ("2026-01-31T12:00:00Z", "9999-12-31T23:59:59.999999999Z", "0001-01-01T00:00:00Z"),
    ),
    Notation(
        "quantity",
        lambda text: (units.parse_bytes(text), units.parse_milliseconds("5m")),
        (ValueError,),
        lambda _, read: isinstance(read, tuple),
        ("10MiB", "5 kB", "999999999999999999GiB"),
    ),
)


def judge(data: bytes) -> str:
    """The first byte chooses the notation; what is read is what was written, or it is refused."""
    notation = NOTATIONS[int.from_bytes(data[:1], "big") % len(NOTATIONS)]
    text = data[1:].decode(errors="replace")
    try:
        read = notation.read(text)
    except notation.errors as fault:
        return named(fault)
    assert notation.holds(text, read), f"{notation.name}: {text!r} was read as {read!r}"
    return f"read: {notation.name}"


TARGET: Final = Target(
    "text",
    "an address, amount, time or size is read as what it says, or refused with its own error",
    judge,
    tuple(bytes([n]) + text.encode() for n, each in enumerate(NOTATIONS) for text in each.samples),
    (lambda rng, data: data[:1] + change_text(rng, data[1:]), change_bytes),
    max_bytes=600,
)
