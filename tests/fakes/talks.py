"""What must hold of any client on any network: told once, run on a fake town and on real processes.

A talk gets a stage, on which it opens people's clients and takes relay and chains down.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import pytest
import trio

from dchat.client.core.conversation import Delivery
from dchat.client.core.prekeys import commitment
from dchat.client.directory import UnknownHandle
from dchat.client.engine import AlreadyKnownAs, CannotWrite, Client
from dchat.client.events import (
    Delayed,
    Event,
    KeysChanged,
    Noticed,
    Progressed,
    Received,
    RelayChanged,
    Subscription,
)
from dchat.kernel.ids import Amount
from dchat.node.chain import Refused

PATIENCE_S = 60
FIVE = Amount(5_000_000)


class Stage(Protocol):
    """Where talks take place: three handles, each with funds, not registered yet."""

    alice: str
    bob: str
    carol: str

    def client(self, name: str, device: str = "first") -> AbstractAsyncContextManager[Client]:
        """Run somebody's client; another device has another data directory."""
        ...

    async def stop_relay(self) -> None:
        """Take the relay down, as kill -9 does."""
        ...

    async def start_relay(self) -> None:
        """Bring it back with what it had on disk."""
        ...


Talk = Callable[[Stage], Awaitable[None]]


async def until(events: Subscription, is_it: Callable[[Event], bool]) -> Event:
    """Return the first event that is it."""
    with trio.fail_after(PATIENCE_S):
        while True:
            event = await events.get()
            if is_it(event):
                return event
    raise AssertionError


async def reaches(client: Client, events: Subscription, message_id: bytes, state: Delivery) -> None:
    """Return once a text has come to a state."""
    letter = await client.letter(message_id)
    assert letter is not None
    if letter.state is not state:
        await until(events, lambda event: _is_progress(event, message_id, state))


def _is_progress(event: Event, message_id: bytes, state: Delivery) -> bool:
    return isinstance(event, Progressed) and (event.message_id, event.state) == (message_id, state)


async def tell(client: Client, handle: str, text: str, state: Delivery) -> bytes:
    """Write a text and return its id once it has come to a state."""
    with client.events() as events:
        message_id = await client.send(handle, text)
        await reaches(client, events, message_id, state)
    return message_id


async def hears(client: Client, handle: str, texts: Sequence[str]) -> None:
    """Return once these texts, and no others, came from somebody."""
    with client.events() as events:
        with trio.fail_after(PATIENCE_S):
            while len(await texts_from(client, handle)) < len(texts):
                await events.get()
    assert await texts_from(client, handle) == list(texts)


async def texts_from(client: Client, handle: str) -> list[str]:
    try:
        return [one.body for one in await client.history(handle, 1000) if not one.outgoing]
    except UnknownHandle:
        return []


@asynccontextmanager
async def pair(stage: Stage) -> AsyncGenerator[tuple[Client, Client]]:
    """Run Alice and Bob, registered."""
    async with stage.client(stage.alice) as alice, stage.client(stage.bob) as bob:
        await alice.register(stage.alice)
        await bob.register(stage.bob)
        yield alice, bob


async def a_message_waits_for_its_recipient_and_is_answered(stage: Stage) -> None:
    async with stage.client(stage.bob) as bob:
        await bob.register(stage.bob)
    async with stage.client(stage.alice) as alice:
        await alice.register(stage.alice)
        first = await tell(alice, stage.bob, "hello", Delivery.SENT)
        with alice.events() as events:
            async with stage.client(stage.bob) as bob:
                await hears(bob, stage.alice, ["hello"])
                await reaches(alice, events, first, Delivery.DELIVERED)
                await tell(bob, stage.alice, "hello yourself", Delivery.DELIVERED)
        await hears(alice, stage.bob, ["hello yourself"])


async def a_stranger_is_marked_until_answered(stage: Stage) -> None:
    async with pair(stage) as (alice, bob):
        with bob.events() as events:
            await tell(alice, stage.bob, "do you know me?", Delivery.DELIVERED)
            first = await until(events, lambda event: isinstance(event, Received))
            await tell(bob, stage.alice, "now I do", Delivery.DELIVERED)
            await tell(alice, stage.bob, "good", Delivery.DELIVERED)
            second = await until(events, lambda event: isinstance(event, Received))

    assert isinstance(first, Received)
    assert isinstance(second, Received)
    assert (first.is_request, second.is_request) == (True, False)


async def many_messages_arrive_once_and_in_order(stage: Stage) -> None:
    texts = [f"number {n}" for n in range(40)]
    async with pair(stage) as (alice, bob):
        with alice.events() as events:
            ids = [await alice.send(stage.bob, text) for text in texts]
            for message_id in ids:
                await reaches(alice, events, message_id, Delivery.DELIVERED)
        await hears(bob, stage.alice, texts)


async def messages_of_every_size_arrive(stage: Stage) -> None:
    texts = ["x" * size for size in (1, 500, 2_000, 9_000, 16_384)]
    async with pair(stage) as (alice, bob):
        for text in texts:
            await tell(alice, stage.bob, text, Delivery.DELIVERED)
        await hears(bob, stage.alice, texts)


async def a_relay_that_comes_back_loses_and_repeats_nothing(stage: Stage) -> None:
    async with pair(stage) as (alice, bob):
        await tell(alice, stage.bob, "one", Delivery.DELIVERED)
        await stage.stop_relay()
        with alice.events() as events:
            queued = await alice.send(stage.bob, "two")
            await until(events, lambda event: isinstance(event, Delayed))
            await stage.start_relay()
            await reaches(alice, events, queued, Delivery.DELIVERED)
        await hears(bob, stage.alice, ["one", "two"])


