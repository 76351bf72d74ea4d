from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.node.address import Address, BadAddress, PeerAddress, parse, parse_multiaddr

ANYWHERE = "0.0.0.0"  # noqa: S104 - parsed, not bound
PEER = "12D3KooWABCDEFGHJKLMNPQRSTUV"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:7070", Address(ANYWHERE, 7070)),
        ("node1.dchat.org:1", Address("node1.dchat.org", 1)),
        ("[::1]:65535", Address("::1", 65_535)),
        (" localhost:0 ", Address("localhost", 0)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("7070", "has no port"),
        ("", "has no port"),
        ("host:", "port '' is not a number"),
        ("host:040737095", "is not a number from 0 to 65535"),
        ("host:000080", "is not a number"),
        ("host:65536", "is not a number from 0 to 65535"),
        ("host:-1", "is not a number"),
        ("host:٣", "is not a number"),
        ("::1:80", "in brackets"),
        ("[1.2.3.4]:80", "is not an IPv6 address"),
        ("1.2.3.999:80", "is not an IPv4 address"),
        ("1.2.3:80", "is not an IPv4 address"),
        ("-bad:80", "neither an IPv4 address nor a host name"),
        ("a b:80", "neither an IPv4 address nor a host name"),
        ("a" * 254 + ":80", "neither an IPv4 address nor a host name"),
    ],
)
def test_a_bad_address_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(BadAddress, match=reason):
        parse(text)


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("/ip4/1.2.3.4/tcp/7070", PeerAddress(Address("1.2.3.4", 7070), None)),
        ("/ip6/::1/tcp/7070", PeerAddress(Address("::1", 7070), None)),
        ("/dns/seed.dchat.org/tcp/1/p2p/" + PEER, PeerAddress(Address("seed.dchat.org", 1), PEER)),
        # the guide writes names after /ip4
        (
            "/ip4/validator1.dchat.org/tcp/26656",
            PeerAddress(Address("validator1.dchat.org", 26656), None),
        ),
    ],
)
def test_a_multiaddr_is_read(text: str, peer: PeerAddress) -> None:
    assert parse_multiaddr(text) == peer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "1.2.3.4:80",
        "/ip4/1.2.3.4",
        "/ip4/1.2.3.4/udp/1",
        "/ip9/1.2.3.4/tcp/1",
        "/ip6/1.2.3.4/tcp/1",
        "/ip4/1.2.3.4/tcp/x",
        "/ip4/1.2.3.4/tcp/1/p2p/short",
        "/ip4/1.2.3.4/tcp/1/ipfs/" + PEER,
        "/ip4/1.2.3.4/tcp/1/p2p/" + PEER + "/p2p-circuit",
    ],
)
def test_a_bad_multiaddr_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_multiaddr(text)


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for read in (parse, parse_multiaddr):
        with contextlib.suppress(BadAddress):
            read(text)


def test_ipv6_is_shown_in_brackets() -> None:
    assert str(Address("::1", 80)) == "[::1]:80"


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), (ANYWHERE, False), ("a.b", False)],
)
def test_loopback_is_told_from_the_world(host: str, is_loopback: bool) -> None:
    assert Address(host, 1).is_loopback is is_loopback


@pytest.mark.parametrize(
    ("host", "dialled"), [(ANYWHERE, "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1")]
)
def test_a_wildcard_is_dialled_on_this_machine(host: str, dialled: str) -> None:
    assert Address(host, 5).dialled() == Address(dialled, 5)
