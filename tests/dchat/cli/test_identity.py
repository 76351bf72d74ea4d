from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from dchat.kernel import accounts
from dchat.node import identity
from tests.conftest import Ran

Dchat = Callable[..., Ran]


def test_verify_names_the_account_and_no_secret(tmp_path: Path, dchat: Dchat) -> None:
    made = identity.create(tmp_path / "id.json", "node")

    ran = dchat("identity", "verify", "--file", tmp_path / "id.json", "--json")

    report = json.loads(ran.out)
    assert (ran.code, report["keys_match"]) == (0, "yes")
    assert report["account"] == accounts.show_account(made.account_id)
    assert made.seed.hex() not in ran.out


def test_verify_says_what_it_could_not_check(tmp_path: Path, dchat: Dchat) -> None:
    identity.create(tmp_path / "id.json", "user", b"secret")

    ran = dchat("identity", "verify", "--file", tmp_path / "id.json")

    assert ran.code == 0
    assert "keys_match:  not checked: give --passphrase-file" in ran.out


def test_verify_opens_the_seal_with_a_passphrase_file(tmp_path: Path, dchat: Dchat) -> None:
    identity.create(tmp_path / "id.json", "user", b"secret")
    (tmp_path / "right").touch(0o600)
    (tmp_path / "right").write_text("secret")
    (tmp_path / "wrong").touch(0o600)
    (tmp_path / "wrong").write_text("guess")
    verify = ("identity", "verify", "--file", tmp_path / "id.json", "--passphrase-file")

    assert "keys_match:  yes" in dchat(*verify, tmp_path / "right").out
    assert dchat(*verify, tmp_path / "wrong").code == identity.WrongPassphrase.exit_code


def test_verify_shows_a_rotated_identity_by_its_account(tmp_path: Path, dchat: Dchat) -> None:
    old = identity.create(tmp_path / "old.json", "node")
    new = identity.renew(old, tmp_path / "new.json")

    ran = dchat("identity", "verify", "--file", tmp_path / "new.json", "--json")

    report = json.loads(ran.out)
    assert report["account"] == accounts.show_account(old.account_id)
    assert (report["public_key"], report["key_version"]) == (new.public_key.hex(), 1)
    assert new.account_key.hex() not in ran.out


def test_verify_refuses_a_readable_file(tmp_path: Path, dchat: Dchat) -> None:
    identity.create(tmp_path / "id.json", "node")
    (tmp_path / "id.json").chmod(0o644)

    ran = dchat("identity", "verify", "--file", tmp_path / "id.json")

    assert (ran.code, ran.out) == (4, "")
    assert ran.err == (
        f"dchat: error: others can read or write {tmp_path}/id.json (mode 0644)\n"
        "dchat: hint: make it yours alone: chmod 600 FILE, chown it to the user that runs dchat\n"
    )
