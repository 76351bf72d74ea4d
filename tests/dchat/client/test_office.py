from __future__ import annotations

import threading

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from dchat.client.events import Hub
from dchat.client.office import Bell, Office
from dchat.node.clock import SystemClock
from tests.fakes.peers import in_trio
from tests.fakes.people import Person


def office_of(alice: Person) -> Office:
    return Office(alice.identity, alice.store, SystemClock(), Hub())


def test_work_is_done_in_another_thread_one_at_a_time(alice: Person) -> None:
    office = office_of(alice)
    at_work: list[int] = []
    most: list[int] = []

    def work(number: int) -> tuple[int, int]:
        at_work.append(number)
        most.append(len(at_work))
        at_work.remove(number)
        return number, threading.get_ident()

    async def main() -> set[int]:
        threads: set[int] = set()

        async def one(number: int) -> None:
            threads.add((await office.do(work, number))[1])

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(one, number)
        return threads

    threads = trio.run(main)

    assert threading.get_ident() not in threads
    assert set(most) == {1}


def test_the_office_is_its_owners(alice: Person) -> None:
    assert office_of(alice).me == alice.id


@in_trio
async def test_a_bell_rung_before_waiting_is_heard() -> None:
    bell = Bell()
    bell.ring()

    with trio.fail_after(1):
        await bell.wait(60)


@in_trio
async def test_a_bell_is_heard_once() -> None:
    bell = Bell()
    bell.ring()
    await bell.wait(60)

    with trio.move_on_after(0) as scope:
        await bell.wait(60)
    assert scope.cancelled_caught


@in_trio
async def test_a_bell_wakes_who_waits() -> None:
    bell = Bell()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bell.wait, 60)
        await wait_all_tasks_blocked()
        bell.ring()


def test_a_bell_that_nobody_rings_lets_go_after_its_time() -> None:
    async def main() -> float:
        started = trio.current_time()
        await Bell().wait(60)
        return trio.current_time() - started

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == 60
