from __future__ import annotations

import json
from pathlib import Path

import pytest

from dchat.cli.unlock import PassphrasesDiffer, unlock, unlock_and_keep
from dchat.kernel import accounts
from dchat.kernel.ids import AccountId
from dchat.node import identity
from dchat.node.identity import PassphraseNeeded, WrongPassphrase
from tests.fakes.terminal import type_into

ALICE = AccountId(bytes(32))


def test_a_plain_identity_opens_without_a_question(tmp_path: Path) -> None:
    made = identity.create(tmp_path / "id.json", "node")

    assert unlock(tmp_path / "id.json") == made


def test_a_sealed_one_opens_with_a_passphrase_file(tmp_path: Path) -> None:
    made = identity.create(tmp_path / "id.json", "user", b"correct horse")
    (tmp_path / "passphrase").touch(0o600)
    (tmp_path / "passphrase").write_text("correct horse\n")

    assert unlock(tmp_path / "id.json", tmp_path / "passphrase") == made


def test_what_opened_a_seal_is_kept_for_another_and_nothing_else_is(tmp_path: Path) -> None:
    plain = identity.create(tmp_path / "plain.json", "node")
    sealed = identity.create(tmp_path / "sealed.json", "user", b"correct horse")
    (tmp_path / "passphrase").touch(0o600)
    (tmp_path / "passphrase").write_text("correct horse\n")

    found = [
        unlock_and_keep(tmp_path / f"{name}.json", tmp_path / "passphrase")
        for name in ("plain", "sealed")
    ]

    assert found == [(plain, None), (sealed, b"correct horse")]


def test_without_a_terminal_a_sealed_one_stays_shut(tmp_path: Path) -> None:
    identity.create(tmp_path / "id.json", "user", b"correct horse")

    with pytest.raises(PassphraseNeeded):
        unlock(tmp_path / "id.json")


def test_on_a_terminal_keygen_asks_twice_and_seals(tmp_path: Path) -> None:
    file = tmp_path / "id.json"

    code, screen = type_into(["correct horse"] * 2, "keygen", "--output", file)

    assert (code, identity.load(file, b"correct horse").kind) == (0, "user")
    assert "correct horse" not in screen
    assert json.loads(file.read_text())["sealed"]["mem"] == 256 * 1024 * 1024


def test_on_a_terminal_an_empty_passphrase_makes_a_node_identity(tmp_path: Path) -> None:
    file = tmp_path / "id.json"

    code, screen = type_into([""], "keygen", "--output", file)

    assert (code, identity.load(file).kind) == (0, "node")
    assert "none = keep the key in the clear" in screen


def test_on_a_terminal_a_sealed_identity_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "id.json"
    identity.create(file, "user", b"correct horse")
    network = ("--network", tmp_path / "network.toml")
    payment = ("--to", accounts.show_account(ALICE), "--amount", "5")

    code, screen = type_into(["guess"], "tx", "send", "--identity", file, *network, *payment)

    assert (code, "passphrase" in screen) == (WrongPassphrase.exit_code, True)


def test_on_a_terminal_a_slip_writes_nothing(tmp_path: Path) -> None:
    code, screen = type_into(["correct", "horse"], "keygen", "--output", tmp_path / "id.json")

    assert (code, list(tmp_path.iterdir())) == (PassphrasesDiffer.exit_code, [])
    assert "the two passphrases differ" in screen
