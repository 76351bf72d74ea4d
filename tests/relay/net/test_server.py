from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from prometheus_client import CollectorRegistry

from dchat.kernel.ids import EpochMs
from relay.core.access import Purpose, relay_key
from relay.core.desk import Desk
from relay.core.envelope import check_receipt
from relay.core.jobs import Prune
from relay.core.limits import Limits, Rate
from relay.core.messages import (
    Acked,
    Custody,
    Deposit,
    GetPrekeys,
    OneTimeKey,
    Page,
    Prekeys,
    Pull,
    Refused,
    Stored,
    TakeOneTimeKey,
    Watching,
    encode,
)
from relay.core.queue import Queue
from relay.core.refusals import Refusal
from relay.net.link import LinkClosed
from relay.net.meter import Meter
from relay.net.pump import Pump
from relay.net.server import Server
from relay.net.store import Store
from tests.fakes.links import MemoryLink, link_pair
from tests.fakes.mailbox_user import MailboxUser
from tests.fakes.peers import in_trio

ONE, TWO = b"1" * 32, b"2" * 32
START = EpochMs(1_800_000_000_000)


class HandClock:
    """Tells the time it was set to."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> EpochMs:
        return self.time


class Town:
    """A server on a real store, reached over memory links."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.clock = HandClock()
        self.registry = CollectorRegistry()
        self.store = Store(path, limits)
        self.desk = Desk(b"r" * 32, limits, Queue(limits, self.store.places()))
        self.pump = Pump(self.store)
        self.server = Server(self.desk, self.pump, self.clock, Meter(self.registry))

    async def run(self) -> None:
        await self.pump.run(self.server.settled)

    @asynccontextmanager
    async def link(self, peer: str = "peer") -> AsyncGenerator[MemoryLink]:
        """The client's end of a link that the server serves while the block runs."""
        mine, theirs = link_pair(client=peer)
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                await self.server.serve(theirs)
                await theirs.aclose()

            nursery.start_soon(serve)
            yield mine
            await mine.aclose()

    @asynccontextmanager
    async def user(
        self, peer: str = "peer", inbox_seed: bytes = b"i" * 32
    ) -> AsyncGenerator[MailboxUser]:
        async with self.link(peer) as link:
            yield await MailboxUser.meet(link, inbox_seed)


@asynccontextmanager
async def town(tmp_path: Path, limits: Limits | None = None) -> AsyncGenerator[Town]:
    made = Town(tmp_path / "relay.db", limits or Limits())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        yield made
        nursery.cancel_scope.cancel()
    made.store.close()


def names(page: object) -> list[bytes]:
    assert isinstance(page, Page)
    return [item.message_id for item in page.items]


def code(answer: object) -> int:
    assert isinstance(answer, Refused)
    return answer.code


@in_trio
async def test_custody_is_signed_by_the_relay_for_what_is_on_disk(tmp_path: Path) -> None:
    async with town(tmp_path) as here, here.user() as user:
        envelope = user.envelope(ONE)

        custody = await user.deposit(envelope)

        assert isinstance(custody, Custody)
        check_receipt(custody.receipt, envelope, relay_key(user.hello.relay_peer_id))
        assert [place for place, _ in here.store.places()] == [(user.mailbox, ONE)]


@in_trio
async def test_a_mailbox_is_read_page_by_page_until_it_is_empty(tmp_path: Path) -> None:
    async with town(tmp_path) as here, here.user() as user:
        for name in (ONE, TWO):
            await user.deposit(user.envelope(name))

        first = await user.pull(limit=1)
        refused = await user.pull(limit=1)
        acked = await user.ack(first)
        second = await user.pull(limit=1)
        nacked = await user.ack(second, nacked=[TWO])
        last = await user.pull(limit=1)

        assert (names(first), code(refused)) == ([ONE], Refusal.PAGE_OUTSTANDING)
        assert (names(second), names(last)) == ([TWO], [])
        assert isinstance(acked, Acked)
        assert isinstance(nacked, Acked)
        assert len(here.desk.queue) == 0


