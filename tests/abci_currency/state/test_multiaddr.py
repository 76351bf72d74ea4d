from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency.state.multiaddr import MAX_BYTES, is_canonical

LONGEST = ".".join(["x" * 63, "x" * 63, "x" * 63, "x" * 61])


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/203.0.113.7/tcp/7070",
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/255.255.255.255/tcp/65535",
        "/ip6/2001:db8::1/tcp/7070",
        "/ip6/::1/tcp/7070",
        "/ip6/2001:db8::/tcp/7070",
        "/ip6/1:0:2:3:4:5:6:7/tcp/7070",
        "/ip6/1:0:0:2::3/tcp/7070",
        "/ip6/1::2:0:0:3:4/tcp/7070",
        "/dns/relay.example.org/tcp/7070",
        "/dns4/a_b-c.example/tcp/7070",
        "/dns6/localhost/tcp/7070",
        "/dns/1.2.3.example/tcp/7070",
        "/dns/1.2.3.4a/tcp/7070",
    ],
)
def test_an_address_in_its_one_spelling_is_taken(text: str) -> None:
    assert is_canonical(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "203.0.113.7:7070",
        "/ip4/203.0.113.7",
        "/ip4/203.0.113.7/udp/7070",
        "/ip4/203.0.113.7/tcp/7070/",
        "/ip4/203.0.113.7/tcp/7070/p2p/12D3KooW",
        " /ip4/203.0.113.7/tcp/7070",
        "/ip4/203.0.113.7/tcp/7070\n",
        "/ip4/203.0.113.7/tcp/0",
        "/ip4/203.0.113.7/tcp/07070",
        "/ip4/203.0.113.7/tcp/65536",
        "/ip4/203.0.113.7/tcp/+1",
        "/ip4/203.0.113.7/tcp/\u0661",
        "/ip4/0.0.0.0/tcp/7070",
        "/ip4/256.0.0.1/tcp/7070",
        "/ip4/01.2.3.4/tcp/7070",
        "/ip4/1.2.3/tcp/7070",
        "/ip4/1.2.3.4.5/tcp/7070",
        "/ip4/relay.example.org/tcp/7070",
        "/ip4/\u0661.2.3.4/tcp/7070",
        "/ip6/::/tcp/7070",
        "/ip6/2001:DB8::1/tcp/7070",
        "/ip6/2001:0db8::1/tcp/7070",
        "/ip6/2001:db8:0::1/tcp/7070",
        "/ip6/1::2::3/tcp/7070",
        "/ip6/:::1/tcp/7070",
        "/ip6/1:2:3:4:5:6:7/tcp/7070",
        "/ip6/1:2:3:4:5:6:7:8:9/tcp/7070",
        "/ip6/1::2:3:4:5:6:7/tcp/7070",
        "/ip6/1:2::3:0:0:0:4/tcp/7070",
        "/ip6/::0:1/tcp/7070",
        "/ip6/fe80::1%eth0/tcp/7070",
        "/ip6/::ffff:1.2.3.4/tcp/7070",
        "/ip6/12345::/tcp/7070",
        "/dns/Relay.example.org/tcp/7070",
        "/dns/relay.example.org./tcp/7070",
        "/dns/relay..org/tcp/7070",
        "/dns/-relay.org/tcp/7070",
        "/dns/relay-.org/tcp/7070",
        "/dns/rélais.org/tcp/7070",
        "/dns/1.2.3.4/tcp/7070",
        "/dns/relay.7/tcp/7070",
        "/dns//tcp/7070",
        f"/dns/{'x' * 64}.org/tcp/7070",
        f"/dns/{LONGEST}x/tcp/7070",
        "/unix/socket/tcp/7070",
    ],
)
def test_any_other_text_is_not(text: str) -> None:
    assert not is_canonical(text)


def test_the_longest_name_fits() -> None:
    text = f"/dns4/{LONGEST}/tcp/65535"

    assert (len(LONGEST), len(text) <= MAX_BYTES, is_canonical(text)) == (253, True, True)


@given(st.integers(1 << 48, 2**128 - 1))
def test_every_ipv6_address_is_taken_as_the_standard_library_shortens_it(number: int) -> None:
    assert is_canonical(f"/ip6/{IPv6Address(number)}/tcp/7070")


@given(st.text(alphabet="/:.ipdnstcp0123456789abcdef", max_size=40), st.text(max_size=40))
def test_arbitrary_text_is_taken_or_not_and_nothing_else(near: str, far: str) -> None:
    assert is_canonical(f"/ip6/{near}/tcp/1") in (True, False)
    assert is_canonical(far) is False
