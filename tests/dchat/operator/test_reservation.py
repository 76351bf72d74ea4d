from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from dchat.node import http
from dchat.node.address import Address
from dchat.operator import reservation
from dchat.operator.ports import HOST
from tests.e2e.solo import free_ports

HOLDER = """
import sys
from pathlib import Path
from dchat.operator import reservation
with reservation.book(Path(sys.argv[1])) as book:
    print(book.take(int(sys.argv[2])), flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another(folder: Path, port: int) -> Generator[str]:
    """Another process that takes the port; what it was told."""
    command = [sys.executable, "-c", HOLDER, str(folder), str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def test_a_port_belongs_to_the_first_that_takes_it(tmp_path: Path) -> None:
    [port] = free_ports(1)

    with reservation.book(tmp_path) as book:
        assert book.take(port)
        with held_by_another(tmp_path, port) as told:
            assert told == "False"


def test_a_port_comes_free_when_its_owner_is_killed(tmp_path: Path) -> None:
    [port] = free_ports(1)

    with reservation.book(tmp_path) as book:
        with held_by_another(tmp_path, port) as told:
            assert (told, book.take(port)) == ("True", False)
        assert book.take(port)


def test_a_port_that_somebody_listens_on_is_not_taken(tmp_path: Path) -> None:
    [port] = free_ports(1)

    with reservation.book(tmp_path) as book, http.listen(Address(HOST, port)):
        assert not book.take(port)
        with held_by_another(tmp_path, port) as told:
            assert told == "False"


def test_what_is_not_needed_is_given_back(tmp_path: Path) -> None:
    kept, spare = free_ports(2)

    with reservation.book(tmp_path) as book:
        assert book.take(kept)
        assert book.take(spare)
        book.keep_only([kept])
        with held_by_another(tmp_path, spare) as told:
            assert told == "True"
        with held_by_another(tmp_path, kept) as told:
            assert told == "False"
