"""What a reader believes, what it asks for, and how it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from dchat.kernel.headers import InvalidHeader
from dchat.kernel.ids import ChainId, Height
from dchat.kernel.light import LightBlock, decode_trusted
from dchat.kernel.queries import PAGE, Entry, Listing, Page
from dchat.kernel.wire import NS_PER_SECOND
from dchat.node.follow import FOLLOW_S, Trust
from dchat.node.reader import (
    MAX_ATTEMPTS,
    MIN_ATTEMPTS,
    ChainReader,
    ClockBehind,
    HeightAhead,
    HeightNotKept,
    MemoryTrustStore,
    NodeMisled,
    NoNewBlock,
    StaleChain,
    TrustExpired,
    VerifiedValue,
)
from dchat.node.rpc import Queried, Question, Status
from tests.fakes.chain import FakeChain, Signer, sign_block
from tests.fakes.node import ANN, FakeNode, HandClock

KEY, OTHER = b"key", b"other"
STATE = {KEY: b"value", b"more": b"things"}
STATES = dict.fromkeys(range(1, 100), STATE)
PERIOD_S = 1000
STRANGERS = tuple(Signer(name) for name in ("eve", "fay", "gus"))


def make_reader(node: FakeNode, store: MemoryTrustStore | None = None) -> ChainReader:
    clock = HandClock(node.chain.time_ns(node.height) + NS_PER_SECOND)
    return ChainReader(node, Trust(node.root, PERIOD_S), clock, store or MemoryTrustStore())


def read(node: FakeNode, key: bytes = KEY, at_least: int = 0) -> VerifiedValue:
    reader = make_reader(node)

    async def main() -> VerifiedValue:
        return await reader.read(key, Height(at_least))

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_present_value_is_returned_with_what_was_checked() -> None:
    found = read(FakeNode(STATES, 50))

    assert (found.value, found.height, found.block.height) == (b"value", 49, 50)
    assert (found.block.signed_power, found.block.total_power) == (10, 10)


def test_absent_value_is_proved_absent() -> None:
    assert read(FakeNode(STATES, 50), OTHER).value is None


def test_value_comes_from_the_state_before_the_header() -> None:
    node = FakeNode({**STATES, 49: {KEY: b"fresh"}}, 50)

    assert read(node).value == b"fresh"
    assert node.asked == ["status", "block 1", "block 50", "query 49"]


def test_reader_waits_for_the_header_that_proves_the_wanted_height() -> None:
    class Growing(FakeNode):
        async def status(self) -> Status:
            self.height += 1
            return await super().status()

    assert read(Growing(STATES, 10), at_least=15).height == 15


def test_wait_for_a_header_ends_at_the_deadline() -> None:
    with pytest.raises(NoNewBlock, match="no block 61"):
        read(FakeNode(STATES, 50), at_least=60)


def test_chain_with_one_block_only_has_nothing_to_prove_yet() -> None:
    with pytest.raises(NoNewBlock, match="no block 2"):
        read(FakeNode(STATES, 1))


def alter(change: Callable[[Queried], Queried]) -> FakeNode:
    class Lying(FakeNode):
        async def abci_query(self, question: Question) -> Queried:
            return change(await super().abci_query(question))

    return Lying(STATES, 50)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda said: replace(said, value=b"forged"), "leaf"),
        (lambda said: replace(said, value=b""), "present"),
        (lambda said: replace(said, proofs=()), "no proof"),
        (lambda said: replace(said, proofs=said.proofs * 2), "no proof"),
        (lambda said: replace(said, proofs=(("ics23:iavl", said.proofs[0][1]),)), "no proof"),
        (lambda said: replace(said, proofs=((said.proofs[0][0], b"\x90"),)), "fields"),
        (lambda said: replace(said, proofs=((said.proofs[0][0], b""),)), "msgpack"),
        (lambda said: replace(said, code=904, log="pruned"), "pruned"),
    ],
    ids=["forged", "hidden", "unproved", "two proofs", "other kind", "array", "empty", "refused"],
)
def test_lying_answer_is_refused(change: Callable[[Queried], Queried], reason: str) -> None:
    with pytest.raises(NodeMisled, match=reason):
        read(alter(change))


def test_every_attempt_that_does_not_verify_moves_on_to_the_next_node() -> None:
    node = alter(lambda said: replace(said, value=b"forged"))

    with pytest.raises(NodeMisled):
        read(node)

    assert node.left == MIN_ATTEMPTS


class Several(FakeNode):
    """A list of nodes of which only the last is honest."""

    liars = 0

    @property
    def honest(self) -> bool:
        return self.left % (self.liars + 1) == self.liars

    async def abci_query(self, question: Question) -> Queried:
        said = await super().abci_query(question)
        return said if self.honest else replace(said, value=b"forged")

    def use_next(self) -> None:
        super().use_next()
        self.url = f"node {self.left % (self.liars + 1)}"


class Crawling(Several):
    """The others answer every call just before its deadline."""

    async def light_block(self, height: Height) -> LightBlock:
        await trio.sleep(0 if self.honest else 9.9)
        return await super().light_block(height)


@pytest.mark.parametrize("liars", [1, 2, 6])
def test_one_honest_node_of_the_list_is_enough(liars: int) -> None:
    node = Several(STATES, 50)
    node.liars = liars

    assert read(node).value == b"value"


def test_no_more_nodes_are_asked_than_a_few() -> None:
    node = Several(STATES, 50)
    node.liars = 60

    with pytest.raises(NodeMisled):
        read(node)

    assert node.left == MAX_ATTEMPTS


def test_a_node_that_answers_as_slowly_as_it_may_is_left_for_another() -> None:
    node = Crawling(STATES, 50, FakeChain((ANN,), sets={20: STRANGERS}))
    node.liars = 1

    async def main() -> tuple[bytes | None, float]:
        started = trio.current_time()
        found = await make_reader(node).read(KEY)
        return found.value, trio.current_time() - started

    value, took_s = trio.run(main, clock=MockClock(autojump_threshold=0))

    assert value == b"value"
    assert took_s < 2 * FOLLOW_S


def test_state_of_another_height_is_refused() -> None:
    class Stale(FakeNode):
        async def abci_query(self, question: Question) -> Queried:
            return await super().abci_query(replace(question, height=Height(40)))

    with pytest.raises(NodeMisled, match="leads to root"):
        read(Stale({**STATES, 40: {KEY: b"stale"}}, 50))


def test_a_node_that_forges_the_future_is_left_for_the_next() -> None:
    class Ahead(FakeNode):
        async def light_block(self, height: Height) -> LightBlock:
            if self.left or height == 1:
                return await super().light_block(height)
            header = FakeChain(STRANGERS).header(height)
            later = replace(header, time_ns=header.time_ns * 2)
            return sign_block(later, STRANGERS, STRANGERS, STRANGERS)

    assert read(Ahead(STATES, 50)).value == b"value"


def test_node_of_another_chain_is_refused() -> None:
    node = FakeNode(STATES, 50)
    reader = make_reader(node)
    node.chain = replace(node.chain, chain_id=ChainId("other"))

    with pytest.raises(NodeMisled, match="of chain 'other'"):
        trio.run(reader.read, KEY)


def test_chain_of_other_validators_is_refused() -> None:
    forged = FakeNode(STATES, 50, FakeChain(STRANGERS))
    reader = ChainReader(
        forged,
        Trust(FakeNode(STATES, 50).root, PERIOD_S),
        HandClock(forged.chain.time_ns(51)),
        MemoryTrustStore(),
    )

    with pytest.raises(NodeMisled, match="validators differ from the root"):
        trio.run(reader.read, KEY)


def test_root_of_trust_beyond_its_period_is_told_with_what_to_do() -> None:
    node = FakeNode(STATES, 50)
    late = HandClock(node.chain.time_ns(1) + PERIOD_S * NS_PER_SECOND)
    reader = ChainReader(node, Trust(node.root, PERIOD_S), late, MemoryTrustStore())

    with pytest.raises(TrustExpired) as caught:
        trio.run(reader.read, KEY)

    assert "newer network file" in caught.value.hint


def test_clock_far_behind_the_chain_is_told() -> None:
    node = FakeNode(STATES, 90)
    early = HandClock(node.chain.time_ns(1))
    reader = ChainReader(node, Trust(node.root, PERIOD_S), early, MemoryTrustStore())

    with pytest.raises(ClockBehind):
        trio.run(reader.read, KEY)


def test_later_run_starts_from_the_header_kept() -> None:
    node, store = FakeNode(STATES, 50), MemoryTrustStore()
    trio.run(make_reader(node, store).read, KEY)
    node.asked.clear()
    node.height = 60

    found = trio.run(make_reader(node, store).read, KEY)

    assert (found.height, node.asked) == (59, ["status", "block 60", "query 59"])


def test_kept_header_is_the_newest_verified() -> None:
    node, store = FakeNode(STATES, 50), MemoryTrustStore()

    trio.run(make_reader(node, store).read, KEY)

    kept = store.load(Trust(node.root, PERIOD_S).name)
    assert kept is not None
    assert decode_trusted(kept).height == 50


def test_damaged_kept_header_is_passed_over() -> None:
    node, store = FakeNode(STATES, 50), MemoryTrustStore()
    store.save(Trust(node.root, PERIOD_S).name, b"\x90")

    assert trio.run(make_reader(node, store).read, KEY).height == 49


def test_kept_header_of_another_root_is_not_used() -> None:
    node, store = FakeNode(STATES, 50), MemoryTrustStore()
    trio.run(make_reader(node, store).read, KEY)
    other = FakeNode(STATES, 50, FakeChain(STRANGERS))

    assert trio.run(make_reader(other, store).read, KEY).height == 49


def test_node_behind_the_header_kept_is_left_for_another() -> None:
    node, store = FakeNode(STATES, 50), MemoryTrustStore()
    trio.run(make_reader(node, store).read, KEY)
    node.height = 49
    reader = make_reader(node, store)

    with pytest.raises(NoNewBlock):
        trio.run(reader.read, KEY, clock=trio.testing.MockClock(autojump_threshold=0))

    assert node.left > 1


def test_several_keys_are_read_under_one_header() -> None:
    node = FakeNode(STATES, 50)
    reader = make_reader(node)

    async def main() -> list[bytes | None]:
        block = await reader.latest()
        return [(await reader.read_at(block, key)).value for key in (KEY, OTHER)]

    assert trio.run(main) == [b"value", None]
    assert node.asked == ["status", "block 1", "block 50", "query 49", "query 49"]


def test_the_first_header_proves_nothing_and_no_node_is_asked() -> None:
    node = FakeNode(STATES, 50)
    reader = make_reader(node)

    async def main() -> None:
        await reader.read_at(await reader.header(Height(1)), KEY)

    with pytest.raises(InvalidHeader, match="first header"):
        trio.run(main)
    assert not [asked for asked in node.asked if asked.startswith("query")]


def test_many_tasks_may_read_at_once() -> None:
    node = FakeNode(STATES, 50)
    reader = make_reader(node)
    found: list[int] = []

    async def one() -> None:
        found.append((await reader.read(KEY)).height)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            [nursery.start_soon(one) for _ in range(8)]

    trio.run(main)

    assert found == [49] * 8


def test_kept_header_that_has_expired_is_told_even_without_a_new_block() -> None:
    node, store = FakeNode(STATES, 50), MemoryTrustStore()
    clock = HandClock(node.chain.time_ns(51))
    reader = ChainReader(node, Trust(node.root, PERIOD_S), clock, store)
    trio.run(reader.read, KEY)

    clock.now_ns = node.chain.time_ns(50) + PERIOD_S * NS_PER_SECOND

    with pytest.raises(TrustExpired):
        trio.run(reader.read, KEY)


def test_any_header_above_the_root_is_verified() -> None:
    node = FakeNode(STATES, 50)
    reader = make_reader(node)

    heights = [trio.run(reader.header, Height(height)).height for height in (1, 2, 33)]

    assert heights == [1, 2, 33]


def test_header_below_the_root_is_refused() -> None:
    node = FakeNode(STATES, 50)
    root = replace(node.root, height=Height(5))
    reader = ChainReader(node, Trust(root, PERIOD_S), HandClock(0), MemoryTrustStore())

    with pytest.raises(InvalidHeader, match="below the root"):
        trio.run(reader.header, Height(4))


class Owned(FakeNode):
    """A node whose application refuses every query."""

    async def abci_query(self, question: Question) -> Queried:
        return Queried(901, "height 49 is not kept, only 60 to 70 are", b"", Height(0), ())


def test_height_that_no_node_keeps_is_told_with_those_it_keeps() -> None:
    with pytest.raises(HeightNotKept, match="only 60 to 70"):
        read(Owned(STATES, 50))


def aged(node: FakeNode, age_s: int, max_age_s: int) -> ChainReader:
    clock = HandClock(node.chain.time_ns(node.height) + age_s * NS_PER_SECOND)
    return ChainReader(
        node, Trust(node.root, PERIOD_S, max_age_s=max_age_s), clock, MemoryTrustStore()
    )


@pytest.mark.parametrize(("age_s", "max_age_s"), [(600, 600), (601, 0)])
def test_header_that_is_young_enough_is_the_newest(age_s: int, max_age_s: int) -> None:
    node = FakeNode(STATES, 50)

    assert trio.run(aged(node, age_s, max_age_s).latest).height == 50


def test_header_that_is_too_old_is_not_taken_for_the_newest() -> None:
    node = FakeNode(STATES, 50)

    with pytest.raises(StaleChain, match="the newest header of fake-chain, 50, is 601 s old"):
        trio.run(aged(node, 601, 600).latest, clock=MockClock(autojump_threshold=0))
    assert node.left > 1


def test_newer_header_is_waited_for_while_the_newest_is_too_old() -> None:
    class Woken(FakeNode):
        async def status(self) -> Status:
            self.height += self.left
            return await super().status()

    node = Woken(STATES, 50)
    reader = aged(node, 601, 600)

    assert trio.run(reader.latest, clock=MockClock(autojump_threshold=0)).height == 51


@pytest.mark.parametrize(("height", "header"), [(1, 2), (33, 34), (49, 50)])
def test_state_of_a_height_is_proved_by_the_header_above(height: int, header: int) -> None:
    reader = make_reader(FakeNode(STATES, 50))

    assert trio.run(reader.state_at, Height(height)).height == header


def test_header_above_the_newest_block_is_waited_for() -> None:
    class Growing(FakeNode):
        async def status(self) -> Status:
            self.height += 1
            return await super().status()

    reader = make_reader(Growing(STATES, 50))

    found = trio.run(reader.state_at, Height(51), clock=MockClock(autojump_threshold=0))

    assert found.height == 52


def test_height_far_ahead_is_not_waited_for() -> None:
    reader = make_reader(FakeNode(STATES, 50))

    with pytest.raises(HeightAhead, match="block 51 is not there yet, the newest is 50"):
        trio.run(reader.state_at, Height(51))


def list_at(node: FakeNode, listing: Listing) -> Page:
    reader = make_reader(node)

    async def main() -> Page:
        return (await reader.list_at(await reader.latest(), listing)).page

    return trio.run(main)


def test_page_comes_with_every_entry_proved() -> None:
    found = list_at(FakeNode(STATES, 50), Listing(b"", limit=1))

    assert found == Page((Entry(KEY, b"value"),), KEY)


def relist(change: Callable[[Page], Page]) -> FakeNode:
    class Lying(FakeNode):
        async def abci_query(self, question: Question) -> Queried:
            said = await super().abci_query(question)
            return replace(said, value=PAGE.encode(change(PAGE.decode(said.value))))

    return Lying(STATES, 50)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda page: Page((Entry(KEY, b"forged"), *page.entries[1:]), b""), "leaf"),
        (lambda page: Page((Entry(b"kez", b"value"), *page.entries[1:]), b""), "order|leaf"),
        (lambda page: Page(page.entries[:1], b""), "no proof"),
        (lambda page: Page(page.entries[::-1], b""), "order"),
    ],
    ids=["forged value", "forged key", "unproved", "order"],
)
def test_lying_page_is_refused(change: Callable[[Page], Page], reason: str) -> None:
    with pytest.raises(NodeMisled, match=reason):
        list_at(relist(change), Listing(b""))


def test_first_header_proves_no_page() -> None:
    reader = make_reader(FakeNode(STATES, 50))

    async def main() -> None:
        await reader.list_at(await reader.header(Height(1)), Listing(b""))

    with pytest.raises(InvalidHeader, match="first header"):
        trio.run(main)
