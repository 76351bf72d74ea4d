from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dchat.client.core.conversation import Delivery
from dchat.client.directory import FRESH_MS, Directory, Strangers, UnknownHandle, addresses
from dchat.client.events import Delayed, Hub
from dchat.client.ledger import Ledger
from dchat.client.office import Office
from dchat.client.relay_session import open_session
from dchat.client.relays import Relays
from dchat.kernel.ids import AccountId, EpochMs, Height
from dchat.node.clock import SystemClock
from dchat.node.rpc import NodeUnreachable
from tests.fakes.people import Person, identity_of
from tests.fakes.talks import pair, tell, until
from tests.fakes.town import ADDRESS, TownStage, in_town

CAROL = AccountId(b"c" * 32)
NOW = EpochMs(1_000_000)


@pytest.fixture
def directory(alice: Person) -> Directory:
    """A directory whose chain and relays are not asked."""
    office = Office(alice.identity, alice.store, SystemClock(), Hub())
    nowhere: Ledger = None  # pyright: ignore[reportAssignmentType] - merge() asks no chain
    no_relays: Relays = None  # pyright: ignore[reportAssignmentType] - nor any relay
    return Directory(office, nowhere, no_relays)


def test_an_older_record_does_not_replace_a_newer_one(directory: Directory, bob: Person) -> None:
    newer = replace(bob.contact, verified_height=Height(9), handle="bob_9")
    directory.merge(newer)

    assert directory.merge(bob.contact) == (newer, False)


def test_keys_and_acceptance_outlive_a_look_up_that_brings_none(
    directory: Directory, bob: Person
) -> None:
    directory.merge(replace(bob.contact, accepted=True))

    merged, is_other = directory.merge(replace(bob.contact, bundle=b""))

    assert (merged.bundle, merged.accepted, is_other) == (bob.contact.bundle, True, False)


def test_keys_do_not_outlive_a_new_commitment(
    directory: Directory, alice: Person, bob: Person
) -> None:
    directory.merge(bob.contact)
    alice.store.save_session(bob.id, "1", "frozen")

    merged, is_other = directory.merge(replace(bob.contact, prekey_hash=b"n" * 32, bundle=b""))

    assert (merged.bundle, is_other, alice.store.sessions(bob.id)) == (b"", True, ())


def test_a_new_account_key_is_another_key(directory: Directory, bob: Person) -> None:
    directory.merge(bob.contact)

    rotated = replace(bob.contact, identity_key=b"n" * 32, bundle=b"")
    merged, is_other = directory.merge(rotated)

    assert (merged.bundle, is_other) == (b"", True)


def test_addresses_that_cannot_be_used_are_passed_over() -> None:
    written = ("nonsense", "/ip4/127.0.0.1/tcp/7070", str(ADDRESS), "/dns/x/udp/1")

    assert addresses(written) == [ADDRESS]


def test_a_stranger_put_off_is_due_later_and_later() -> None:
    strangers = Strangers()
    strangers.put_off(CAROL, NOW)
    strangers.put_off(CAROL, NOW)

    due = [bool(strangers.due([CAROL], EpochMs(NOW + ms))) for ms in (0, 999, 1_000)]

    assert due == [False, False, True]


def test_a_stranger_no_longer_waiting_is_forgotten() -> None:
    strangers = Strangers()
    strangers.put_off(CAROL, NOW)

    strangers.due([], NOW)

    assert strangers.due([CAROL], NOW) == [CAROL]


def test_known_people_are_written_to_while_the_chain_is_down(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, _bob):
            await tell(alice, "bob", "hello", Delivery.DELIVERED)
            stage.town.clock.ahead_ms += FRESH_MS
            stage.town.chat.is_up = False

            await tell(alice, "bob", "still there?", Delivery.DELIVERED)
            with pytest.raises(NodeUnreachable):
                await alice.send("carol", "and you?")

    in_town(scene, tmp_path)


def test_people_are_looked_up_again_after_an_hour(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, _bob):
            await tell(alice, "bob", "hello", Delivery.DELIVERED)
            (before,) = await alice.contacts()
            stage.town.chat.make_block()
            stage.town.clock.ahead_ms += FRESH_MS

            await tell(alice, "bob", "again", Delivery.DELIVERED)
            (after,) = await alice.contacts()

        assert after.verified_height > before.verified_height

    in_town(scene, tmp_path)


def test_keys_that_the_relay_altered_are_never_used(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with stage.client("bob") as bob:
            await bob.register("bob")
        await serve_bundle(stage, b"other keys")
        async with stage.client("alice") as alice:
            with alice.events() as events:
                await alice.send("bob", "to whom?")
                delayed = await until(events, lambda event: isinstance(event, Delayed))
            (contact,) = await alice.contacts()

        assert isinstance(delayed, Delayed)
        assert "not the one committed to" in delayed.why
        assert contact.bundle == b""

    in_town(scene, tmp_path)


async def serve_bundle(stage: TownStage, bundle: bytes) -> None:
    """Have the relay serve something else as Bob's bundle, as whoever runs it can."""
    inbox_seed = identity_of("bob").child("inbox")
    async with stage.town.connect(ADDRESS) as link, open_session(link) as session:
        await session.put_prekeys(inbox_seed, bundle)


def test_nobody_is_found_under_a_handle_that_is_free_or_malformed(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with stage.client("alice") as alice:
            for handle in ("free", "Not A Handle", ""):
                with pytest.raises(UnknownHandle):
                    await alice.look_up(handle)

    in_town(scene, tmp_path)
