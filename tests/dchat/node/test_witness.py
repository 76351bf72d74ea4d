"""What other nodes say of a header, and what it takes to make two chains of one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
import trio
import trio.testing

from dchat.kernel.ids import Height
from dchat.kernel.light import LightBlock
from dchat.kernel.wire import NS_PER_SECOND
from dchat.node.follow import Follower, Trust
from dchat.node.reader import ChainReader, MemoryTrustStore
from dchat.node.rpc import NodeUnreachable
from dchat.node.witness import MAX_WITNESSES, PATIENCE_S, Comparison, ForkFound, Witnessed
from tests.fakes.chain import FakeChain, Signer
from tests.fakes.node import FakeNode, HandClock

KEY = b"key"
STATES = {height: {KEY: b"value"} for height in range(1, 100)}
FORGED = {height: {KEY: b"forged"} for height in range(30, 100)}
STRANGERS = (Signer("eve"),)


class Silent(FakeNode):
    async def light_block(self, height: Height) -> LightBlock:
        self.asked.append("silence")
        await trio.sleep_forever()
        raise AssertionError


class Gone(FakeNode):
    async def light_block(self, height: Height) -> LightBlock:
        raise NodeUnreachable("nobody there")


class Behind(FakeNode):
    async def light_block(self, height: Height) -> LightBlock:
        self.height += 1
        return await super().light_block(height)


class Nonsense(FakeNode):
    async def light_block(self, height: Height) -> LightBlock:
        block = await super().light_block(height)
        return replace(block, header=replace(block.header, app_hash=bytes(500)))


def at(url: str, node: FakeNode) -> FakeNode:
    node.url = url
    return node


def honest(url: str) -> FakeNode:
    return at(url, FakeNode(STATES, 50))


def reader_of(node: FakeNode, witnesses: Sequence[FakeNode]) -> ChainReader:
    clock = HandClock(node.chain.time_ns(node.height) + NS_PER_SECOND)
    return ChainReader(node, Trust(node.root, 1000), clock, MemoryTrustStore(), witnesses)


def read(node: FakeNode, *witnesses: FakeNode) -> tuple[bytes | None, Witnessed]:
    reader = reader_of(node, witnesses)

    async def main() -> tuple[bytes | None, Witnessed]:
        return (await reader.read(KEY)).value, reader.witnessed

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_nodes_that_agree_are_counted() -> None:
    assert read(honest("a"), honest("b"), honest("c")) == (b"value", Witnessed(2, 2))


def test_the_node_asked_is_no_witness_of_itself() -> None:
    assert read(honest("a"), honest("a")) == (b"value", Witnessed(0, 0))


def test_no_more_than_a_few_are_asked() -> None:
    witnesses = [honest(f"{number}") for number in range(9)]

    assert read(honest("a"), *witnesses) == (b"value", Witnessed(MAX_WITNESSES, MAX_WITNESSES))


def test_two_headers_that_both_verify_are_refused_with_the_evidence() -> None:
    with pytest.raises(ForkFound, match=r"a and b show two headers of height 50") as refused:
        read(at("a", FakeNode({**STATES, **FORGED}, 50)), honest("b"))

    kept = json.loads(refused.value.evidence)
    assert refused.value.height == kept["a"]["header"]["height"] == 50
    assert kept["a"]["header"]["app_hash"] != kept["b"]["header"]["app_hash"]
    assert len(kept["b"]["commit"]["signatures"][0]["signature"]) == 128


@pytest.mark.parametrize(
    "witness",
    [
        FakeNode(STATES, 50, FakeChain(STRANGERS)),
        Nonsense(STATES, 50),
        Gone(STATES, 50),
        Silent(STATES, 50),
    ],
    ids=["forged", "nonsense", "gone", "silent"],
)
def test_a_witness_without_a_header_that_verifies_decides_nothing(witness: FakeNode) -> None:
    assert read(honest("a"), at("b", witness)) == (b"value", Witnessed(1, 0))


def test_a_witness_that_is_a_little_behind_is_waited_for() -> None:
    assert read(honest("a"), at("b", Behind(STATES, 45))) == (b"value", Witnessed(1, 1))


class Dawdling(FakeNode):
    """Shows a header of its own at once, and what would prove it never."""

    async def light_block(self, height: Height) -> LightBlock:
        if "seen" in self.asked:
            await trio.sleep_forever()
        self.asked.append("seen")
        return await super().light_block(height)


@pytest.mark.parametrize(
    "bad", [Silent(STATES, 50), Dawdling({**STATES, **FORGED}, 50)], ids=["silent", "dawdling"]
)
def test_a_witness_that_costs_time_is_left_alone_for_a_while(bad: FakeNode) -> None:
    node = honest("a")
    follower = Follower(Trust(node.root, 1000), HandClock(node.chain.time_ns(60)))
    comparison = Comparison(follower, [at("b", bad)])

    async def main() -> list[tuple[Witnessed, float]]:
        begun = await follower.begin(node)
        found = await follower.follow(node, begun.trusted, Height(50))
        seen: list[tuple[Witnessed, float]] = []
        for pause in (0, 0, 100):
            await trio.sleep(pause)
            started = trio.current_time()
            witnessed = await comparison.compare(begun.trusted, found, "a")
            seen.append((witnessed, trio.current_time() - started))
        return seen

    seen = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

    assert [(each.asked, round(took)) for each, took in seen] == [
        (1, PATIENCE_S),
        (0, 0),
        (1, PATIENCE_S),
    ]


def test_a_header_asked_for_by_height_is_compared_too() -> None:
    reader = reader_of(at("a", FakeNode({**STATES, **FORGED}, 50)), [honest("b")])

    with pytest.raises(ForkFound, match="height 33"):
        trio.run(reader.header, Height(33))
