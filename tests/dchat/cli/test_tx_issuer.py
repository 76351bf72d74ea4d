"""`dchat tx` of issuers: their bond and their keys afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from abci_currency.params import RELAYS, Relays
from dchat.kernel.store import Draft
from tests.dchat.cli.market import SHOWN, Market, market, said, table
from tests.dchat.cli.nodes import Dchat


def a_second_is_enough(draft: Draft) -> None:
    RELAYS.save(draft, Relays(escrow_delay_ms=1000))


@pytest.fixture
def town(tmp_path: Path, dchat: Dchat) -> Iterator[Market]:
    with market(tmp_path, dchat, a_second_is_enough) as opened:
        opened.tx("carol", "open-issuer-bond", "--amount", "40")
        yield opened


def test_a_bond_is_opened(town: Market) -> None:
    ran = town.tx("bob", "open-issuer-bond", "--amount", "12")

    assert ran.code == 0
    assert table(ran)[3:] == [
        "amount: 12 DCHAT",
        "fee: …",
        "issuer: bob",
        "held: 12 DCHAT",
        "closes_at: -",
        "token_keys: 0",
        "keys: -",
        "balance: …",
    ]


def test_a_bond_holds_more_after_a_top_up(town: Market) -> None:
    told = said(town.tx("carol", "top-up-issuer-bond", "--amount", "2", "--json"))

    assert told["held"] == "42 DCHAT"


def test_a_key_is_published_for_the_present_epoch(town: Market, tmp_path: Path) -> None:
    file = tmp_path / "token.der"
    file.write_bytes(b"key")

    told = said(town.tx("carol", "publish-token-key", "--key", file, "--exponent", "4", "--json"))

    assert [(key["token"], key["key_hash"]) for key in told["keys"]] == [
        ("0.01 DCHAT", sha256(b"key").hexdigest())
    ]
    assert told["keys"][0]["epoch"] == told["epoch"]


def test_a_bond_is_closed_and_paid_back(town: Market) -> None:
    closed = said(town.tx("carol", "close-issuer-bond", "--json"))

    ran = town.tx("bob", "settle-issuer-bond", "--issuer", SHOWN["carol"])

    assert (closed["closes_at"] is None, ran.code) == (False, 0)
    assert town.query("issuer", SHOWN["carol"]).code == 11


def test_a_second_bond_is_refused(town: Market) -> None:
    ran = town.tx("carol", "open-issuer-bond", "--amount", "40")

    assert (ran.code, "refused, IssuerBondExists" in ran.err) == (13, True)


def test_a_key_of_an_epoch_far_away_is_refused(town: Market, tmp_path: Path) -> None:
    file = tmp_path / "token.der"
    file.write_bytes(b"key")

    ran = town.tx(
        *("carol", "publish-token-key", "--key", file, "--exponent", "4"), *("--epoch", "1")
    )

    assert (ran.code, "refused, EpochOutOfRange" in ran.err) == (13, True)
