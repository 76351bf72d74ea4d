from __future__ import annotations

import pytest

from abci_currency.txs import relay
from dchat.kernel.ids import Amount, Height
from relay.net.address import BadAddress, PeerId, peer_id
from relay.registration import as_registered, build_registration, peer_key
from tests.fakes.memory import ALICE, CHAIN
from tests.fakes.postage import PEER, STAKE, Clockwork, peer_of

ID = peer_id(PEER)
KEY = peer_of(PEER)


def test_what_is_built_is_accepted_by_the_chain() -> None:
    form = build_registration(
        PEER,
        (ALICE.id, STAKE),
        (f"/ip4/203.0.113.7/tcp/7070/p2p/{ID}", "/ip4/Relay.Example.org/tcp/7070"),
        CHAIN,
        Height(1000),
    )

    outcome = Clockwork().send(ALICE, relay.REGISTER, form)

    assert (outcome.code, form.peer) == (0, KEY)
    assert form.addresses == ("/ip4/203.0.113.7/tcp/7070", "/dns/relay.example.org/tcp/7070")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("/ip4/203.0.113.7/tcp/07070", "/ip4/203.0.113.7/tcp/7070"),
        ("/ip6/2001:DB8:0:0::1/tcp/7070", "/ip6/2001:db8::1/tcp/7070"),
        ("/dns4/relay.example.org/tcp/7070", "/dns/relay.example.org/tcp/7070"),
        ("/dns/203.0.113.7/tcp/7070", "/ip4/203.0.113.7/tcp/7070"),
    ],
)
def test_an_address_is_kept_in_one_spelling(written: str, kept: str) -> None:
    assert as_registered((written, kept), KEY) == (kept,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "203.0.113.7:7070",
        "/ip4/0.0.0.0/tcp/7070",
        "/ip4/203.0.113.7/tcp/0",
        f"/ip4/203.0.113.7/tcp/7070/p2p/{peer_id(b'o' * 32)}",
        "/ip4/203.0.113.7/udp/7070",
        "/dns/relay.7/tcp/7070",
        "/dns/relay.example.org./tcp/7070",
        "/ip6/fe80::1%eth0/tcp/7070",
    ],
)
def test_what_nobody_could_dial_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        as_registered((text,), KEY)


def test_a_peer_id_names_its_key() -> None:
    assert peer_key(ID) == KEY


@pytest.mark.parametrize("text", ["", "QmWrong", "l" * 52, ID[:-1]])
def test_other_text_names_none(text: str) -> None:
    with pytest.raises(BadAddress):
        peer_key(PeerId(text))


def test_the_stake_and_the_last_height_are_what_was_asked() -> None:
    form = build_registration(PEER, (ALICE.id, Amount(5)), (), CHAIN, Height(7))

    assert (form.stake, form.proof_until, form.addresses) == (5, 7, ())
