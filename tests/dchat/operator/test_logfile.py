from __future__ import annotations

from pathlib import Path

from dchat.operator.logfile import LogFile


def test_lines_are_appended_across_openings(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.log"

    for line in (b"one", b"two"):
        file = LogFile(path)
        file.write(line)
        file.close()

    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_bytes_on_disk_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    file = LogFile(path, max_bytes=10, kept=2)

    for number in range(9):
        file.write(b"line%d" % number)
    file.close()

    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {
        "a.log": b"line8\n",
        "a.log.1": b"line7\n",
        "a.log.2": b"line6\n",
    }


def test_a_full_disk_loses_lines_and_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "full.log"
    path.symlink_to("/dev/full")
    file = LogFile(path)

    file.write(b"lost")
    file.close()

    assert path.is_symlink()


def test_what_is_there_is_kept_where_no_room_can_be_made(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    file = LogFile(path, max_bytes=10, kept=1)
    (tmp_path / "a.log.1").mkdir()
    (tmp_path / "a.log.1" / "in the way").touch()

    for line in (b"line0", b"line1"):
        file.write(line)
    file.close()

    assert path.read_bytes() == b"line0\n"
