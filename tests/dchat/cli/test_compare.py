"""Two states side by side; test_listing.py has the commands that show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from dchat.cli.compare import Difference, Told, differences, module_rows
from dchat.kernel.ids import Height
from dchat.kernel.queries import Listing
from dchat.kernel.roots import compute, listed
from dchat.node.chain import OpenChain
from dchat.node.stores.roots import Roots
from tests.dchat.node.test_chain import opened
from tests.fakes.node import FakeNode

keys = st.binary(min_size=1, max_size=1).map(lambda key: b"k" + key)
states = st.dictionaries(keys, st.binary(min_size=1, max_size=1), max_size=12)
MANY = {b"k%03d" % number: b"1" for number in range(250)}


def node_of(state: Mapping[bytes, bytes]) -> OpenChain:
    return opened(FakeNode({1: state}, 2))


def differ(
    here: Mapping[bytes, bytes], there: Mapping[bytes, bytes], limit: int = 99
) -> list[Difference]:
    nodes = [node_of(here), node_of(there)]

    async def main() -> list[Difference]:
        return await differences(nodes, Height(1), [Listing(b"k")], limit)

    return trio.run(main)


@given(states, states)
@settings(max_examples=40)
def test_every_key_that_differs_is_found_in_order(
    here: dict[bytes, bytes], there: dict[bytes, bytes]
) -> None:
    assert differ(here, there) == [
        Difference(key, here.get(key), there.get(key))
        for key in sorted({*here, *there})
        if here.get(key) != there.get(key)
    ]


def test_a_difference_behind_several_pages_is_found() -> None:
    there = {**MANY, b"k240": b"2"}

    assert differ(MANY, there) == [Difference(b"k240", b"1", b"2")]


def test_no_more_differences_are_looked_for_than_wanted() -> None:
    assert len(differ(MANY, {}, limit=3)) == 3


def told(state: Mapping[bytes, bytes]) -> Told:
    return Told("node", Roots(bytes(32), listed(compute(state.items()))))


@pytest.mark.parametrize(
    ("there", "rows"),
    [
        ({b"\x91\xa1a": b"1", b"\x91\xa1b": b"1"}, [("a", 1, 1, True), ("b", 1, 1, True)]),
        ({b"\x91\xa1a": b"2"}, [("a", 1, 1, False), ("b", 1, 0, False)]),
        ({}, [("a", 1, 0, False), ("b", 1, 0, False)]),
    ],
)
def test_modules_of_either_node_stand_side_by_side(
    there: dict[bytes, bytes], rows: list[tuple[object, ...]]
) -> None:
    here = told({b"\x91\xa1a": b"1", b"\x91\xa1b": b"1"})

    found = module_rows([here, replace(told(there), node="other")])

    names = ("module", "entries", "entries_there", "same")
    assert [tuple(row[name] for name in names) for row in found] == rows
