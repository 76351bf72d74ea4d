"""Refusal codes are frozen: one class and one name per code, and none is ever given away again."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from dchat.kernel.errors import REFUSALS, TxRejected

FROZEN = Path(__file__).with_name("refusal_codes.txt")
ROOMS = ("dchat.kernel", "abci_chat", "abci_currency")


def load_rooms() -> None:
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def refusals(parent: type[TxRejected] = TxRejected) -> Iterator[type[TxRejected]]:
    for child in parent.__subclasses__():
        yield from refusals(child)
        if child.__module__.partition(".")[0] != "tests":
            yield child


def test_every_refusal_stands_in_the_table_under_its_own_code() -> None:
    load_rooms()

    raised = sorted((vars(refusal)["code"], refusal.__name__) for refusal in refusals())
    assert raised == sorted((code, refusal.name) for code, refusal in REFUSALS.items())


def test_the_table_is_the_frozen_one() -> None:
    """A code may be added at the end of its range; a changed line forks the chain."""
    frozen = [line for line in FROZEN.read_text().splitlines() if not line.startswith("#")]

    assert frozen == [f"{code} {refusal.name}" for code, refusal in sorted(REFUSALS.items())]


def test_every_refusal_says_what_to_do_next() -> None:
    assert [code for code, refusal in REFUSALS.items() if not refusal.hint] == []