async def a_relay_killed_after_its_receipt_still_delivers(stage: Stage) -> None:
    async with pair(stage) as (_alice, _bob):
        pass
    async with stage.client(stage.alice) as alice:
        await tell(alice, stage.bob, "kept", Delivery.SENT)
        await stage.stop_relay()
    await stage.start_relay()
    async with stage.client(stage.bob) as bob:
        await hears(bob, stage.alice, ["kept"])


async def a_queued_message_survives_a_restart(stage: Stage) -> None:
    async with pair(stage) as (alice, _bob):
        await alice.look_up(stage.bob)
    await stage.stop_relay()
    async with stage.client(stage.alice) as alice:
        queued = await alice.send(stage.bob, "later")
    await stage.start_relay()
    async with stage.client(stage.alice) as alice, stage.client(stage.bob) as bob:
        await hears(bob, stage.alice, ["later"])
        with alice.events() as events:
            await reaches(alice, events, queued, Delivery.DELIVERED)


async def a_new_device_is_noticed_and_reads_what_its_old_one_never_got(stage: Stage) -> None:
    async with pair(stage) as (alice, bob):
        await tell(alice, stage.bob, "to the old device", Delivery.DELIVERED)
        before = (await alice.look_up(stage.bob)).prekey_hash
        await tell(bob, stage.alice, "and back", Delivery.DELIVERED)
    async with stage.client(stage.alice) as alice:
        lost = await tell(alice, stage.bob, "to nobody", Delivery.SENT)
        with alice.events() as events:
            async with stage.client(stage.bob, device="second") as bob:
                with bob.events() as at_bob:
                    await until(at_bob, lambda event: isinstance(event, Noticed))
                while (after := await alice.look_up(stage.bob)).prekey_hash == before:  # noqa: ASYNC110 -- a chain sends no events
                    await trio.sleep(0.05)
                changed = await until(events, lambda event: isinstance(event, KeysChanged))
                await reaches(alice, events, lost, Delivery.DELIVERED)
                await hears(bob, stage.alice, ["to nobody"])

    assert isinstance(changed, KeysChanged)
    assert before != after.prekey_hash != commitment(b"")


async def money_moves_and_both_balances_are_proved(stage: Stage) -> None:
    async with pair(stage) as (alice, bob):
        before = (await bob.balance()).account.balance
        paid = await alice.pay(stage.bob, FIVE)
        mine, theirs = await alice.balance(), await bob.balance()

    assert theirs.account.balance == before + FIVE
    assert mine.account.balance < before
    assert mine.block.height > paid.included.height
    assert 3 * mine.block.signed_power > 2 * mine.block.total_power


async def a_payment_beyond_ones_means_is_refused_with_its_reason(stage: Stage) -> None:
    async with pair(stage) as (alice, _bob):
        before = (await alice.balance()).account
        with pytest.raises(Refused, match="InsufficientFunds"):
            await alice.pay(stage.bob, Amount(10**18))
        after = (await alice.balance()).account

    assert after.balance > before.balance - FIVE


async def a_handle_is_taken_once(stage: Stage) -> None:
    async with pair(stage) as (alice, _bob):
        again = await alice.register(stage.alice)
        with pytest.raises(AlreadyKnownAs):
            await alice.register("somebody_else")
        async with stage.client(stage.carol) as carol:
            with pytest.raises(Refused, match="HandleTaken"):
                await carol.register(stage.alice)

    assert again.handle == stage.alice


async def what_cannot_be_written_is_refused_and_nothing_is_kept(stage: Stage) -> None:
    async with pair(stage) as (alice, _bob):
        with pytest.raises(UnknownHandle):
            await alice.send("nobody_at_all", "hello")
        with pytest.raises(UnknownHandle):
            await alice.send("no handle!", "hello")
        for text in ("", "x" * 16_385, "\ud800"):
            with pytest.raises(CannotWrite):
                await alice.send(stage.bob, text)
        with pytest.raises(CannotWrite):
            await alice.send(stage.alice, "note to self")
        assert await alice.contacts() == ()


async def losing_and_finding_a_relay_is_told(stage: Stage) -> None:
    async with stage.client(stage.alice) as alice:
        with alice.events() as events:
            await stage.stop_relay()
            await until(events, lambda event: _is_relay(event, is_up=False))
            await stage.start_relay()
            await until(events, lambda event: _is_relay(event, is_up=True))


def _is_relay(event: Event, *, is_up: bool) -> bool:
    return isinstance(event, RelayChanged) and event.is_up is is_up


TALKS: tuple[Talk, ...] = (
    a_message_waits_for_its_recipient_and_is_answered,
    a_stranger_is_marked_until_answered,
    many_messages_arrive_once_and_in_order,
    messages_of_every_size_arrive,
    a_relay_that_comes_back_loses_and_repeats_nothing,
    a_relay_killed_after_its_receipt_still_delivers,
    a_queued_message_survives_a_restart,
    a_new_device_is_noticed_and_reads_what_its_old_one_never_got,
    money_moves_and_both_balances_are_proved,
    a_payment_beyond_ones_means_is_refused_with_its_reason,
    a_handle_is_taken_once,
    what_cannot_be_written_is_refused_and_nothing_is_kept,
    losing_and_finding_a_relay_is_told,
)
"""Every talk, for both suites."""
