from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from dchat.kernel.errors import DchatError
from relay.core.messages import Custody, Deposit, Page, encode
from tests.e2e.relays import RelayProcess, start, user_of
from tests.fakes.mailbox_user import MailboxUser

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DEPOSITS = 600
WINDOW = 32


@pytest.fixture
def relays(tmp_path: Path) -> Generator[list[RelayProcess]]:
    """Relays started in this test; whatever still runs is killed."""
    started: list[RelayProcess] = [start(tmp_path)]
    yield started
    for relay in started:
        relay.kill()


async def deposit_until_killed(relay: RelayProcess, kill_after: int) -> set[bytes]:
    """Deposit with a full window, kill -9 the relay after so many receipts; return what it signed.

    At that moment some deposits are on their way, some in a batch, some on disk without receipt.
    """
    signed: set[bytes] = set()
    with suppress(DchatError, ExceptionGroup):
        async with user_of(relay) as user:
            await _deposit(user, signed, relay, kill_after)
    return signed


async def _deposit(
    user: MailboxUser, signed: set[bytes], relay: RelayProcess, kill_after: int
) -> None:
    window = trio.CapacityLimiter(WINDOW)

    async def send_all() -> None:
        for number in range(DEPOSITS):
            await window.acquire_on_behalf_of(number)
            request = Deposit(number, user.envelope(number.to_bytes(32, "big")))
            await user.link.send(encode(request))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all)
        while True:
            custody = await user.answer()
            assert isinstance(custody, Custody)
            signed.add(custody.receipt.message_id)
            window.release_on_behalf_of(custody.request_id)
            if len(signed) == kill_after:
                relay.process.kill()


async def pull_everything(relay: RelayProcess) -> list[bytes]:
    """Pull and acknowledge page after page until none is left."""
    pulled: list[bytes] = []
    async with user_of(relay) as user:
        while True:
            page = await user.pull()
            assert isinstance(page, Page)
            if not page.items:
                return pulled
            pulled += [item.message_id for item in page.items]
            await user.ack(page)


@pytest.mark.parametrize("kill_after", [1, 300])
def test_everything_signed_survives_kill_9_under_load(
    relays: list[RelayProcess], tmp_path: Path, kill_after: int
) -> None:
    signed = trio.run(deposit_until_killed, relays[0], kill_after)
    relays[0].process.wait()

    relays.append(start(tmp_path))
    pulled = trio.run(pull_everything, relays[1])

    assert kill_after <= len(signed) < DEPOSITS
    assert signed <= set(pulled)
    assert len(pulled) == len(set(pulled))
