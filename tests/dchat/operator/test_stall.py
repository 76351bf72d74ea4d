from __future__ import annotations

from collections.abc import Generator

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from dchat.node.answers import MalformedAnswer
from dchat.operator import fetch, stall
from dchat.operator.fetch import NoAnswer
from tests.fakes.cometbft_rpc import OTHER, OWN, FakeNode, serving

NAMES = {bytes.fromhex(OWN): "first", bytes.fromhex(OTHER): "second"}


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def url(node: FakeNode) -> Generator[str]:
    with serving(node) as address:
        yield address


def explained(url: str, names: dict[bytes, str] = NAMES) -> str:
    async def main() -> str:
        async with fetch.client(url) as http:
            return await stall.explain(http, names)

    return trio.run(main)


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (
            "BA{2:x_} 10/20 = 0.50",
            "only 10 of 20 voting power votes and more than two thirds are needed; "
            "not heard from: second",
        ),
        (
            "BA{2:__} 0/20 = 0.00",
            "only 0 of 20 voting power votes and more than two thirds are needed; "
            "not heard from: first, second",
        ),
        ("BA{2:xx} 20/20 = 1.00", "20 of 20 voting power votes, yet round 1 has not decided"),
        ("nil-BitArray", "it is at round 1, with 0 of 0 validators voting"),
        ("BA{3:x_x} 1/3", "it is at round 1, with 2 of 3 validators voting"),
    ],
    ids=["half", "nobody", "all", "no array", "another set"],
)
def test_the_votes_of_the_current_round_are_put_into_words(
    node: FakeNode, url: str, bits: str, expected: str
) -> None:
    node.prevotes = bits

    assert explained(url) == expected


@pytest.mark.parametrize(("step", "silent"), [(5, "first"), (6, "second"), (7, "second")])
def test_only_the_votes_that_the_step_waits_for_count(
    node: FakeNode, url: str, step: int, silent: str
) -> None:
    node.prevotes, node.precommits, node.step = "BA{2:_x}", "BA{2:x_}", step

    assert explained(url).endswith(f"not heard from: {silent}")


def test_the_missing_are_told_in_one_order_whatever_the_chain(url: str, node: FakeNode) -> None:
    node.prevotes = "BA{2:__}"
    swapped = {bytes.fromhex(OWN): "b", bytes.fromhex(OTHER): "a"}

    assert explained(url, swapped).endswith(": a, b")


def test_a_validator_without_a_name_is_told_by_its_address(url: str) -> None:
    assert explained(url, {}).endswith(f"not heard from: {OTHER.lower()}")


def test_a_long_list_of_missing_validators_is_cut() -> None:
    members = [
        stall._Member.model_validate({"address": f"{number:040x}", "voting_power": "1"})
        for number in range(30)
    ]

    said = stall.describe(0, [False] * 30, members, {})

    assert said.endswith(" and 22 more")
    assert len(said) < 600


@pytest.mark.parametrize("broken", [b"", b"[]", b'{"result":{"round_state":{}}}', b"\xff"])
def test_nonsense_is_refused(node: FakeNode, url: str, broken: bytes) -> None:
    node.broken = broken

    with pytest.raises((MalformedAnswer, NoAnswer)):
        explained(url)


@given(st.text())
def test_any_text_of_votes_is_read_or_passed_over(bits: str) -> None:
    assert isinstance(stall._bits(bits), list)
