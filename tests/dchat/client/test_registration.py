from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from abci_chat import keys
from abci_chat.params import WORK
from abci_chat.state import handles, identities
from abci_chat.state.handles import HandleTaken
from abci_chat.txs.identity import RegisterIdentity
from dchat.client import registration
from dchat.client.directory import UnknownHandle
from dchat.client.engine import AlreadyKnownAs
from dchat.client.events import Noticed
from dchat.client.ledger import Ledger
from dchat.client.registration import BurnerPays, Registrar
from dchat.client.work import Terms
from dchat.kernel import accounts, codec, signing
from dchat.node.chain import Refused
from dchat.node.identity import Identity
from tests.fakes import toil
from tests.fakes.memory import MemoryState
from tests.fakes.peers import in_trio
from tests.fakes.people import identity_of
from tests.fakes.talks import until
from tests.fakes.town import FUNDS, RELAY, Town, TownStage, in_town, town

ALICE = identity_of("alice")
BURNER = replace(identity_of("ghost"), kind="burner")


def form(who: Identity) -> RegisterIdentity:
    return RegisterIdentity("", b"", signing.public_key(who.child("inbox")), (RELAY,), b"h" * 32)


def in_easy_town(scene: Callable[[Town], Awaitable[None]], home: Path, *people: Identity) -> None:
    """Play a scene where work is little."""

    @in_trio
    async def main() -> None:
        async with town(home, people) as where:
            where.chat.alter(lambda draft: WORK.save(draft, toil.EASY))
            await scene(where)

    main()


def registrar(where: Town, who: Identity) -> Registrar:
    return Registrar(Ledger(where.opened(where.chat), who), who)


def newest(where: Town) -> MemoryState:
    return where.chat.states[where.chat.height]


def test_a_handle_is_revealed_in_a_later_block_than_it_was_committed_to(tmp_path: Path) -> None:
    async def scene(where: Town) -> None:
        await registrar(where, ALICE).register(form(ALICE), "alice")

        last = where.chat.height
        with_promise = next(
            height
            for height in range(last)
            if where.chat.states[height].get(keys.handle_commitment(ALICE.account_id))
        )
        registered = identities.active(newest(where), ALICE.account_id)
        assert (registered.handle, registered.registered_at > with_promise) == ("alice", True)

    in_easy_town(scene, tmp_path, ALICE)


def test_who_is_no_burner_pays(tmp_path: Path) -> None:
    async def scene(where: Town) -> None:
        await registrar(where, ALICE).register(form(ALICE))

        assert accounts.load(newest(where), ALICE.account_id).balance < FUNDS

    in_easy_town(scene, tmp_path, ALICE)


@pytest.mark.parametrize("name", ["", "ghost"])
def test_a_burner_without_credits_registers_by_work(tmp_path: Path, name: str) -> None:
    async def scene(where: Town) -> None:
        await registrar(where, BURNER).register(form(BURNER), name)

        assert identities.active(newest(where), BURNER.account_id).handle == name

    in_easy_town(scene, tmp_path, ALICE)


def test_a_burner_spends_no_credits_even_if_it_has_some(tmp_path: Path) -> None:
    async def scene(where: Town) -> None:
        await registrar(where, BURNER).register(form(BURNER), "ghost")

        assert accounts.load(newest(where), BURNER.account_id).balance == FUNDS

    in_easy_town(scene, tmp_path, BURNER)


def test_a_burner_that_has_registered_takes_no_handle(tmp_path: Path) -> None:
    async def scene(where: Town) -> None:
        await registrar(where, BURNER).register(form(BURNER))
        with pytest.raises(BurnerPays):
            await registrar(where, BURNER).claim("ghost")

        assert accounts.load(newest(where), BURNER.account_id).balance == FUNDS

    in_easy_town(scene, tmp_path, BURNER)


