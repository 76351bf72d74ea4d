from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.node import identity
from dchat.operator.plan import keys_of
from tests.conftest import Ran
from tests.dchat.operator.networks import network
from tests.genesis.test_settings import ACCOUNT, TOP, VALIDATOR

Dchat = Callable[..., Ran]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "genesis.toml"
    path.write_text(TOP + VALIDATOR + ACCOUNT)
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
    assert "chain_id:          test-currency\n" in ran.out


def test_a_validators_keys_are_shown_for_the_settings(tmp_path: Path, dchat: Dchat) -> None:
    owner = identity.create(tmp_path / "id.json", "node")

    shown = json.loads(dchat("genesis", "keys", "--identity", tmp_path / "id.json", "--json").out)

    assert shown["chat_key"] == keys_of(owner, "chat").consensus_key.hex()
    assert shown["currency_node_id"] == keys_of(owner, "currency").node_id


@pytest.mark.parametrize(
    ("toml", "error"),
    [
        ("", "genesis.toml: chain_id is missing"),
        (TOP + ACCOUNT, "validators: 0, not 1 to 10000"),
        (TOP + VALIDATOR, "accounts: nobody has any balance"),
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
        "dchat: error: not a usable genesis file: 'app_state' is missing\n"
        "dchat: hint: build it with `dchat genesis build`, and give every node the same bytes\n"
    )
