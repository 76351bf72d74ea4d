from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from dchat.kernel import signing
from dchat.node import identity
from relay.core.envelope import check_receipt
from relay.core.messages import Answer, Custody, Page, Refused
from relay.core.refusals import Refusal
from tests.e2e.relays import RelayProcess, start, user_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

Start = Callable[..., RelayProcess]


@pytest.fixture
def relay_at(tmp_path: Path) -> Generator[Start]:
    """Start relays in this test's directory; whatever still runs is killed."""
    started: list[RelayProcess] = []

    def begin(max_queue_size: int = 10_000) -> RelayProcess:
        started.append(start(tmp_path, max_queue_size=max_queue_size))
        return started[-1]

    yield begin
    for relay in started:
        relay.kill()


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Generator[RelayProcess]:
    """One relay for all tests that neither stop it nor care what else it holds."""
    relay = start(tmp_path_factory.mktemp("relay"))
    yield relay
    relay.kill()


def talk(relay: RelayProcess, script: Callable[..., Any]) -> Any:
    async def run() -> Any:
        with trio.fail_after(30):
            async with user_of(relay) as user:
                return await script(user)

    return trio.run(run)


def names(page: Answer) -> list[bytes]:
    assert isinstance(page, Page)
    return [item.message_id for item in page.items]


def test_what_was_receipted_survives_kill_9_and_is_delivered_once(
    relay_at: Start, tmp_path: Path
) -> None:
    first = relay_at()
    envelope, custody = talk(first, deposit_one)
    first.kill()

    second = relay_at()
    before, again, after = talk(second, lambda user: pull_ack_repeat(user, envelope))

    key = signing.public_key(identity.load(tmp_path / "id.json").child("libp2p"))
    check_receipt(custody.receipt, envelope, key)
    assert (names(before), again, names(after)) == ([b"1" * 32], custody, [])


async def deposit_one(user: Any) -> Any:
    envelope = user.envelope(b"1" * 32)
    return envelope, await user.deposit(envelope)


async def pull_ack_repeat(user: Any, envelope: Any) -> Any:
    page = await user.pull()
    await user.ack(page)
    return page, await user.deposit(envelope), await user.pull()


def test_a_watcher_hears_of_mail_without_asking(common: RelayProcess) -> None:
    async def script() -> Any:
        with trio.fail_after(30):
            async with (
                user_of(common, inbox_seed=b"w" * 32) as owner,
                user_of(common, peer_seed=b"q" * 32) as sender,
            ):
                await owner.watch()
                await sender.deposit(owner.envelope(b"1" * 32))
                return await owner.next_mail(), owner.mailbox

    mail, mailbox = trio.run(script)

    assert mail.mailbox_id == mailbox


def test_a_full_queue_refuses_and_says_so(relay_at: Start) -> None:
    relay = relay_at(max_queue_size=1)

    async def script(user: Any) -> Any:
        kept = await user.deposit(user.envelope(b"1" * 32))
        return kept, await user.deposit(user.envelope(b"2" * 32)), names(await user.pull())

    kept, refused, held = talk(relay, script)

    assert isinstance(kept, Custody)
    assert isinstance(refused, Refused)
    assert (refused.code, held) == (Refusal.QUEUE_FULL, [b"1" * 32])


def test_garbage_costs_its_sender_the_session_and_nobody_else(common: RelayProcess) -> None:
    async def script() -> Any:
        with trio.fail_after(30):
            async with user_of(common) as good, user_of(common, peer_seed=b"q" * 32) as bad:
                await bad.link.send(b"\xc1 not a message")
                with pytest.raises(Exception, match="closed"):
                    await bad.answer()
                return await good.deposit(good.envelope(b"2" * 32))

    assert isinstance(trio.run(script), Custody)


def test_sigterm_ends_it_in_order_with_clients_connected(relay_at: Start) -> None:
    relay = relay_at()

    async def script(user: Any) -> int:
        await user.deposit(user.envelope(b"1" * 32))
        return await trio.to_thread.run_sync(relay.stop)

    assert talk(relay, script) == 0
    assert "relay_stopped" in relay.log.read_text()
    assert "in_time=True" in relay.log.read_text()


def test_a_hangup_signal_ends_nothing(common: RelayProcess) -> None:
    common.process.send_signal(signal.SIGHUP)

    _, custody = talk(common, deposit_one)

    assert isinstance(custody, Custody)


def test_status_and_metrics_agree_on_what_it_holds(common: RelayProcess) -> None:
    talk(common, deposit_one)

    status = httpx.get(f"http://{common.health}/status").json()
    metrics = httpx.get(f"http://{common.metrics}/metrics").text

    assert status["queue_size"] >= 1
    assert f"dchat_relay_queue_size {status['queue_size']}.0" in metrics
    assert f"dchat_relay_envelopes_accepted_total {status['accepted']}.0" in metrics
    assert 'dchat_network_bandwidth_bytes_total{direction="in"} 0.0' not in metrics
    assert httpx.get(f"http://{common.health}/ready").json()["ready"] is True


def test_a_second_relay_on_the_same_directory_is_refused(
    common: RelayProcess, dchat: Callable[..., Any]
) -> None:
    ran = dchat("relay", "--config", common.log.with_name("relay.toml"), "--dry-run")

    assert ran.code == 1
    assert "is in use by another process" in ran.err
    assert "hint: stop the other process" in ran.err