def test_work_is_done_anew_where_it_was_too_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    known = registration.work.terms

    async def less_at_first(ledger: Ledger) -> Terms:
        told = await known(ledger)
        asked.append(told.need)
        return replace(told, anchor=b"old" if len(asked) == 1 else told.anchor)

    monkeypatch.setattr(registration.work, "terms", less_at_first)

    async def scene(where: Town) -> None:
        await registrar(where, BURNER).register(form(BURNER))

        assert identities.active(newest(where), BURNER.account_id)

    in_easy_town(scene, tmp_path, ALICE)
    assert len(asked) == 2


def test_a_handle_that_looks_like_anothers_is_refused(tmp_path: Path) -> None:
    async def scene(where: Town) -> None:
        await registrar(where, ALICE).register(form(ALICE), "alice")
        with pytest.raises(Refused) as refused:
            await registrar(where, BURNER).register(form(BURNER), "a1ice")

        assert refused.value.code == HandleTaken.code

    in_easy_town(scene, tmp_path, ALICE)


def own_marks(who: Identity) -> list[bytes]:
    """All by which an identity is known on chain or to relays."""
    return [
        who.account_id,
        who.public_key,
        signing.public_key(who.child("account")),
        signing.public_key(who.child("inbox")),
    ]


def test_nothing_on_chain_ties_a_burner_to_a_main_identity(tmp_path: Path) -> None:
    """By fields: none of the main one's marks. By graph: no account but the burner's is touched."""

    async def scene(where: Town) -> None:
        await registrar(where, ALICE).register(form(ALICE), "alice")
        before, paid = newest(where).entries, where.currency.height
        await registrar(where, BURNER).register(form(BURNER), "ghost")
        after = newest(where).entries

        written = {key: value for key, value in after.items() if before.get(key) != value}
        content = b"".join([key + value for key, value in written.items()])
        assert not [mark for mark in own_marks(ALICE) if mark in content]
        assert {key for key in written if key.startswith(accounts.SPACE)} == {
            accounts.key(BURNER.account_id)
        }
        assert {_module(key) for key in written} == {
            *("account", "identity", "key_log", "handle", "work"),
        }
        assert where.currency.height == paid

    in_easy_town(scene, tmp_path, ALICE)


def _module(key: bytes) -> object:
    return codec.unpack_array(key)[0]


def test_children_of_one_seed_give_a_burner_nothing() -> None:
    assert not frozenset(own_marks(ALICE)) & frozenset(own_marks(BURNER))


def test_who_has_no_handle_is_found_by_account(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with stage.client("alice") as alice, stage.client("bob") as bob:
            mine = await alice.register()
            shown = accounts.show_account(alice.me)

            found = await bob.look_up(shown)

        assert (found.id, found.handle, mine.handle) == (alice.me, shown, shown)

    in_town(scene, tmp_path)


def test_a_handle_can_be_claimed_later_and_then_stays(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with stage.client("alice") as alice:
            await alice.register()
            assert await alice.handle() is None

            claimed = await alice.register("alice")

            assert (claimed.handle, await alice.handle()) == ("alice", "alice")
            with pytest.raises(AlreadyKnownAs):
                await alice.register("alicia")

    in_town(scene, tmp_path)


def test_only_the_exact_name_finds_somebody(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with stage.client("alice") as alice, stage.client("bob") as bob:
            await alice.register("alice")
            with pytest.raises(UnknownHandle):
                await bob.look_up("a1ice")

        assert handles.skeleton("a1ice") == handles.skeleton("alice")

    in_town(scene, tmp_path)


def test_a_burner_whose_keys_are_others_now_says_so_and_pays_nothing(tmp_path: Path) -> None:
    async def scene(where: Town) -> None:
        await registrar(where, BURNER).register(form(BURNER))
        where.chat.make_block()
        async with where.client(BURNER) as client:
            with client.events() as told:
                event = await until(told, lambda each: isinstance(each, Noticed))

        assert isinstance(event, Noticed)
        assert "it spends no credits" in event.what
        assert accounts.load(newest(where), BURNER.account_id).balance == FUNDS

    in_easy_town(scene, tmp_path, BURNER)
