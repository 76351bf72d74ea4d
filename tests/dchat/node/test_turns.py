from __future__ import annotations

import threading

import pytest

from dchat.node.turns import Turns


def test_consensus_overtakes_a_mempool_request_that_waited_longer() -> None:
    turns = Turns()
    order: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def occupy() -> None:
        with turns.mempool:
            inside.set()
            leave.wait()

    def enter(name: str, turn_name: str) -> None:
        with turns.consensus if turn_name == "consensus" else turns.mempool:
            order.append(name)

    first = threading.Thread(target=occupy)
    first.start()
    inside.wait()
    second = threading.Thread(target=enter, args=("second", "mempool"))
    second.start()
    third = threading.Thread(target=enter, args=("third", "consensus"))
    third.start()
    third.join(timeout=0.2)  # neither may enter yet; gives both the time to queue up
    leave.set()
    first.join()
    second.join()
    third.join()

    assert order == ["third", "second"]


def test_only_one_thread_is_inside_at_a_time() -> None:
    turns = Turns()
    seen: list[int] = []
    inside = threading.Semaphore(1)

    def work(turn_name: str) -> None:
        with turns.consensus if turn_name == "consensus" else turns.mempool:
            alone = inside.acquire(blocking=False)
            seen.append(alone)
            inside.release()

    threads = [
        threading.Thread(target=work, args=(name,)) for name in ("consensus", "mempool") * 20
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert seen == [True] * 40


def test_a_turn_is_given_back_when_its_holder_fails() -> None:
    turns = Turns()

    def fail() -> None:
        with turns.mempool:
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    with turns.consensus:
        entered = True
    assert entered
