"""docs/API_SPECIFICATION.md names every order, event and state key of both chains, and no other."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from enum import IntEnum

import pytest

from abci_chat.machine import FAMILIES as CHAT
from abci_chat.state import ballots, cases, channels, contents, identities, proposals, targets
from abci_currency.machine import FAMILIES as CURRENCY
from dchat.kernel.family import Event, TxFamily
from tests.house.rooms import HOUSE

PAGE = (HOUSE / "docs" / "API_SPECIFICATION.md").read_text()
CHAINS = {"chat": CHAT, "currency": CURRENCY}
NUMBERS = (
    *(channels.Kind, channels.Fact, channels.Role, channels.JoinRule),
    *(contents.Chain, ballots.Choice, proposals.Kind, proposals.Status),
    *(targets.Kind, cases.Reason, cases.Phase, cases.Ruling, identities.LogKind),
)
KEY_FILES = (
    "abci_chat/keys.py",
    "abci_currency/keys.py",
    "dchat/kernel/accounts.py",
    "dchat/kernel/supply.py",
)


def listed(chain: str) -> set[tuple[int, str]]:
    """Type and name of each order in the page's table."""
    rows = re.findall(rf"^\| {chain} \| (\d[^|]*)\|", PAGE, re.MULTILINE)
    return {(int(n), name) for row in rows for n, name in re.findall(r"(\d+) (\w+)", row)}


@pytest.mark.parametrize(("chain", "families"), CHAINS.items(), ids=CHAINS)
def test_every_order_is_listed_with_its_type(chain: str, families: Mapping[int, TxFamily]) -> None:
    assert listed(chain) == {(number, family.name) for number, family in families.items()}


def events(room: str) -> Iterator[type[Event]]:
    package = importlib.import_module(room)
    for found in pkgutil.walk_packages(package.__path__, f"{room}."):
        if not found.name.endswith("__main__"):
            module = importlib.import_module(found.name)
            own = [each for each in vars(module).values() if isinstance(each, type)]
            yield from (e for e in own if issubclass(e, Event) and e.__module__ == found.name)


def shown(event: type[Event]) -> str:
    return f"{event.__name__}({', '.join([field.name for field in fields(event)])})"


def test_every_event_of_the_chat_chain_is_listed_with_its_fields() -> None:
    assert [shown(event) for event in events("abci_chat") if shown(event) not in PAGE] == []


def test_every_event_of_the_currency_chain_is_listed() -> None:
    names = [event.__name__ for event in events("abci_currency")]

    assert [name for name in names if not re.search(rf"`{name}\b", PAGE)] == []


@pytest.mark.parametrize("file", KEY_FILES)
def test_every_word_that_state_keys_begin_with_is_listed(file: str) -> None:
    words = re.findall(r'pack\(\("(\w+)"', (HOUSE / file).read_text())

    assert words
    assert [word for word in words if f'`("{word}",' not in PAGE] == []


@pytest.mark.parametrize("numbers", NUMBERS, ids=[each.__qualname__ for each in NUMBERS])
def test_every_number_that_stands_for_something_is_listed(numbers: type[IntEnum]) -> None:
    told = [f"{each.value} {each.name.lower().replace('_', ' ')}" for each in numbers]

    assert ", ".join(told) in PAGE


@pytest.mark.parametrize("folder", ["txs", "state"])
def test_every_module_of_the_chat_chain_has_its_place_in_the_architecture(folder: str) -> None:
    page = (HOUSE / "docs" / "ARCHITECTURE.md").read_text()
    names = [file.stem for file in (HOUSE / "abci_chat" / folder).glob("[a-z]*.py")]

    assert names
    assert [name for name in names if f"`{name}`" not in page] == []
