"""The outbox against relays that refuse; talks cover relays that do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dchat.client import engine
from dchat.client.core.content import LIFE_MS
from dchat.client.core.conversation import Delivery, Fault
from dchat.client.engine import Client
from dchat.client.events import Delayed, Progressed
from dchat.client.relay_session import RelayRefused, RelaySession
from relay.core.envelope import Envelope, Receipt
from relay.core.limits import Limits
from relay.core.messages import Refused
from relay.core.refusals import Refusal
from tests.fakes.talks import pair, reaches, tell, until
from tests.fakes.town import TownStage, in_town

DAY_MS = 24 * 3600 * 1000


class Grumpy:
    """Makes every relay refuse deposits with one code for a number of times."""

    def __init__(self, code: Refusal, times: int, retry_after_ms: int = 0) -> None:
        self._answer = Refused(1, code, "", retry_after_ms)
        self._left = times
        self.seen: list[Envelope] = []

    def hired(self, monkeypatch: pytest.MonkeyPatch) -> Grumpy:
        honest = RelaySession.deposit

        async def deposit(session: RelaySession, envelope: Envelope) -> Receipt:
            self.seen.append(envelope)
            self._left -= 1
            if self._left >= 0:
                raise RelayRefused(self._answer)
            return await honest(session, envelope)

        monkeypatch.setattr(RelaySession, "deposit", deposit)
        return self


def test_a_relay_that_keeps_envelopes_for_a_day_only_gets_them_for_a_day(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, _bob):
            await tell(alice, "bob", "hello", Delivery.DELIVERED)

    in_town(scene, tmp_path, Limits(max_message_age_ms=DAY_MS))


@pytest.mark.parametrize("code", [Refusal.BAD_SIZE, Refusal.POSTAGE_NOT_ACCEPTED])
def test_a_refusal_for_good_fails_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: Refusal
) -> None:
    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, _bob):
            Grumpy(code, 1).hired(monkeypatch)
            message_id = await tell(alice, "bob", "hello", Delivery.FAILED)
            letter = await alice.letter(message_id)

        assert letter is not None
        assert letter.fault is Fault.REFUSED

    in_town(scene, tmp_path)


@pytest.mark.parametrize("code", [Refusal.QUEUE_FULL, Refusal.DRAINING, Refusal.RATE_LIMITED])
def test_a_refusal_for_now_is_told_and_the_same_envelope_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: Refusal
) -> None:
    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, _bob):
            await tell(alice, "bob", "first", Delivery.DELIVERED)
            grumpy = Grumpy(code, 1).hired(monkeypatch)
            with alice.events() as events:
                message_id = await alice.send("bob", "hello")
                delayed = await until(events, lambda event: isinstance(event, Delayed))
                await reaches(alice, events, message_id, Delivery.DELIVERED)

        assert isinstance(delayed, Delayed)
        assert delayed.message_id == message_id
        assert grumpy.seen[0] == grumpy.seen[1]

    in_town(scene, tmp_path)


def test_a_taken_id_is_replaced_and_the_ciphertext_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, _bob):
            await tell(alice, "bob", "first", Delivery.DELIVERED)
            grumpy = Grumpy(Refusal.MESSAGE_ID_TAKEN, 1).hired(monkeypatch)

            await tell(alice, "bob", "hello", Delivery.DELIVERED)

        one, other = grumpy.seen[:2]
        assert one.message_id != other.message_id
        assert replace(other, message_id=b"", expires_at_ms=one.expires_at_ms) == replace(
            one, message_id=b""
        )

    in_town(scene, tmp_path)


def test_a_wait_that_the_relay_asks_for_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, _bob):
            grumpy = Grumpy(Refusal.RATE_LIMITED, 1, retry_after_ms=3_600_000).hired(monkeypatch)
            with alice.events() as events:
                await alice.send("bob", "hello")
                await until(events, lambda event: isinstance(event, Delayed))
            next_try = alice._office.store.next_try()

        assert next_try is not None
        assert next_try > stage.town.clock.now() + 3_500_000
        assert len(grumpy.seen) == 1

    in_town(scene, tmp_path)


def test_a_relay_that_comes_back_ends_every_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, _bob):
            Grumpy(Refusal.QUEUE_FULL, 1, retry_after_ms=3_600_000).hired(monkeypatch)
            with alice.events() as events:
                message_id = await alice.send("bob", "hello")
                await until(events, lambda event: isinstance(event, Delayed))
                await stage.stop_relay()
                await stage.start_relay()
                await reaches(alice, events, message_id, Delivery.DELIVERED)

    in_town(scene, tmp_path)


def test_a_message_whose_time_is_over_expires(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, _bob):
            await alice.look_up("bob")
            await stage.stop_relay()
            with alice.events() as events:
                await alice.send("bob", "too late")
                await until(events, lambda event: isinstance(event, Delayed))
                stage.town.clock.ahead_ms += LIFE_MS
                await nudge(alice)
                ended = await until(events, lambda event: isinstance(event, Progressed))

        assert isinstance(ended, Progressed)
        assert ended.state is Delivery.EXPIRED

    in_town(scene, tmp_path)


async def nudge(client: Client) -> None:
    """Have the outbox looked at without waiting for its tick."""
    await client.send("bob", "nudge")


def test_receipts_leave_no_trace_once_their_time_is_over(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with pair(stage) as (alice, bob):
            await tell(alice, "bob", "hello", Delivery.DELIVERED)
            stage.town.clock.ahead_ms += LIFE_MS
            await tell(bob, "alice", "much later", Delivery.DELIVERED)

    in_town(scene, tmp_path)


def test_the_bound_on_home_relays_is_the_chains() -> None:
    assert engine.MAX_HOME_RELAYS == 3
