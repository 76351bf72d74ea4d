from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from abci_currency import genesis as currency
from abci_currency.genesis import Terms
from dchat.kernel import accounts
from dchat.node import identity
from dchat.operator import beacon
from dchat.operator.plan import keys_of
from tests.conftest import Ran
from tests.dchat.operator.networks import network
from tests.genesis.test_settings import ACCOUNT, STAKING, TOP, VALIDATOR

Dchat = Callable[..., Ran]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "genesis.toml"
    path.write_text(TOP + STAKING + VALIDATOR + ACCOUNT)
    return path


def test_both_files_are_written_and_summed_up(tmp_path: Path, settings: Path, dchat: Dchat) -> None:
    ran = dchat("genesis", "build", "--settings", settings, "--output", tmp_path / "o", "--json")

    chat, currency = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert (chat["chain_id"], chat["supply_base_units"]) == ("devnet", 5_500_000)
    assert (currency["chain_id"], currency["supply_base_units"]) == ("devnet-currency", 10**9)
    assert Path(chat["file"]).is_file()


def test_the_same_settings_give_the_same_bytes(
    tmp_path: Path, settings: Path, dchat: Dchat
) -> None:
    outputs = [tmp_path / "one", tmp_path / "two"]

    codes = [dchat("genesis", "build", "--settings", settings, "--output", o).code for o in outputs]

    files = [(each / "genesis-chat.json").read_bytes() for each in outputs]
    assert (codes, files[0] == files[1]) == ([0, 0], True)


def test_a_file_is_checked_and_summed_up(tmp_path: Path, dchat: Dchat) -> None:
    network(tmp_path)

    ran = dchat("genesis", "check", "--file", tmp_path / "genesis-currency.json")

    assert ran.code == 0
    assert "test-currency\n" in ran.out
    assert re.search(r"^staked_base_units: +10000000$", ran.out, re.MULTILINE)


def test_a_validators_keys_are_shown_for_the_settings(tmp_path: Path, dchat: Dchat) -> None:
    owner = identity.create(tmp_path / "id.json", "node")

    shown = json.loads(dchat("genesis", "keys", "--identity", tmp_path / "id.json", "--json").out)

    assert shown["account"] == accounts.show_account(owner.account_id)
    assert shown["chat_key"] == keys_of(owner, "chat").consensus_key.hex()
    assert shown["currency_node_id"] == keys_of(owner, "currency").node_id


def test_a_validators_preimages_are_shown_for_one_chain(tmp_path: Path, dchat: Dchat) -> None:
    owner = identity.create(tmp_path / "id.json", "node")
    named = ("genesis", "keys", "--identity", tmp_path / "id.json", "--json")

    without, with_chain = dchat(*named), dchat(*named, "--chain-id", "mynet-1")

    shown = json.loads(with_chain.out)
    assert shown["beacon_head"] == beacon.head(owner, "mynet-1").hex()
    assert shown["beacon_length"] == beacon.LENGTH
    assert "beacon_head" not in json.loads(without.out)


@pytest.mark.parametrize(
    ("toml", "error"),
    [
        ("", "genesis.toml: chain_id is missing"),
        (TOP + ACCOUNT, "there is no validator, so nobody could make a block"),
        (TOP + VALIDATOR, "accounts: nobody has any balance"),
        (TOP + VALIDATOR + ACCOUNT, "stake of 10000000 is below the minimum of 1000000000000"),
        ("[[", "genesis.toml: "),
    ],
)
def test_bad_settings_write_nothing(
    tmp_path: Path, settings: Path, dchat: Dchat, toml: str, error: str
) -> None:
    settings.write_text(toml)

    ran = dchat("genesis", "build", "--settings", settings, "--output", tmp_path / "o")

    assert (ran.code, ran.out, (tmp_path / "o").exists()) == (2, "", False)
    assert error in ran.err


