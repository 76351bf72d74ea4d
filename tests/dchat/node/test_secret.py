from __future__ import annotations

import os
from pathlib import Path

import pytest

from dchat.node import secret
from dchat.node.identity import IdentityMalformed, IdentityUnsafe
from dchat.node.secret import SecretUnreadable

SECRET = b"s" * 32


def written(folder: Path, content: bytes = SECRET, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_secret_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert secret.read(written(tmp_path)) == SECRET


@pytest.mark.parametrize("size", [0, 31, 33, 4096])
def test_a_secret_of_another_size_is_refused_and_not_shown(tmp_path: Path, size: int) -> None:
    with pytest.raises(SecretUnreadable) as refused:
        secret.read(written(tmp_path, b"s" * size))

    assert "sss" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_a_secret_that_others_can_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(IdentityUnsafe):
        secret.read(written(tmp_path, mode=mode))


def test_a_missing_secret_is_told(tmp_path: Path) -> None:
    with pytest.raises(SecretUnreadable, match="nothing-here"):
        secret.read(tmp_path / "nothing-here")


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)

    with pytest.raises(IdentityMalformed):
        secret.read(tmp_path / "pipe")
