from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.node.files import read_bounded


def put_pipe(path: Path) -> None:
    os.mkfifo(path)


def put_folder(path: Path) -> None:
    path.mkdir()


def put_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def put_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(os.fspath(path))


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")

    assert read_bounded(tmp_path / "file", 5) == b"12345"


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")

    assert read_bounded(tmp_path / "link", 5) == b"12345"


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"123456")

    with pytest.raises(OSError, match="larger than 5 bytes") as refused:
        read_bounded(tmp_path / "file", 5)

    assert refused.value.filename == str(tmp_path / "file")


@pytest.mark.parametrize("put", [put_pipe, put_folder, put_endless])
def test_what_is_no_file_is_refused_without_waiting(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    put(tmp_path / "odd")

    with pytest.raises(OSError, match="not a regular file"):
        read_bounded(tmp_path / "odd", 5)


def test_a_socket_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "odd"
    put_socket(path)

    with pytest.raises(OSError, match="No such device"):
        read_bounded(path, 5)


@pytest.mark.parametrize("target", ["odd", "absent"])
def test_a_link_to_itself_or_to_nowhere_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "odd").symlink_to(target)

    with pytest.raises(OSError, match=r"Too many levels|No such file"):
        read_bounded(tmp_path / "odd", 5)
