"""What arrives and cannot be read, and keys that run low; talks cover the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from dchat.client import mail
from dchat.client.core import mailboxes
from dchat.client.core.conversation import Delivery, Fault
from dchat.client.core.mailboxes import Mailbox
from dchat.client.events import Unread
from dchat.client.relay_session import open_session
from dchat.kernel import signing
from relay.core.envelope import Envelope
from relay.core.limits import Limits, Rate
from tests.fakes.people import identity_of
from tests.fakes.talks import hears, pair, tell, until
from tests.fakes.town import ADDRESS, TownStage, in_town

INBOX_SEED = identity_of("bob").child("inbox")


def box_of(stage: TownStage) -> Mailbox:
    return mailboxes.to_write(signing.public_key(INBOX_SEED), stage.town.clock.now())


async def throw_in(stage: TownStage, ciphertext: bytes) -> None:
    """Deposit bytes for Bob, as anybody can."""
    expires = stage.town.clock.now() + 3_600_000
    envelope = Envelope(box_of(stage).id, os.urandom(32), expires, 0, ciphertext)  # pyright: ignore[reportArgumentType] - a time is an int
    async with stage.town.connect(ADDRESS) as link, open_session(link) as session:
        await session.deposit(envelope)


def test_garbage_is_told_and_does_not_hold_up_what_follows(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, bob):
            with bob.events() as events:
                await throw_in(stage, os.urandom(2048))
                unread = await until(events, lambda event: isinstance(event, Unread))
            await tell(alice, "bob", "hello", Delivery.DELIVERED)
            await hears(bob, "alice", ["hello"])

        assert unread == Unread(None, Fault.MALFORMED)

    in_town(scene, tmp_path)


def test_garbage_is_taken_from_the_relay_once(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with stage.client("bob") as bob:
            with bob.events() as events:
                await throw_in(stage, os.urandom(2048))
                await until(events, lambda event: isinstance(event, Unread))
            await tell_relay_nothing_waits(stage)

    in_town(scene, tmp_path)


async def tell_relay_nothing_waits(stage: TownStage) -> None:
    async with stage.town.connect(ADDRESS) as link, open_session(link) as session:
        page = await session.pull(INBOX_SEED, box_of(stage).epoch)
    assert page.items == ()


def test_one_time_keys_are_published_and_topped_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: TownStage) -> None:
        async with stage.client("bob"):
            await keys_become(stage, 50)
        for _ in range(10):
            await take_key(stage)
        async with stage.client("bob"):
            await keys_become(stage, 90)

    monkeypatch.setattr(mail, "LOW_KEYS", 41)
    in_town(scene, tmp_path, Limits(puts=Rate(per_minute=10**6, burst=10**6)))


async def keys_become(stage: TownStage, count: int) -> None:
    async with stage.town.connect(ADDRESS) as link, open_session(link) as session:
        while await session.put_one_time_keys(INBOX_SEED, ()) != count:
            await trio.lowlevel.checkpoint()


async def take_key(stage: TownStage) -> None:
    async with stage.town.connect(ADDRESS) as link, open_session(link) as session:
        await session.take_one_time_key(signing.public_key(INBOX_SEED))


def test_an_account_that_is_not_registered_is_not_read(tmp_path: Path) -> None:
    """Carol writes with a proper device, but nothing on chain vouches for it."""

    async def scene(stage: TownStage) -> None:
        async with stage.client("bob") as bob, stage.client("carol") as carol:
            await bob.register("bob")
            with bob.events() as events:
                await tell(carol, "bob", "I am nobody", Delivery.SENT)
                unread = await until(events, lambda event: isinstance(event, Unread))
            contacts = await bob.contacts()

        assert isinstance(unread, Unread)
        assert (unread.fault, contacts) == (Fault.UNPROVED_SENDER, ())

    in_town(scene, tmp_path)


def test_a_stranger_is_read_once_the_chain_can_be_asked_again(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, bob):
            await alice.look_up("bob")
            stage.town.chat.is_up = False
            message_id = await alice.send("bob", "who am I?")
            stage.town.chat.is_up = True
            with alice.events() as events:
                await until(events, lambda _: True)
            await hears(bob, "alice", ["who am I?"])
            assert message_id

    in_town(scene, tmp_path)
