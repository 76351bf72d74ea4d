from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import trio

from dchat.client.core.contact import Contact
from dchat.client.core.conversation import Delivery, Fault
from dchat.client.events import (
    Delayed,
    Event,
    KeysChanged,
    Missed,
    Noticed,
    Received,
    RelayChanged,
    Unread,
)
from dchat.client.lines import LineMode
from dchat.client.store import Letter
from dchat.kernel.ids import AccountId, EpochMs, Height
from tests.fakes.talks import pair, tell
from tests.fakes.town import TownStage, in_town

BOB = Contact(AccountId(b"b" * 32), "bob", b"k" * 32, b"i" * 32, (), b"h" * 32, Height(7))


class Paper:
    """A screen that remembers what it showed, and wakes who waits for it."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.prompts: list[str] = []
        self._changed = trio.Event()

    def show(self, line: str) -> None:
        self.shown.append(line)
        self._changed.set()
        self._changed = trio.Event()

    def ask(self, prompt: str) -> None:
        self.prompts.append(prompt)

    async def has(self, text: str) -> None:
        """Return once a line with the text is shown."""
        while not any(text in line for line in self.shown):
            await self._changed.wait()


class Keyboard:
    """Types a line, and the next one when the paper shows what the test waits for."""

    def __init__(self, paper: Paper, *steps: tuple[str, str]) -> None:
        self._paper = paper
        self._steps = steps

    async def lines(self) -> AsyncGenerator[str]:
        for line, until in self._steps:
            yield line
            await self._paper.has(until)


def typed(tmp_path: Path, *steps: tuple[str, str]) -> list[str]:
    """Return what Alice sees who types this, with Bob at the other end."""
    paper = Paper()

    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, _bob):
            await LineMode(alice, paper).run(Keyboard(paper, *steps).lines())

    in_town(scene, tmp_path)
    return paper.shown


def typed_without_chain(tmp_path: Path, *steps: tuple[str, str]) -> list[str]:
    """Return what Alice, who has written to Bob, sees who types this without the chat chain."""
    paper = Paper()

    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, _bob):
            await tell(alice, "bob", "before", Delivery.DELIVERED)
            stage.town.chat.is_up = False
            await LineMode(alice, paper).run(Keyboard(paper, *steps).lines())

    in_town(scene, tmp_path)
    return paper.shown


def test_without_a_chain_known_people_can_be_written_to_and_read(tmp_path: Path) -> None:
    shown = typed_without_chain(
        tmp_path, ("/msg bob", "bob is dchat1"), ("hello", "#1 delivered"), ("/history", "you: ")
    )

    opened = next(line for line in shown if line.startswith("bob is "))
    assert "proved by the state after block" in opened
    assert opened.endswith("not anew: the test has taken the node down")
    assert [line.split("you: ")[1].split("  ")[0] for line in shown if "you: " in line] == [
        "before",
        "hello",
    ]


def test_without_a_chain_nobody_new_can_be_found(tmp_path: Path) -> None:
    shown = typed_without_chain(tmp_path, ("/msg carol", "hint:"))

    assert "error: the test has taken the node down" in shown


def after(event: Event, tmp_path: Path, *more: Event) -> list[str]:
    """Return what is shown for events."""
    paper = Paper()

    async def scene(stage: TownStage) -> None:
        async with stage.client("alice") as alice:
            mode = LineMode(alice, paper)
            async with trio.open_nursery() as nursery:
                silence = Silence()
                nursery.start_soon(mode.run, silence.lines())
                await silence.begun.wait()
                for one in (event, *more, Noticed("the end")):
                    alice._office.hub.tell(one)
                await paper.has("the end")
                nursery.cancel_scope.cancel()

    in_town(scene, tmp_path)
    return [line for line in paper.shown if "relay /ip4" not in line and line != "the end"]


class Silence:
    """A keyboard that nobody types on."""

    def __init__(self) -> None:
        self.begun = trio.Event()

    async def lines(self) -> AsyncGenerator[str]:
        self.begun.set()
        await trio.sleep_forever()
        yield ""


def letter(body: str) -> Letter:
    return Letter(b"i" * 32, BOB.id, False, body, EpochMs(0))


def test_a_conversation_shows_its_proof_and_how_far_each_message_is(tmp_path: Path) -> None:
    shown = typed(tmp_path, ("/msg bob", "bob is dchat1"), ("hello", "#1 delivered"))

    assert any("(10 of 10 power)" in line for line in shown)
    assert [line.strip() for line in shown if "#1" in line] == [
        "#1 queued",
        "#1 sent",
        "#1 delivered",
    ]


def test_a_message_may_stand_behind_its_handle(tmp_path: Path) -> None:
    assert "  #1 delivered" in typed(tmp_path, ("/msg bob hello there", "#1 delivered"))


def test_text_without_a_conversation_is_explained(tmp_path: Path) -> None:
    shown = typed(tmp_path, ("hello", "no conversation is open"), ("/history", "no conversation"))

    assert "no conversation is open; /msg HANDLE opens one" in shown


def test_paying_shows_the_block_and_what_is_left(tmp_path: Path) -> None:
    shown = typed(tmp_path, ("/pay bob 5", "you hold"))

    assert any(line.startswith("paid 5 DCHAT to bob in block ") for line in shown)
    assert any(line.startswith("you hold 94.9999") for line in shown)


def test_faults_are_told_with_a_hint_and_the_session_goes_on(tmp_path: Path) -> None:
    shown = typed(
        tmp_path,
        ("/msg nobody_here", "hint:"),
        ("/pay bob 1000000", "InsufficientFunds"),
        ("/register another", "already"),
        ("/balance", "you hold"),
    )

    assert "error: nobody is registered as 'nobody_here'" in shown


def test_contacts_and_history_show_what_is_known(tmp_path: Path) -> None:
    shown = typed(
        tmp_path,
        ("/contacts", "nobody yet"),
        ("/msg bob two\x1blines", "#1 delivered"),
        ("/history", "you: two\\x1blines  (delivered)"),
        ("/history bob", "you: two\\x1blines  (delivered)"),
        ("/contacts", "bob      "),
        ("/help", "/quit"),
    )

    assert len([line for line in shown if "you: two" in line]) == 2


def test_registering_again_is_harmless(tmp_path: Path) -> None:
    assert "you are alice, proved" in "\n".join(typed(tmp_path, ("/register alice", "you are")))


def test_quitting_ends_the_session_before_the_next_line(tmp_path: Path) -> None:
    shown = typed(tmp_path, ("/quit", "never"), ("/balance", "never"))

    assert not any("you hold" in line for line in shown)


def test_leaving_waits_until_messages_are_with_a_relay(tmp_path: Path) -> None:
    shown = typed(tmp_path, ("/msg bob wait for me", "#1"), ("/quit", "never"))

    assert "  #1 sent" in shown


def test_a_strangers_message_is_marked(tmp_path: Path) -> None:
    shown = after(Received(letter("psst"), BOB, is_request=True), tmp_path)

    assert shown == ["bob (a stranger; /msg bob answers): psst"]


def test_a_message_cannot_steer_the_terminal_or_pass_for_another(tmp_path: Path) -> None:
    shown = after(Received(letter("\x1b[2J\ncarol: hi"), BOB, is_request=False), tmp_path)

    assert shown == ["bob: \\x1b[2J\n    carol: hi"]


def test_a_relay_is_told_once_when_it_is_lost_and_once_when_it_is_back(tmp_path: Path) -> None:
    down = RelayChanged("relay-1", is_up=False, why="gone")
    up = RelayChanged("relay-1", is_up=True)

    shown = after(down, tmp_path, down, up, up)

    assert shown == [
        "no connection with relay relay-1: gone; trying again",
        "connected with relay relay-1",
    ]


def test_other_events_are_said_in_words(tmp_path: Path) -> None:
    shown = after(Unread(None, Fault.MALFORMED), tmp_path, KeysChanged(BOB), Missed(3))

    assert [line.split()[0] for line in shown] == ["a", "bob", "3"]


def test_a_changed_key_is_told_with_what_the_log_says(tmp_path: Path) -> None:
    shown = after(KeysChanged(BOB, "guardians gave it"), tmp_path)

    told = "bob has new keys (guardians gave it): ask them, by another way, whether they know"
    assert shown == [told]


def test_a_delay_of_a_message_not_written_here_is_not_shown(tmp_path: Path) -> None:
    assert after(Delayed(b"x" * 32, BOB.id, "slow"), tmp_path) == []


def test_why_a_message_waits_is_said_once(tmp_path: Path) -> None:
    paper = Paper()

    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, _bob):
            await alice.look_up("bob")
            mode = LineMode(alice, paper)
            async with trio.open_nursery() as nursery:
                keyboard = Keyboard(paper, ("/msg bob", "bob is"), ("hello", "never"))
                await stage.stop_relay()
                nursery.start_soon(mode.run, keyboard.lines())
                await paper.has("#1 waits")
                await stage.start_relay()
                await paper.has("#1 delivered")
                nursery.cancel_scope.cancel()

    in_town(scene, tmp_path)
    waits = [line for line in paper.shown if "#1 waits" in line]

    assert len(waits) == len(set(waits))
