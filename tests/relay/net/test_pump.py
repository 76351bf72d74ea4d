from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import trio

from dchat.kernel.ids import EpochMs
from relay.core.jobs import AddKeys, Found, Job, KeysHeld, NotThere, Outcome, TakeKey
from relay.core.limits import Limits
from relay.net.pump import MAX_BATCH, Pump
from relay.net.store import Store
from tests.fakes.peers import in_trio

KEY = b"k" * 32
NOW = EpochMs(1)


class Batches(Store):
    """A store that remembers how many jobs came together."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Limits())
        self.sizes: list[int] = []

    def run(self, batch: Sequence[Job]) -> list[Outcome]:
        self.sizes.append(len(batch))
        return super().run(batch)


@in_trio
async def test_a_job_gives_its_own_outcome(tmp_path: Path) -> None:
    pump = Pump(Batches(tmp_path / "relay.db"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run, lambda job, outcome: None)

        added = await pump.do(AddKeys(KEY, (b"one",), NOW))
        taken = [await pump.do(TakeKey(KEY, NOW)) for _ in range(2)]

        nursery.cancel_scope.cancel()
    assert (added, taken) == (KeysHeld(1), [Found(b"one"), NotThere()])


@in_trio
async def test_what_waits_together_is_committed_together_up_to_a_bound(tmp_path: Path) -> None:
    store = Batches(tmp_path / "relay.db")
    pump = Pump(store)
    for _ in range(MAX_BATCH + 10):
        await pump.submit(TakeKey(KEY, NOW), lambda outcome: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run, lambda job, outcome: None)

        await pump.do(TakeKey(KEY, NOW))

        nursery.cancel_scope.cancel()
    assert store.sizes == [MAX_BATCH, 11]


@in_trio
async def test_the_keeper_of_counts_hears_before_the_submitter(tmp_path: Path) -> None:
    heard: list[str] = []
    pump = Pump(Batches(tmp_path / "relay.db"))
    await pump.submit(TakeKey(KEY, NOW), lambda outcome: heard.append("submitter"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run, lambda job, outcome: heard.append("keeper"))

        await pump.do(TakeKey(KEY, NOW))

        nursery.cancel_scope.cancel()
    assert heard[:2] == ["keeper", "submitter"]


@in_trio
async def test_a_batch_under_way_is_reported_although_the_pump_is_cancelled(
    tmp_path: Path,
) -> None:
    heard: list[Outcome] = []
    pump = Pump(Batches(tmp_path / "relay.db"))
    await pump.submit(AddKeys(KEY, (b"one",), NOW), heard.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run, lambda job, outcome: nursery.cancel_scope.cancel())

    assert heard == [KeysHeld(1)]


@in_trio
async def test_submitting_waits_while_too_much_waits(tmp_path: Path) -> None:
    pump = Pump(Batches(tmp_path / "relay.db"))
    submitted = 0
    with trio.move_on_after(0.5):
        while True:
            await pump.submit(TakeKey(KEY, NOW), lambda outcome: None)
            submitted += 1

    assert submitted == pump.waiting == 1024