@in_trio
async def test_a_repeated_deposit_gives_the_same_receipt_before_and_after_delivery(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as here, here.user() as user:
        envelope = user.envelope(ONE)
        first = await user.deposit(envelope)
        here.clock.time = EpochMs(START + 60_000)
        second = await user.deposit(envelope)
        await user.ack(await user.pull())
        third = await user.deposit(envelope)

        assert first == second == third
        assert names(await user.pull()) == []
        assert len(here.desk.queue) == 0


@in_trio
async def test_what_is_not_acked_is_given_again_in_the_next_session(tmp_path: Path) -> None:
    async with town(tmp_path) as here:
        async with here.user() as user:
            await user.deposit(user.envelope(ONE))
            await user.pull()
        async with here.user() as user:
            assert names(await user.pull()) == [ONE]


@in_trio
async def test_an_owner_sees_his_own_mailbox_only(tmp_path: Path) -> None:
    async with town(tmp_path) as here, here.user() as owner:
        await owner.deposit(owner.envelope(ONE))
        async with here.user("other", inbox_seed=b"o" * 32) as other:
            assert names(await other.pull()) == []


@in_trio
async def test_a_grant_seen_in_one_session_opens_nothing_in_another(tmp_path: Path) -> None:
    async with town(tmp_path) as here, here.user() as owner, here.user("thief") as thief:
        stolen = Pull(9, owner.access(Purpose.PULL), 0, 64)

        assert code(await thief.ask(stolen)) == Refusal.BAD_SIGNATURE


@in_trio
async def test_a_watcher_is_told_when_another_peer_deposits(tmp_path: Path) -> None:
    async with town(tmp_path) as here, here.user() as owner, here.user("sender") as sender:
        assert isinstance(await owner.watch(), Watching)
        await sender.deposit(owner.envelope(ONE))
        await sender.deposit(owner.envelope(TWO))

        assert (await owner.next_mail()).mailbox_id == owner.mailbox
        await owner.pull()
        assert owner.mail == []


@in_trio
async def test_a_repeated_deposit_is_no_news(tmp_path: Path) -> None:
    async with town(tmp_path) as here, here.user() as owner:
        await owner.deposit(owner.envelope(ONE))
        await owner.ack(await owner.pull())
        await owner.watch()

        await owner.deposit(owner.envelope(ONE))
        await owner.pull()

        assert owner.mail == []


@in_trio
async def test_a_watcher_that_left_is_forgotten(tmp_path: Path) -> None:
    async with town(tmp_path) as here:
        async with here.user() as owner:
            await owner.watch()
        async with here.user("sender") as sender:
            await sender.deposit(sender.envelope(ONE))

        assert here.server._watchers == {}


@in_trio
async def test_an_expired_envelope_is_pruned_and_its_place_is_free(tmp_path: Path) -> None:
    async with town(tmp_path, Limits(max_queue_size=1)) as here, here.user() as user:
        await user.deposit(user.envelope(ONE))
        full = await user.deposit(user.envelope(TWO))
        here.clock.time = EpochMs(START + 3_600_000)
        await here.pump.do(Prune(here.clock.now()))
        late = replace(user.envelope(TWO), expires_at_ms=EpochMs(START + 7_200_000))

        assert code(full) == Refusal.QUEUE_FULL
        assert code(await user.deposit(user.envelope(ONE))) == Refusal.EXPIRED
        assert isinstance(await user.deposit(late), Custody)


@in_trio
async def test_a_full_disk_refuses_deposits_and_still_gives_mail_out(tmp_path: Path) -> None:
    async with town(tmp_path) as here, here.user() as user:
        await user.deposit(user.envelope(ONE))
        (pages,) = here.store._db.execute("PRAGMA page_count").fetchone()
        here.store._db.execute(f"PRAGMA max_page_count = {pages + 2}")

        refused = await user.deposit(user.envelope(TWO, size_class=3))
        held = len(here.desk.queue)
        page = await user.pull()

        assert (code(refused), held) == (Refusal.STORAGE_UNAVAILABLE, 1)
        assert names(page) == [ONE]


@in_trio
async def test_prekeys_are_served_to_anybody_and_each_one_time_key_once(tmp_path: Path) -> None:
    async with town(tmp_path) as here, here.user() as owner, here.user("stranger") as stranger:
        key = owner.access(Purpose.PULL).inbox_key

        stored = (await owner.put_prekeys(b"bundle"), await owner.put_keys(b"one"))
        bundle = await stranger.ask(GetPrekeys(7, key))
        first = await stranger.ask(TakeOneTimeKey(8, key))
        second = await stranger.ask(TakeOneTimeKey(9, key))

        assert stored == (Stored(5, 0), Stored(6, 1))
        assert (bundle, first) == (Prekeys(7, b"bundle"), OneTimeKey(8, b"one"))
        assert code(second) == Refusal.NO_ONE_TIME_KEY


@in_trio
async def test_garbage_ends_its_own_session_alone(tmp_path: Path) -> None:
    async with town(tmp_path) as here, here.user("good") as good:
        async with here.link("bad") as bad:
            await MailboxUser.meet(bad)
            await bad.send(b"\xc1 not a message")
            with pytest.raises(LinkClosed):
                await bad.receive()

        assert isinstance(await good.deposit(good.envelope(ONE)), Custody)


@in_trio
async def test_a_peer_may_have_so_many_sessions_and_no_more(tmp_path: Path) -> None:
    async with town(tmp_path, Limits(max_sessions_per_peer=1)) as here:
        async with here.user("peer"), here.link("peer") as second, here.user("other"):
            with pytest.raises(LinkClosed):
                await second.receive()
        async with here.user("peer") as again:
            assert isinstance(await again.deposit(again.envelope(ONE)), Custody)


@in_trio
async def test_a_peer_over_its_rate_is_read_no_faster_than_allowed(tmp_path: Path) -> None:
    limits = Limits(requests=Rate(per_minute=60_000, burst=1))
    async with town(tmp_path, limits) as here, here.user() as user:
        request = GetPrekeys(1, b"k" * 32)

        codes = [code(await user.ask(request)) for _ in range(2)]

        assert codes == [Refusal.NO_PREKEYS, Refusal.RATE_LIMITED]


@in_trio
async def test_draining_lets_idle_peers_go(tmp_path: Path) -> None:
    async with town(tmp_path) as here, here.link() as link:
        await MailboxUser.meet(link)

        await here.server.drain()

        with pytest.raises(LinkClosed):
            await link.receive()
        assert here.server.sessions == 0


@in_trio
async def test_a_peer_that_comes_while_draining_is_sent_away(tmp_path: Path) -> None:
    async with town(tmp_path) as here:
        await here.server.drain()
        async with here.link() as link:
            await MailboxUser.meet(link)
            with pytest.raises(LinkClosed):
                await link.receive()


@in_trio
async def test_pipelined_deposits_are_all_answered(tmp_path: Path) -> None:
    async with town(tmp_path) as here, here.link() as link:
        user = await MailboxUser.meet(link)
        deposits = [user.envelope(n.to_bytes(32, "big")) for n in range(20)]
        for number, envelope in enumerate(deposits):
            await link.send(encode(Deposit(number, envelope)))

        answers = [await user.answer() for _ in deposits]

        assert {answer.request_id for answer in answers} == set(range(20))
        assert all(isinstance(answer, Custody) for answer in answers)
