from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from dchat.client import events
from dchat.client.events import Event, Hub, Missed, Noticed, Subscription
from tests.fakes.peers import in_trio


def fill(hub: Hub, count: int) -> None:
    for number in range(count):
        hub.tell(Noticed(str(number)))


@in_trio
async def test_every_subscriber_gets_every_event_in_order() -> None:
    hub = Hub()

    with hub.subscribed() as one, hub.subscribed() as other:
        fill(hub, 2)
        got = [await each.get() for each in (one, one, other, other)]

    assert got == [Noticed("0"), Noticed("1")] * 2


@in_trio
async def test_a_subscriber_waits_for_an_event() -> None:
    hub = Hub()
    got: list[Event] = []

    async def read(subscription: Subscription) -> None:
        got.append(await subscription.get())

    with hub.subscribed() as subscription:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, subscription)
            await wait_all_tasks_blocked()
            hub.tell(Noticed("late"))

    assert got == [Noticed("late")]


@in_trio
async def test_a_slow_subscriber_is_told_what_it_missed_and_goes_on() -> None:
    hub = Hub()

    with hub.subscribed() as slow:
        fill(hub, events.MAX_UNREAD + 1)
        hub.tell(Noticed("after"))
        got = [await slow.get(), await slow.get()]

    assert got == [Missed(events.MAX_UNREAD + 1), Noticed("after")]


@in_trio
async def test_a_full_but_not_overfull_queue_loses_nothing() -> None:
    hub = Hub()

    with hub.subscribed() as slow:
        fill(hub, events.MAX_UNREAD)
        got = [await slow.get() for _ in range(events.MAX_UNREAD)]

    assert got[-1] == Noticed(str(events.MAX_UNREAD - 1))


@in_trio
async def test_who_left_is_not_told_any_more() -> None:
    hub = Hub()
    with hub.subscribed() as gone:
        pass

    hub.tell(Noticed("unheard"))

    with trio.move_on_after(0) as scope:
        await gone.get()
    assert scope.cancelled_caught


@in_trio
async def test_events_can_be_iterated() -> None:
    hub = Hub()
    with hub.subscribed() as subscription:
        hub.tell(Noticed("one"))

        first = await anext(aiter(subscription))

    assert first == Noticed("one")
