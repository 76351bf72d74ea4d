"""From an order to what is proved of it, on a chain behind HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dchat.kernel import accounts
from dchat.kernel.codec import MAX_U64
from dchat.kernel.ids import Amount
from dchat.kernel.store import Draft
from tests.dchat.cli.market import PEOPLE, SHOWN, Market, market, masked, said
from tests.dchat.cli.nodes import Dchat
from tests.fakes.rpc_node import Json

CHECKED = (
    "checked: result proved by header 4 of test-1 (HASH…, TIME), signed by 30 of 40 at least,"
    " from the root of trust at height 1; no other node compared, as is the state shown;"
    " of a refusal the numbers are the node's word\n"
)


def dave_is_full(draft: Draft) -> None:
    """Whatever is sent to dave is refused, but only in a block."""
    accounts.credit(draft, PEOPLE["dave"], Amount(MAX_U64))


@pytest.fixture
def town(tmp_path: Path, dchat: Dchat) -> Iterator[Market]:
    with market(tmp_path, dchat) as opened:
        yield opened


@pytest.fixture
def full(tmp_path: Path, dchat: Dchat) -> Iterator[Market]:
    with market(tmp_path, dchat, dave_is_full) as opened:
        yield opened


def test_a_payment_is_told_with_its_block_its_price_and_what_is_left(town: Market) -> None:
    ran = town.tx("alice", "send", "--to", SHOWN["dave"], "--amount", "5")

    assert (ran.code, masked(ran.err)) == (0, CHECKED)
    assert masked(ran.out).splitlines() == [
        "hash:    HASH",
        "height:  3",
        "from:    alice",
        "to:      dave",
        "amount:  5 DCHAT",
        "fee:     0.000081 DCHAT",
        "balance: 9999994.999919 DCHAT",
    ]


def test_a_node_that_refuses_is_told_before_anything_is_spent(town: Market) -> None:
    ran = town.tx("dave", "send", "--to", SHOWN["alice"], "--amount", "5")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "dchat: error: refused, CannotPayFee (11): holds 0 base units, the fee is 81",
        "dchat: hint: fund the account first, or add --work where the command takes it",
    ]


def test_a_refusal_in_a_block_is_proved_and_has_a_status_of_its_own(full: Market) -> None:
    ran = full.tx("alice", "send", "--to", SHOWN["dave"], "--amount", "5")

    checked, error, hint = ran.err.splitlines()
    assert (ran.code, masked(checked) + "\n") == (13, CHECKED)
    assert masked(ran.out).splitlines()[3:] == [
        "refused: AmountTooLarge",
        "code:    22",
        "to:      dave",
        "amount:  5 DCHAT",
        "fee:     0.000081 DCHAT",
        "balance: 9999999.999919 DCHAT",
    ]
    assert error == (
        "dchat: error: refused, AmountTooLarge (22): 18446744073709551615 + 5000000 base units"
        " exceed 64 bits; in block 3, its fee is spent"
    )
    assert hint == "dchat: hint: lower the amount"


def test_a_refusal_in_a_block_is_one_document_for_a_program(full: Market) -> None:
    ran = full.tx("alice", "send", "--to", SHOWN["dave"], "--amount", "5", "--json")

    told = said(ran)
    assert (ran.code, told["refused"], told["code"], told["height"]) == (
        13,
        "AmountTooLarge",
        22,
        3,
    )
    assert (told["checked"]["proof"], told["checked"]["header"]) == ("result", 4)


def test_a_node_that_says_done_of_what_was_refused_is_not_believed(
    full: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = full.node.answer

    def lie(method: str, params: Json) -> Json:
        told = honest(method, params)
        return {**told, "tx_result": {"code": 0}} if method == "tx" else told

    monkeypatch.setattr(full.node, "answer", lie)

    ran = full.tx("alice", "send", "--to", SHOWN["dave"], "--amount", "5")

    assert (ran.code, "refused, AmountTooLarge (22); in block 3" in ran.err) == (13, True)


def test_a_node_that_hides_every_block_of_it_proves_nothing(
    town: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = town.node.answer

    def lie(method: str, params: Json) -> Json:
        return {"txs_results": None} if method == "block_results" else honest(method, params)

    monkeypatch.setattr(town.node, "answer", lie)

    ran = town.tx("alice", "send", "--to", SHOWN["dave"], "--amount", "5")

    assert (ran.code, ran.out) == (1, "")
    assert "not" in ran.err


def test_a_node_is_named_in_place_of_the_network_files(town: Market) -> None:
    ran = town.tx(
        *("alice", "send", "--to", SHOWN["dave"], "--amount", "5"),
        *("--rpc", "http://127.0.0.1:9"),
    )

    assert (ran.code, ran.out) == (1, "")
    assert "http://127.0.0.1:9" in ran.err
