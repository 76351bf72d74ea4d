"""A scripted conversation on a running devnet, every step of it checked.

Nothing here knows more than any other user of `dchat.client`; only the relay's own count of what
it holds is asked from outside, to see that a message waits on its disk.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final

import trio

from dchat.client.core.conversation import Delivery
from dchat.client.engine import Client, open_client
from dchat.client.events import Event, Progressed, Received, RelayChanged, Subscription
from dchat.client.ledger import Holding
from dchat.kernel.amounts import parse_amount, show_amount
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import Amount
from dchat.node import identity, network
from dchat.operator.layout import Estate
from dchat.operator.tour import condition

STEP_DEADLINE_S: Final = 30.0
POLL_S: Final = 0.1
PRICE: Final = parse_amount("5")
QUESTION: Final = "Are you there? I owe you five."
ANSWER: Final = "I am now. Thank you!"

Say = Callable[[str], None]


class StepFailed(OperatorError):
    """A step of the demonstration did not do what it must."""

    hint = "run it again with --dir to keep everything, and look into that directory's logs"


@dataclass(slots=True)
class Script:
    """Numbers and times the steps; each is said once it held."""

    say: Say
    started: float = field(default_factory=trio.current_time)
    steps: int = 0

    @contextmanager
    def step(self, what: str) -> Generator[list[str]]:
        """Run one step within its deadline. Lines put into the list are shown under it.

        Raises: StepFailed.
        """
        self.steps += 1
        shown: list[str] = []
        began = trio.current_time()
        try:
            with trio.fail_after(STEP_DEADLINE_S):
                yield shown
        except trio.TooSlowError:
            raise StepFailed(
                f"step {self.steps}, {what}: not done in {STEP_DEADLINE_S:.0f} s"
            ) from None
        self.say(f"✓ {self.steps:2}. {what} ({trio.current_time() - began:.1f} s)")
        for line in shown:
            self.say(f"       {line}")


async def play(found: Estate, say: Say) -> None:
    """Play the whole conversation. Raises: StepFailed, OperatorError."""
    script = Script(say)
    async with _user(found, "alice") as alice:
        await _register(script, found, alice)
        await _look_up(script, alice)
        before = await _balances(script, alice)
        with alice.events() as heard:
            sent = await _write_to_the_absent(script, found, alice, heard)
            async with _user(found, "bob") as bob:
                await _receive(script, bob)
                await _confirm(script, heard, sent)
                await _answer(script, bob, heard)
                await _pay(script, alice, bob, before)
    total = trio.current_time() - script.started
    say(f"all {script.steps} steps held, in {total:.1f} s")


async def _register(script: Script, found: Estate, alice: Client) -> None:
    with script.step("alice registers her handle on the chat chain"):
        entry = await alice.register("alice")
        _check(entry.id == alice.me, "the handle is not alice's account")
    async with _user(found, "bob") as bob:
        with (
            bob.events() as heard,
            script.step("bob registers his, leaves his keys and goes offline"),
        ):
            await _until(heard, lambda event: isinstance(event, RelayChanged) and event.is_up)
            entry = await bob.register("bob")
            _check(entry.id == bob.me, "the handle is not bob's account")


async def _look_up(script: Script, alice: Client) -> None:
    with script.step("alice looks bob's keys up, with a proof") as shown:
        bob, block = await alice.look_up_with_proof("bob")
        _check(3 * block.signed_power > 2 * block.total_power, "less than two thirds signed")
        shown.append(
            f"key {bob.identity_key.hex()[:16]}… under app hash {block.app_hash.hex()[:16]}…"
        )
        shown.append(
            f"in header {block.height}, signed by {block.signed_power} of {block.total_power}"
        )


async def _balances(script: Script, alice: Client) -> Amount:
    with script.step("alice reads her balance, with a proof") as shown:
        holding = await alice.balance()
        shown.append(_shown("alice", holding))
    return holding.account.balance


async def _write_to_the_absent(
    script: Script, found: Estate, alice: Client, heard: Subscription
) -> bytes:
    with script.step("alice writes to bob, who is offline; the relay signs for it"):
        sent = await alice.send("bob", QUESTION)
        await _until(heard, lambda event: _is_now(event, sent, Delivery.SENT))
    with script.step("the relay keeps the message on disk") as shown:
        held = await _held_by_relay(found)
        shown.append(f"{held} waiting, unreadable to the relay")
    return sent


async def _receive(script: Script, bob: Client) -> None:
    with bob.events() as heard, script.step("bob starts, fetches, decrypts and acknowledges"):
        history = await _history(bob, "alice")
        while QUESTION not in history[-1:]:
            await _next_or_pause(heard)
            history = await _history(bob, "alice")


async def _confirm(script: Script, heard: Subscription, sent: bytes) -> None:
    with script.step('alice sees "delivered"'):
        await _until(heard, lambda event: _is_now(event, sent, Delivery.DELIVERED))


async def _answer(script: Script, bob: Client, heard: Subscription) -> None:
    with script.step("bob answers, and alice reads it"):
        await bob.send("alice", ANSWER)
        await _until(
            heard, lambda event: isinstance(event, Received) and event.letter.body == ANSWER
        )


async def _pay(script: Script, alice: Client, bob: Client, before: Amount) -> None:
    had = (await bob.balance()).account.balance
    with script.step(f"alice pays bob {show_amount(PRICE)} DCHAT") as shown:
        paid = await alice.pay("bob", PRICE)
        shown.append(f"transaction {paid.included.tx_hash.hex()[:16]}…")
    with script.step("both balances, with proofs") as shown:
        hers, his = await alice.balance(), await bob.balance()
        _check(his.account.balance == had + PRICE, "bob did not get exactly what was paid")
        _check(hers.account.balance < before - PRICE, "alice paid no fee")
        shown += [_shown("alice", hers), _shown("bob", his)]


@asynccontextmanager
async def _user(found: Estate, name: str) -> AsyncGenerator[Client]:
    passphrase = identity.read_passphrase(found.passphrase(name))
    owner = await trio.to_thread.run_sync(identity.load, found.identity(name), passphrase)
    known = network.load(found.network)
    async with open_client(owner, known, found.user_dir(name)) as client:
        yield client


async def _held_by_relay(found: Estate) -> int:
    """Return how many envelopes the relay holds, once it holds any."""
    while True:
        held = (await condition(found)).queued
        if held:
            return held
        await trio.sleep(POLL_S)


async def _history(client: Client, handle: str) -> list[str]:
    try:
        return [letter.body for letter in await client.history(handle) if not letter.outgoing]
    except OperatorError:
        return []


async def _until(heard: Subscription, wanted: Callable[[Event], bool]) -> None:
    async for event in heard:
        if wanted(event):
            return


async def _next_or_pause(heard: Subscription) -> None:
    with trio.move_on_after(POLL_S):
        await heard.get()


def _is_now(event: Event, message_id: bytes, state: Delivery) -> bool:
    return isinstance(event, Progressed) and event.message_id == message_id and event.state == state


def _shown(who: str, holding: Holding) -> str:
    block = holding.block
    signed = f"{block.signed_power} of {block.total_power}"
    balance = show_amount(holding.account.balance)
    return f"{who} has {balance} DCHAT: header {block.height}, signed by {signed}"


def _check(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise StepFailed(otherwise)
