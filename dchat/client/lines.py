"""Line mode: a conversation in a terminal or through pipes, one line at a time.

What is typed is parsed in core.wording; what happens meanwhile is shown above the line being
typed. Commands run one after the other, so a script's second line sees what its first one did.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Protocol

import trio

from dchat.client.core import wording
from dchat.client.core.contact import Contact
from dchat.client.core.conversation import Delivery
from dchat.client.core.wording import (
    Command,
    Explain,
    Open,
    Pay,
    Quit,
    Register,
    Say,
    ShowBalance,
    ShowContacts,
    ShowHistory,
    state_in_words,
    visible,
)
from dchat.client.engine import Client
from dchat.client.events import (
    Delayed,
    Event,
    KeysChanged,
    Missed,
    Noticed,
    Progressed,
    Received,
    RelayChanged,
    Subscription,
    Unread,
)
from dchat.client.store import Letter
from dchat.kernel.accounts import show_account
from dchat.kernel.amounts import show_amount
from dchat.kernel.errors import OperatorError, ProtocolError
from dchat.kernel.ids import EpochMs
from dchat.node.rpc import ChainUnavailable

GOODBYE_S: Final = 10.0
"""How long leaving waits for queued messages to reach a relay."""


class Screen(Protocol):
    """Where lines are shown."""

    def show(self, line: str) -> None:
        """Show a line, above the one being typed."""
        ...

    def ask(self, prompt: str) -> None:
        """Show from now on what the next line will be about."""
        ...


class LineMode:
    """One person's session with one client."""

    def __init__(self, client: Client, screen: Screen) -> None:
        self._client = client
        self._screen = screen
        self._open = ""
        self._numbers: dict[bytes, int] = {}
        self._waiting: set[bytes] = set()
        self._delays: dict[bytes, str] = {}
        self._relays_up: dict[str, bool] = {}
        self._settled = trio.Event()

    async def run(self, lines: AsyncGenerator[str]) -> None:
        """Do what the lines say until they end or one says /quit; the lines are then closed."""
        with self._client.events() as events:
            async with aclosing(lines), trio.open_nursery() as nursery:
                nursery.start_soon(self._follow, events)
                self._screen.ask("> ")
                async for line in lines:
                    command = wording.parse(line)
                    if isinstance(command, Quit):
                        break
                    await self._do_or_explain(command)
                await self._let_queued_go()
                nursery.cancel_scope.cancel()

    async def register(self, handle: str) -> None:
        """Take a handle and show the proof that it is ours. Raises: as Client.register()."""
        self._screen.show(f"registering {visible(handle)} …")
        contact = await self._client.register(handle)
        height = contact.verified_height
        self._screen.show(f"you are {contact.handle}, proved by the state after block {height}")

    async def _do_or_explain(self, command: Command) -> None:
        try:
            await self._do(command)
        except (OperatorError, ProtocolError) as fault:
            self._screen.show(f"error: {visible(str(fault))}")
            hint = fault.hint if isinstance(fault, OperatorError) else ""
            if hint:
                self._screen.show(f"hint: {visible(hint)}")

    async def _do(self, command: Command) -> None:
        match command:
            case Say(text):
                await self._say(text)
            case Open(handle, text):
                await self._open_conversation(handle, text)
            case Pay():
                await self._pay(command)
            case Register(handle):
                await self.register(handle)
            case ShowHistory(handle):
                await self._show_history(handle or self._open)
            case Explain(text):
                self._explain(text)
            case _:
                await self._show(command)

    async def _show(self, command: Command) -> None:
        match command:
            case ShowContacts():
                await self._show_contacts()
            case ShowBalance():
                await self._show_balance()
            case _:
                pass

    def _explain(self, text: str) -> None:
        for line in text.splitlines():
            self._screen.show(line)

    async def _say(self, text: str) -> None:
        if not self._open:
            self._screen.show("no conversation is open; /msg HANDLE opens one")
            return
        message_id = await self._client.send(self._open, text)
        self._numbers[message_id] = len(self._numbers) + 1
        await self._show_state(message_id)

    async def _open_conversation(self, handle: str, text: str) -> None:
        contact, proof = await self._look_up(handle)
        self._open = contact.handle
        self._screen.show(f"{contact.handle} is {show_account(contact.id)}, {proof}")
        self._screen.ask(f"{contact.handle}> ")
        if text:
            await self._say(text)

    async def _look_up(self, handle: str) -> tuple[Contact, str]:
        """Return whom the handle names and what proves it: what did so before, without a chain."""
        try:
            contact, block = await self._client.look_up_with_proof(handle)
        except ChainUnavailable as fault:
            for known in await self._client.contacts():
                if known.handle == handle:
                    height = known.verified_height
                    return known, f"proved by the state after block {height}, not anew: {fault}"
            raise
        return contact, (
            f"proved by block {block.height} ({block.signed_power} of {block.total_power} power)"
        )

    async def _pay(self, order: Pay) -> None:
        self._screen.show(f"paying {show_amount(order.amount)} DCHAT to {visible(order.handle)} …")
        paid = await self._client.pay(order.handle, order.amount)
        self._screen.show(
            f"paid {show_amount(paid.amount)} DCHAT to {paid.to.handle}"
            f" in block {paid.included.height}"
        )
        await self._show_balance()

    async def _show_balance(self) -> None:
        holding = await self._client.balance()
        block = holding.block
        self._screen.show(
            f"you hold {show_amount(holding.account.balance)} DCHAT, proved by block"
            f" {block.height} ({block.signed_power} of {block.total_power} power)"
        )

    async def _show_contacts(self) -> None:
        contacts = await self._client.contacts()
        for contact in contacts:
            kind = "" if contact.accepted else "  (wrote to you first)"
            self._screen.show(f"{contact.handle:<32} {show_account(contact.id)}{kind}")
        if not contacts:
            self._screen.show("nobody yet; /msg HANDLE writes to somebody")

    async def _show_history(self, handle: str) -> None:
        if not handle:
            self._screen.show("no conversation is open; /history HANDLE shows one")
            return
        for letter in await self._client.history(handle):
            self._screen.show(_in_history(handle, letter))

    async def _show_state(self, message_id: bytes) -> None:
        letter = await self._client.letter(message_id)
        if letter is not None:
            self._progress(message_id, letter.state, state_in_words(letter.state, letter.fault))

    async def _follow(self, events: Subscription) -> None:
        async for event in events:
            line = self._line_for(event)
            if line:
                self._screen.show(line)

    def _line_for(self, event: Event) -> str:
        match event:
            case Received():
                return _arrival(event)
            case Progressed(message_id, _, state, fault):
                self._progress(message_id, state, state_in_words(state, fault))
                return ""
            case Delayed(message_id, _, why):
                return self._delay(message_id, why)
            case RelayChanged():
                return self._relay(event)
            case _:
                return _notice(event)

    def _progress(self, message_id: bytes, state: Delivery, words: str) -> None:
        number = self._numbers.get(message_id)
        if number is None:
            return
        if state is Delivery.QUEUED:
            self._waiting.add(message_id)
        else:
            self._waiting.discard(message_id)
            self._settled.set()
        self._screen.show(f"  #{number} {words}")

    def _delay(self, message_id: bytes, why: str) -> str:
        number = self._numbers.get(message_id)
        if number is None or self._delays.get(message_id) == why:
            return ""
        self._delays[message_id] = why
        return f"  #{number} waits, {visible(why)}"

    def _relay(self, event: RelayChanged) -> str:
        if self._relays_up.get(event.address) is event.is_up:
            return ""
        self._relays_up[event.address] = event.is_up
        if event.is_up:
            return f"connected with relay {event.address}"
        return f"no connection with relay {event.address}: {visible(event.why)}; trying again"

    async def _let_queued_go(self) -> None:
        """Give messages a moment to reach a relay; what does not is sent at the next start."""
        with trio.move_on_after(GOODBYE_S):
            while self._waiting:
                self._settled = trio.Event()
                await self._settled.wait()
        if self._waiting:
            self._screen.show(f"{len(self._waiting)} messages are kept and sent at the next start")


def _arrival(event: Received) -> str:
    handle, text = event.contact.handle, visible(event.letter.body)
    if event.is_request:
        return f"{handle} (a stranger; /msg {handle} answers): {text}"
    return f"{handle}: {text}"


def _notice(event: Event) -> str:
    match event:
        case Unread():
            return "a message arrived that cannot be read; its writer is told if known"
        case KeysChanged(contact, how):
            name = f"{contact.handle} has new keys" + (f" ({visible(how)})" if how else "")
            return f"{name}: ask them, by another way, whether they know"
        case Noticed(what):
            return visible(what)
        case Missed(count):
            return f"{count} events were lost on the way to the screen; /history has everything"
        case _:
            return ""


def _in_history(handle: str, letter: Letter) -> str:
    who = "you" if letter.outgoing else handle
    state = f"  ({state_in_words(letter.state, letter.fault)})" if letter.outgoing else ""
    return f"{_shown_time(letter.sent_at_ms)} {who}: {visible(letter.body)}{state}"


def _shown_time(at_ms: EpochMs) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at_ms // 1000))
