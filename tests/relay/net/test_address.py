from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID  # pyright: ignore[reportMissingTypeStubs] -- upstream ships none

from relay.net.address import (
    Address,
    BadAddress,
    PeerId,
    parse_address,
    parse_listen,
    parse_peer_id,
    peer_id,
)

SOMEBODY = peer_id(bytes(32))

seeds = st.binary(min_size=32, max_size=32)
ports = st.integers(min_value=0, max_value=65535)
hosts = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.from_regex(r"[a-z]{1,9}(\.[a-z]{2,9}){1,3}", fullmatch=True),
)


@given(seeds)
def test_a_peer_id_is_the_one_libp2p_gives_the_same_seed(seed: bytes) -> None:
    assert peer_id(seed) == str(ID.from_pubkey(create_new_key_pair(seed).public_key))


@given(seeds)
def test_a_peer_id_is_read_back(seed: bytes) -> None:
    assert parse_peer_id(peer_id(seed)) == peer_id(seed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "12D3KooW",
        "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        SOMEBODY[:-1],
        SOMEBODY + "1",
        SOMEBODY.replace("W", "0", 1),
        "1" + SOMEBODY,
        "1" * 500,
    ],
)
def test_what_is_not_the_id_of_an_ed25519_key_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_peer_id(text)


@given(hosts, ports, st.one_of(st.none(), st.just(SOMEBODY)))
def test_an_address_is_read_back_as_it_was_shown(host: str, port: int, who: PeerId | None) -> None:
    address = Address(host, port, who)

    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/ip4/203.0.113.7/tcp/7070", Address("203.0.113.7", 7070)),
        ("/ip6/2001:db8::1/tcp/7070", Address("2001:db8::1", 7070)),
        ("/dns/relay.example.org/tcp/1", Address("relay.example.org", 1)),
        ("/dns4/relay.example.org/tcp/1", Address("relay.example.org", 1)),
        ("/ip4/validator1.dchat.org/tcp/26656", Address("validator1.dchat.org", 26656)),
        (f"/ip4/1.2.3.4/tcp/1/p2p/{SOMEBODY}", Address("1.2.3.4", 1, SOMEBODY)),
    ],
)
def test_the_forms_operators_write_are_understood(text: str, expected: Address) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "1.2.3.4:7070",
        "/ip4/1.2.3.4",
        "/ip4/1.2.3.4/tcp",
        "/ip4/1.2.3.4/udp/7070/quic-v1",
        "/ip4/1.2.3.4/tcp/7070/ws",
        "/ip4/1.2.3.4/tcp/65536",
        "/ip4/1.2.3.4/tcp/-1",
        "/ip4/1.2.3.4/tcp/٣",
        "/ip4//tcp/7070",
        "/ip4/a b/tcp/7070",
        "/ip4/-a/tcp/7070",
        "/onion3/abc/tcp/1",
        "/ip4/1.2.3.4/tcp/1/p2p/nobody",
        f"/ip4/1.2.3.4/tcp/1/p2p/{SOMEBODY}/p2p-circuit",
        "/ip4/" + "a" * 600 + "/tcp/1",
    ],
)
def test_an_address_we_cannot_dial_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(BadAddress) as refused:
        parse_address(text)

    assert "/tcp/" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:7070", Address("127.0.0.1", 7070)),
        ("[::]:7070", Address("::", 7070)),
        ("localhost:0", Address("localhost", 0)),
        ("/ip4/127.0.0.1/tcp/7070", Address("127.0.0.1", 7070)),
    ],
)
def test_where_to_listen_is_read_in_both_forms(text: str, expected: Address) -> None:
    assert parse_listen(text) == expected


@pytest.mark.parametrize("port", ["65536", "040737095", "\u0668\u0660", "-1", "", "9" * 5000])
def test_a_port_beyond_the_last_is_refused_however_it_is_spelled(port: str) -> None:
    with pytest.raises(BadAddress, match="is not a port"):
        parse_listen(f"localhost:{port}")


@given(st.text(max_size=80))
def test_arbitrary_text_is_an_address_or_refused(text: str) -> None:
    try:
        shown = str(parse_listen(text))
    except BadAddress:
        return
    assert parse_address(shown) == parse_address(shown)
