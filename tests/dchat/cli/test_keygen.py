from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.node import identity
from tests.conftest import Ran

Dchat = Callable[..., Ran]


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    file = tmp_path / "passphrase"
    file.touch(0o600)
    file.write_text("correct horse\n")
    return file


def test_without_a_terminal_it_writes_a_node_identity(tmp_path: Path, dchat: Dchat) -> None:
    file = tmp_path / "id.json"

    ran = dchat("keygen", "--output", file)

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"file:       {file}\nkind:       node\naccount:    dchat1")
    assert identity.load(file).kind == "node"


def test_with_a_passphrase_file_it_seals_a_user_identity(
    tmp_path: Path, dchat: Dchat, passphrase: Path
) -> None:
    file = tmp_path / "id.json"

    ran = dchat("keygen", "--output", file, "--passphrase-file", passphrase, "--json")

    report = json.loads(ran.out)
    opened = identity.load(file, b"correct horse")
    assert (report["kind"], report["sealed"]) == ("user", True)
    assert report["public_key"] == opened.public_key.hex()


def test_burner_is_short_for_its_kind(tmp_path: Path, dchat: Dchat) -> None:
    assert dchat("keygen", "--burner", "--output", tmp_path / "id.json").code == 0
    assert identity.load(tmp_path / "id.json").kind == "burner"


def test_it_never_overwrites(tmp_path: Path, dchat: Dchat) -> None:
    file = tmp_path / "id.json"
    file.write_text("mine")

    ran = dchat("keygen", "--output", file)

    assert (ran.code, ran.out, file.read_text()) == (3, "", "mine")
    assert ran.err == (
        f"dchat: error: {file} exists already and is left as it is\n"
        "dchat: hint: choose another --output, or move the old file away yourself\n"
    )


@pytest.mark.parametrize(
    ("args", "code", "error"),
    [
        ((), 2, "missing option '--output'"),
        (("--output", "x", "--kind", "root"), 2, "invalid value for '--kind'"),
        (("--output", "x", "--burner", "--kind", "node"), 2, "invalid value for --burner"),
        (("--output", "x", "--kind", "user"), 6, "a user identity is sealed"),
        (("--output", "x", "extra"), 2, "got unexpected extra argument(s) (extra)"),
        (("--output", "x", "--passphrase-file", "nowhere"), 1, "nowhere: No such file"),
    ],
)
def test_a_refused_command_writes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dchat: Dchat,
    args: tuple[str, ...],
    code: int,
    error: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    ran = dchat("keygen", *args)

    assert (ran.code, ran.out, list(tmp_path.iterdir())) == (code, "", [])
    assert ran.err.startswith(f"dchat: error: {error}")
