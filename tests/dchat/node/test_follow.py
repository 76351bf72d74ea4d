"""Headers followed from a root; test_reader.py has the ways in which nodes mislead."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from dchat.kernel.headers import InvalidHeader
from dchat.kernel.ids import Height
from dchat.kernel.light import Expired, LightBlock
from dchat.kernel.wire import NS_PER_SECOND
from dchat.node.follow import Follower, TooSlow, Trust
from tests.fakes.chain import FakeChain, Signer
from tests.fakes.node import ANN, FakeNode, HandClock

OTHERS = tuple(Signer(name) for name in ("eve", "fay", "gus"))
PERIOD_S = 1000


def follower(node: FakeNode, now_height: int, max_age_s: int = 0) -> Follower:
    trust = Trust(node.root, PERIOD_S, max_age_s=max_age_s)
    return Follower(trust, HandClock(node.chain.time_ns(now_height)))


def test_a_set_that_changed_too_much_is_followed_by_halves() -> None:
    node = FakeNode({}, 50, FakeChain((ANN,), sets={20: OTHERS}))
    found = follower(node, 51)

    async def main() -> LightBlock:
        begun = await found.begin(node)
        followed = await found.follow(node, begun.trusted, Height(50))
        assert followed.trusted.height == 50
        return followed.block

    assert trio.run(main).header.height == 50
    assert node.asked == [f"block {height}" for height in (1, 50, 25, 13, 19)]


def test_a_node_that_leads_from_step_to_step_for_ever_is_told_to_be_too_slow() -> None:
    class Crawling(FakeNode):
        async def light_block(self, height: Height) -> LightBlock:
            await trio.sleep(9.9)
            return await super().light_block(height)

    node = Crawling({}, 50, FakeChain((ANN,), sets={20: OTHERS}))
    found = follower(node, 51)

    async def main() -> None:
        begun = await found.begin(node)
        await found.follow(node, begun.trusted, Height(50))

    with pytest.raises(TooSlow, match="no header verified within 20 s"):
        trio.run(main, clock=MockClock(autojump_threshold=0))


def test_a_block_of_another_height_than_asked_for_is_refused() -> None:
    class Elsewhere(FakeNode):
        async def light_block(self, height: Height) -> LightBlock:
            return await super().light_block(Height(height + 1))

    node = Elsewhere({}, 50)

    with pytest.raises(InvalidHeader, match="asked for height 1, got 2"):
        trio.run(follower(node, 51).begin, node)


@pytest.mark.parametrize(("max_age_s", "stale"), [(0, False), (99, True), (100, False)])
def test_a_header_is_stale_beyond_the_greatest_age(max_age_s: int, stale: bool) -> None:
    node = FakeNode({}, 50)
    found = follower(node, 101, max_age_s)
    trusted = trio.run(found.begin, node).trusted

    assert (found.age_s(trusted), found.is_stale(trusted)) == (100, stale)


def test_a_header_older_than_the_trusting_period_is_not_trusted() -> None:
    node = FakeNode({}, 50)
    clock = HandClock(node.chain.time_ns(2))
    found = Follower(Trust(node.root, PERIOD_S), clock)
    trusted = trio.run(found.begin, node).trusted
    found.judge_age(trusted)

    clock.now_ns = trusted.time_ns + PERIOD_S * NS_PER_SECOND

    with pytest.raises(Expired):
        found.judge_age(trusted)
