"""Refusal codes are frozen: one class and one name per code, and none is ever given away again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dchat.kernel.errors import TxRejected
from dchat.kernel.queries import QueryCode
from dchat.kernel.refusals import REFUSALS
from relay.core.refusals import Refusal
from tests.house.rooms import load_rooms

FROZEN = Path(__file__).with_name("refusal_codes.txt")


def refusals(parent: type[TxRejected] = TxRejected) -> Iterator[type[TxRejected]]:
    for child in parent.__subclasses__():
        yield from refusals(child)
        if child.__module__.partition(".")[0] != "tests":
            yield child


def test_every_refusal_stands_in_the_table_under_its_own_code() -> None:
    load_rooms()

    raised = sorted((vars(refusal)["code"], refusal.__name__) for refusal in refusals())
    assert raised == sorted((code, refusal.name) for code, refusal in REFUSALS.items())


def test_the_tables_are_the_frozen_ones() -> None:
    """A code may be added at the end of its range; a changed line forks the chain."""
    frozen = [line for line in FROZEN.read_text().splitlines() if not line.startswith("#")]

    transactions = [f"tx {code} {refusal.name}" for code, refusal in sorted(REFUSALS.items())]
    queries = [f"query {code.value} {code.name}" for code in QueryCode]
    relays = [f"relay {code.value} {code.name}" for code in Refusal]
    assert frozen == [*transactions, *queries, *relays]


def test_every_refusal_says_what_to_do_next() -> None:
    assert [code for code, refusal in REFUSALS.items() if not refusal.hint] == []
