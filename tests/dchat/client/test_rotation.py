"""A rotated account in a town: both chains' rules, a relay, and a friend who is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from abci_chat.txs import rotate_key as chat
from abci_currency.txs import rotate_key as currency
from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.client.core.conversation import Delivery
from dchat.client.events import KeysChanged
from dchat.client.ledger import Ledger
from dchat.client.rotation import OtherKey, Rotated, rotate
from dchat.kernel import accounts, signing
from dchat.kernel.errors import SenderKeyMismatch
from dchat.kernel.ids import Amount
from dchat.node.chain import Refused
from dchat.node.identity import Identity
from tests.fakes.peers import in_trio
from tests.fakes.people import identity_of
from tests.fakes.talks import hears, tell, until
from tests.fakes.town import Town, TownStage, in_town, town

ALICE, BOB = identity_of("alice"), identity_of("bob")


def renewed(old: Identity, fill: bytes) -> Identity:
    fresh = fill * 32
    return Identity(old.kind, signing.public_key(fresh), old.seed, old.key_version + 1, fresh)


NEXT = renewed(ALICE, b"1")
LATER = renewed(NEXT, b"2")


async def on_currency(where: Town, old: Identity, new: Identity) -> Rotated:
    return await rotate(where.opened(where.currency), currency.FAMILY, old, new)


async def on_chat(where: Town, old: Identity, new: Identity) -> Rotated:
    return await rotate(where.opened(where.chat), chat.FAMILY, old, new)


def test_a_rotation_is_proved_and_done_once(tmp_path: Path) -> None:
    @in_trio
    async def main() -> None:
        async with town(tmp_path, [ALICE, BOB]) as where:
            first = await on_currency(where, ALICE, NEXT)
            again = await on_currency(where, ALICE, NEXT)

        assert first.height is not None
        assert again == Rotated(1, None)

    main()


def test_the_new_file_pays_and_the_old_one_does_not(tmp_path: Path) -> None:
    @in_trio
    async def main() -> None:
        async with town(tmp_path, [ALICE, BOB]) as where:
            await on_currency(where, ALICE, NEXT)
            opened = where.opened(where.currency)
            five = Transfer(BOB.account_id, Amount(5))

            await Ledger(opened, NEXT).submit(transfer.FAMILY, five)
            with pytest.raises(Refused) as refused:
                await Ledger(opened, ALICE).submit(transfer.FAMILY, five)

            held = await Ledger(opened, NEXT).holding(ALICE.account_id)
        assert refused.value.code == SenderKeyMismatch.code
        assert (held.account.nonce, held.account.key_version) == (2, 1)

    main()


def test_keys_that_neither_file_has_are_told(tmp_path: Path) -> None:
    @in_trio
    async def main() -> None:
        async with town(tmp_path, [ALICE, BOB]) as where:
            await on_currency(where, ALICE, NEXT)

            with pytest.raises(OtherKey, match="key 1 of the account"):
                await on_currency(where, ALICE, renewed(ALICE, b"3"))

    main()


def test_a_chain_that_missed_a_rotation_is_given_the_latest_key(tmp_path: Path) -> None:
    @in_trio
    async def main() -> None:
        async with town(tmp_path, [ALICE, BOB]) as where:
            await on_currency(where, ALICE, NEXT)

            here, there = await on_currency(where, NEXT, LATER), await on_chat(where, NEXT, LATER)

            held = accounts.load(where.chat.states[where.chat.height], ALICE.account_id)
        assert (here.key_version, there.key_version) == (2, 1)
        assert held.public_key == LATER.public_key

    main()


def test_friends_go_on_talking(tmp_path: Path) -> None:
    """Same data directory, same inbox; the bundle is signed anew and published."""

    async def scene(stage: TownStage) -> None:
        async with stage.client("bob") as bob:
            await bob.register("bob")
            async with stage.client("alice") as alice:
                await alice.register("alice")
                await tell(alice, "bob", "hello", Delivery.DELIVERED)
            await on_chat(stage.town, ALICE, NEXT)
            async with stage.town.client(NEXT, "alice-first") as alice:
                await tell(alice, "bob", "it is still me", Delivery.DELIVERED)
                await hears(bob, "alice", ["hello", "it is still me"])
                await tell(bob, "alice", "so I see", Delivery.DELIVERED)
                await hears(alice, "bob", ["so I see"])
            contact = await bob.look_up("alice")
        assert (contact.id, contact.identity_key) == (ALICE.account_id, NEXT.public_key)

    in_town(scene, tmp_path)


def test_the_friend_hears_of_the_changed_key(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with stage.client("bob") as bob, stage.client("alice") as alice:
            await alice.register("alice")
            await bob.look_up("alice")
            with bob.events() as told:
                await on_chat(stage.town, ALICE, NEXT)
                await bob.look_up("alice")

                event = await until(told, lambda each: isinstance(each, KeysChanged))

        assert isinstance(event, KeysChanged)
        assert event.contact.identity_key == NEXT.public_key
        assert re.fullmatch(r"the key before signed it over in block \d+", event.how)

    in_town(scene, tmp_path)
