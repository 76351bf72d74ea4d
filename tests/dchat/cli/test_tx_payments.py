"""`dchat tx` payments: what is told before anything is sent, and what is told after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dchat.kernel import accounts
from dchat.node import identity, network
from tests.conftest import Ran
from tests.dchat.cli.market import SHOWN, Market, locks, market, said, table, validates
from tests.dchat.node.test_network import network as network_of
from tests.fakes.memory import BOB

Dchat = Callable[..., Ran]
TO = accounts.show_account(BOB.id)


@pytest.fixture
def send(tmp_path: Path, dchat: Dchat) -> Callable[..., Ran]:
    """`dchat tx send` from a node identity, with what the test changes."""
    identity.create(tmp_path / "alice.json", "node")
    network.save(tmp_path / "network.toml", network_of(tmp_path))

    def run(**changes: object) -> Ran:
        options = {
            "identity": tmp_path / "alice.json",
            "network": tmp_path / "network.toml",
            "to": TO,
            "amount": "5",
            **changes,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return dchat("tx", "send", *words)

    return run


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"to": "bob"}, 1, "dchat: error: 'bob' is not an account id"),
        ({"to": TO[:-1]}, 1, "is not an account id"),
        ({"amount": "five"}, 1, "dchat: error: 'five' is not an amount"),
        ({"amount": "0.1234567"}, 1, "is not an amount"),
        ({"amount": "-5"}, 1, "is not an amount"),
        ({"amount": "1e3"}, 1, "is not an amount"),
        ({"network": "nowhere.toml"}, 2, "dchat: error: 'nowhere.toml' is no network file"),
        ({"identity": "nobody.json"}, 1, "nobody.json"),
        ({"memo": "x" * 257}, 1, "over 256 bytes"),
    ],
)
def test_wrong_option_is_told_before_anything_is_sent(
    send: Callable[..., Ran], changes: dict[str, str], code: int, said: str
) -> None:
    ran = send(**changes)

    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def test_passphrase_file_that_is_missing_is_told(send: Callable[..., Ran], tmp_path: Path) -> None:
    ran = send(**{"passphrase-file": tmp_path / "none"})

    assert (ran.code, ran.out) == (1, "")
    assert "none" in ran.err


@pytest.fixture
def town(tmp_path: Path, dchat: Dchat) -> Iterator[Market]:
    locked = (locks("alice", 5_000), locks("carol", 700, vested=False))
    with market(tmp_path, dchat, validates("bob", 2_000_000), *locked) as opened:
        yield opened


def test_many_are_paid_at_once(town: Market) -> None:
    ran = town.tx(
        *("alice", "multi-send", "--to", f"{SHOWN['dave']}=5"),
        *("--to", f"{SHOWN['bob']}=250000udchat", "--memo", "wages"),
    )

    assert ran.code == 0
    assert table(ran) == [
        "hash: HASH",
        "height: 3",
        "from: alice",
        "outputs: 2",
        "amount: 5.25 DCHAT",
        "fee: …",
        "balance: …",
    ]
    assert said(town.query("balance", SHOWN["dave"], "--json"))["balance"] == "5 DCHAT"


def test_recipients_stand_in_a_file(town: Market, tmp_path: Path) -> None:
    file = tmp_path / "wages.csv"
    file.write_text(f"# wages\n{SHOWN['dave']}, 5\n\n{SHOWN['dave']},0.5\n")

    told = said(town.tx("alice", "multi-send", "--file", file, "--json"))

    assert (told["outputs"], told["amount"]) == (2, "5.5 DCHAT")


def test_a_line_that_is_none_is_told_by_its_number(town: Market, tmp_path: Path) -> None:
    file = tmp_path / "wages.csv"
    file.write_text(f"{SHOWN['dave']},5\n{SHOWN['dave']};5\n")

    ran = town.tx("alice", "multi-send", "--file", file)

    assert (ran.code, ran.out) == (2, "")
    assert f"{file}, line 2: " in ran.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--to", SHOWN["dave"]), 2, "is not ACCOUNT=AMOUNT"),
        (("--to", f"{SHOWN['dave']}=five"), 1, "'five' is not an amount"),
        (("--to", "dave=5"), 1, "'dave' is not an account id"),
        (("--to", f"{SHOWN['dave']}=0"), 1, "refused, ZeroAmount (20)"),
        ((), 1, "refused, NoOutputs (100)"),
        (("--to", f"{SHOWN['dave']}=1") * 257, 1, "257 entries, limit 256"),
        (("--to", f"{SHOWN['dave']}=1", "--file", "x"), 2, "recipients are given twice"),
        (("--file", "nowhere.csv"), 1, "nowhere.csv"),
    ],
    ids=["no amount", "words", "name", "nothing", "nobody", "many", "twice", "no file"],
)
def test_recipients_are_not_guessed_at(
    town: Market, words: tuple[str, ...], code: int, said: str
) -> None:
    ran = town.tx("alice", "multi-send", *words)

    assert (ran.code, ran.out, said in ran.err) == (code, "", True)


def test_what_has_vested_is_claimed(town: Market) -> None:
    ran = town.tx("alice", "claim-vested")

    assert ran.code == 0
    assert table(ran)[3:10] == [
        "fee: …",
        "account: alice",
        "original: 5000 DCHAT",
        "vested: 5000 DCHAT",
        "claimed: 5000 DCHAT",
        "staked: 0 DCHAT",
        "claimable: 0 DCHAT",
    ]


def test_what_has_not_vested_is_not_claimed(town: Market) -> None:
    ran = town.tx("carol", "claim-vested")

    assert (ran.code, "refused, NothingVested (102)" in ran.err) == (13, True)


def test_locked_tokens_are_staked(town: Market) -> None:
    told = said(
        town.tx(
            *("carol", "delegate-vested", "--validator", SHOWN["bob"]),
            *("--amount", "600", "--json"),
        )
    )

    assert (told["staked"], told["claimable"]) == ("600 DCHAT", "0 DCHAT")