def test_a_file_that_is_no_genesis_is_refused(tmp_path: Path, dchat: Dchat) -> None:
    (tmp_path / "x.json").write_text("{}")

    ran = dchat("genesis", "check", "--file", tmp_path / "x.json")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "dchat: error: not a usable genesis file: 'chain_id' is missing\n"
        "dchat: hint: build it with `dchat genesis build`, and give every node the same bytes\n"
    )


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Settings of a network whose validators will send entries; two have been given DCHAT."""
    path = tmp_path / "network.toml"
    owners = [identity.create(tmp_path / f"{name}.json", "node") for name in ("one", "two")]
    held = [
        f'[[accounts]]\naccount = "{accounts.show_account(each.account_id)}"\nbalance = 20\n'
        for each in owners
    ]
    path.write_text(TOP + STAKING + ACCOUNT + "".join(held))
    return path


def add(dchat: Dchat, settings: Path, name: str, *more: object) -> Ran:
    folder = settings.parent
    (folder / "entries").mkdir(exist_ok=True)
    return dchat(
        *("genesis", "add-validator", "--identity", folder / f"{name}.json"),
        *("--settings", settings, "--output", folder / "entries" / f"{name}.json"),
        *("--moniker", name, *more),
    )


def build(dchat: Dchat, settings: Path) -> Ran:
    entries, output = settings.parent / "entries", settings.parent / "o"
    more = ("--settings", settings, "--entries", entries, "--output", output, "--json")
    return dchat("genesis", "build", *more)


def test_a_network_is_built_of_signed_entries(shared: Path, dchat: Dchat) -> None:
    added = [add(dchat, shared, name, "--stake", "12", "--json") for name in ("one", "two")]

    ran = build(dchat, shared)

    chat, currency = json.loads(ran.out)
    assert [each.code for each in (*added, ran)] == [0, 0, 0]
    assert (chat["voters"], chat["voting_weight"]) == (2, 24_000_000)
    assert chat["validators_with_beacon"] == 2
    assert json.loads(added[0].out)["stake"] == "12 DCHAT"
    assert (currency["validators"], currency["staked_base_units"]) == (2, 24_000_000)
    assert currency["min_validator_stake"] == "10 DCHAT"


def test_the_terms_of_an_entry_are_what_genesis_has(shared: Path, dchat: Dchat) -> None:
    terms = ("--commission", "0.05", "--max-commission", "0.2", "--min-self-delegation", "11")
    add(dchat, shared, "one", "--stake", "12", *terms, "--max-commission-change", "0.01")

    build(dchat, shared)

    written = json.loads((shared.parent / "o" / "genesis-currency.json").read_text())
    founder = currency.decode(base64.b64decode(written["app_state"])).founders[0]
    assert founder.terms == Terms(500, 2000, 100)
    assert (founder.moniker, founder.min_self_delegation) == ("one", 11_000_000)


@pytest.mark.parametrize(
    ("more", "error", "hint"),
    [
        (("--stake", "9"), "stake of 9000000 is below the minimum of", "settings say what may be"),
        (("--stake", "21"), "is to stake 21000000 base units, and the settings", "stake less"),
        (("--stake", "12", "--commission", "1.5"), "--commission: 1.5 is not a fraction", ""),
        (
            ("--stake", "12", "--commission", "0.5", "--max-commission", "0.4"),
            "commission of 5000 basis points, its maximum 4000",
            "settings say what may be",
        ),
        (("--stake", "12", "--moniker", "é" * 33), "its moniker is over 64 bytes", ""),
    ],
)
def test_terms_that_the_network_refuses_make_no_entry(
    shared: Path, dchat: Dchat, more: tuple[str, ...], error: str, hint: str
) -> None:
    ran = add(dchat, shared, "one", *more)

    assert (ran.code, ran.out) == (2, "")
    assert error in ran.err
    assert hint in ran.err
    assert list((shared.parent / "entries").iterdir()) == []


def test_an_entry_is_never_overwritten(shared: Path, dchat: Dchat) -> None:
    add(dchat, shared, "one", "--stake", "12")

    ran = add(dchat, shared, "one", "--stake", "13")

    assert (ran.code, ran.out) == (3, "")
    assert "one.json exists" in ran.err


def test_a_changed_entry_builds_nothing(shared: Path, dchat: Dchat) -> None:
    add(dchat, shared, "one", "--stake", "12")
    path = shared.parent / "entries" / "one.json"
    path.write_text(path.read_text().replace('"stake": "12"', '"stake": "13"'))

    ran = build(dchat, shared)

    assert (ran.code, ran.out, (shared.parent / "o").exists()) == (2, "", False)
    assert "one.json: signatures.account is not account_key's over this entry" in ran.err


def test_an_entry_twice_builds_nothing(shared: Path, dchat: Dchat) -> None:
    add(dchat, shared, "one", "--stake", "12")
    path = shared.parent / "entries" / "one.json"
    path.with_name("again.json").write_bytes(path.read_bytes())

    ran = build(dchat, shared)

    assert (ran.code, ran.out) == (2, "")
    assert "is named twice" in ran.err
