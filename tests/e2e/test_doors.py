"""What is malformed at each door of running processes: its own code or status, nothing changed."""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from abci_currency.machine import MACHINE as CURRENCY
from abci_currency.txs import transfer
from dchat.kernel import accounts, tx
from dchat.kernel.ids import Amount, ChainId, EpochMs, Height
from dchat.node import identity
from dchat.node.queries import QueryCode
from relay.core.access import Purpose
from relay.core.frames import HEADER, MAX_BODY
from relay.core.messages import Ack, Acked, Custody, Deposit, Page, Pull, Refused, Request, encode
from relay.core.refusals import Refusal
from relay.net.stream import Stream, StreamClosed
from tests.conftest import Ran
from tests.e2e import relays
from tests.e2e.relays import RelayProcess, user_of
from tests.e2e.solo import Json, Solo
from tests.fakes.consensus import genesis_bytes
from tests.fakes.mailbox_user import MailboxUser
from tests.fakes.memory import ALICE, BOB, envelope

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Solo]:
    solo = Solo(tmp_path_factory.mktemp("n"), f"abci_{CURRENCY.name}", genesis_bytes())
    solo.start()
    solo.wait_for_height(2)
    yield solo
    solo.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    started = relays.start(tmp_path_factory.mktemp("r"))
    yield started
    started.kill()


# --- the chain: transaction bytes, RPC paths

PAY, NOTHING = (transfer.FAMILY.body(transfer.Transfer(BOB.id, Amount(n))) for n in (5, 0))
GOOD = replace(envelope(ALICE, PAY), chain_id=ChainId("solo-1"), valid_until_height=Height(500))


def signed(**changes: Any) -> bytes:
    return tx.build(replace(GOOD, **changes), ALICE.seed)


TRANSACTIONS = {
    "noise": (b"\x00\xff junk", 1),
    "cut short": (signed()[:-1], 1),
    "a byte too many": (signed() + b"\x00", 1),
    "over the bound": (b"\x00" * (tx.MAX_TX_BYTES + 1), 2),
    "another chain's": (signed(chain_id=ChainId("solo-2")), 5),
    "another signature": (signed()[:-64] + bytes(64), 6),
    "another's key": (signed(sender=BOB.id), 8),
    "a nonce ahead": (signed(nonce=7), 9),
    "no family's": (signed(body=(77,)), 16),
    "half a body": (signed(body=PAY[:1]), 17),
    "nothing to pay": (signed(body=NOTHING), 20),
}


@pytest.mark.parametrize(("raw", "code"), TRANSACTIONS.values(), ids=TRANSACTIONS)
def test_a_transaction_is_refused_by_its_code(chain: Solo, raw: bytes, code: int) -> None:
    before = chain.account(ALICE)

    answer = check_tx(chain, raw)

    assert (answer["code"], answer["codespace"]) == (code, "dchat")
    assert answer["log"]
    assert chain.account(ALICE) == before


def check_tx(chain: Solo, raw: bytes) -> Json:
    """The answer to a POST: no address is long enough for the longest transactions."""
    params = {"tx": base64.b64encode(raw).decode()}
    body = {"jsonrpc": "2.0", "id": 1, "method": "broadcast_tx_sync", "params": params}
    answer = httpx.post(
        f"http://127.0.0.1:{chain.rpc_port}", json=body, timeout=30, trust_env=False
    )
    result: Json = answer.json()["result"]
    return result


KEY = accounts.key(ALICE.id)
QUERIES: dict[str, tuple[str, bytes, dict[str, str], QueryCode]] = {
    "no path": ("", b"", {}, QueryCode.UNKNOWN_PATH),
    "no such path": ("/../store", b"", {}, QueryCode.UNKNOWN_PATH),
    "over-long key": ("/store", bytes(1025), {}, QueryCode.BAD_DATA),
    "a block to come": ("/store", KEY, {"height": "999999"}, QueryCode.HEIGHT_UNAVAILABLE),
    "proof of a path": ("/params", b"", {"prove": "true"}, QueryCode.NO_PROOF),
}


@pytest.mark.parametrize(("path", "data", "params", "code"), QUERIES.values(), ids=QUERIES)
def test_a_query_is_refused_by_its_code(
    chain: Solo, path: str, data: bytes, params: dict[str, str], code: QueryCode
) -> None:
    answer = chain.query(path, data, **params)

    assert (answer["code"], answer["codespace"]) == (code, "dchat")
    assert answer["log"]


# --- the relay: mailbox frames

Make = Callable[[MailboxUser], Request]


def deposit(**changes: Any) -> Make:
    return lambda user: Deposit(7, replace(user.envelope(b"2" * 32), **changes))


REQUESTS: dict[str, tuple[Make, Refusal]] = {
    "size": (deposit(size_class=1), Refusal.BAD_SIZE),
    "class": (deposit(size_class=99), Refusal.BAD_SIZE),
    "expired": (deposit(expires_at_ms=EpochMs(1)), Refusal.EXPIRED),
    "for ever": (deposit(expires_at_ms=EpochMs(2**64 - 1)), Refusal.EXPIRY_TOO_FAR),
    "postage": (deposit(postage=b"p"), Refusal.POSTAGE_NOT_ACCEPTED),
    "other bytes": (
        deposit(message_id=b"1" * 32, ciphertext=bytes(2048)),
        Refusal.MESSAGE_ID_TAKEN,
    ),
    "signature": (lambda user: Pull(7, user.access(Purpose.WATCH), 0, 1), Refusal.BAD_SIGNATURE),
    "limit": (lambda user: Pull(7, user.access(Purpose.PULL), 0, 65), Refusal.BAD_LIMIT),
    "page": (lambda user: Ack(7, user.mailbox, 9, (b"1" * 32,), ()), Refusal.NO_SUCH_PAGE),
}


@pytest.mark.parametrize(("make", "reason"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_is_refused_by_its_code(relay: RelayProcess, make: Make, reason: Refusal) -> None:
    async def script() -> None:
        with trio.fail_after(30):
            async with user_of(relay, os.urandom(32)) as user:
                kept = await user.deposit(user.envelope(b"1" * 32))

                refused = await user.ask(make(user))

                assert isinstance(kept, Custody)
                assert isinstance(refused, Refused)
                assert (refused.code, refused.request_id) == (reason, 7)
                assert refused.detail
                await only_the_first_is_there(user)

    trio.run(script)


FRAMES = {
    "noise": b"\x00\x00\x00\x03\xc1no",
    "nothing": HEADER.pack(0),
    "over the bound": HEADER.pack(MAX_BODY + 1),
    "an answer": HEADER.pack(len(encode(Acked(1)))) + encode(Acked(1)),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_frame_that_is_no_request_ends_its_session_alone(
    relay: RelayProcess, frame: bytes
) -> None:
    async def script() -> None:
        with trio.fail_after(30):
            async with (
                user_of(relay, os.urandom(32)) as good,
                relays.stream_of(relay, b"q" * 32) as bad,
            ):
                await good.deposit(good.envelope(b"1" * 32))

                await bad.write(frame)
                await ended(bad)

                await only_the_first_is_there(good)

    trio.run(script)


async def ended(stream: Stream) -> None:
    """Return once the relay has closed or reset the stream."""
    with suppress(StreamClosed):
        while await stream.read():
            pass


async def only_the_first_is_there(user: MailboxUser) -> None:
    page = await user.pull()
    assert isinstance(page, Page)
    assert [item.message_id for item in page.items] == [b"1" * 32]
    assert isinstance(await user.ack(page), Acked)


# --- the command line: flags, TOML, key files

NODE = '[node]\nidentity_file = "id.json"\ndata_dir = "data"\n'
FILES = {
    "no-toml.toml": b"[node",
    "no-text.toml": b"\xff",
    "deep.toml": b"a = " + b"[" * 100_000,
    "number.toml": b"a = " + b"9" * 5_000,
    "unknown.toml": NODE.encode() + b"idenity_file = 1\n",
    "type.toml": NODE.encode() + b"[relay]\nmax_queue_size = 'many'\n",
    "empty.json": b"",
    "cut.json": b'{"version": 1, "kind": "node"',
    "deep.json": b"[" * 4_000,
    "net.toml": b"name = 'x'\n",
}
RELAY = ("relay", "--validate", "--config")
COMMANDS: dict[tuple[str, ...], tuple[int, str]] = {
    ("nonsense",): (2, "no such command"),
    ("relay", "--listen"): (2, "requires an argument"),
    ("relay", "--nonsense", "1"): (2, "no such option"),
    ("relay", "--identity", "id.json", "--data-dir", "d", "--listen", "x"): (2, "has no port"),
    (*RELAY, "absent.toml"): (2, "absent.toml: No such file"),
    (*RELAY, "."): (2, "not a regular file"),
    (*RELAY, "no-toml.toml"): (2, "no-toml.toml: "),
    (*RELAY, "no-text.toml"): (2, "not UTF-8"),
    (*RELAY, "deep.toml"): (2, "recursion"),
    (*RELAY, "number.toml"): (2, "4300 digits"),
    (*RELAY, "unknown.toml"): (2, "did you mean node.identity_file"),
    (*RELAY, "type.toml"): (2, "relay.max_queue_size: input should be a valid integer"),
    ("keygen", "--output", "id.json"): (3, "exists already and is left as it is"),
    ("identity", "verify", "--file", "open.json"): (4, "others can read"),
    ("identity", "verify", "--file", "empty.json"): (5, "empty.json: "),
    ("identity", "verify", "--file", "cut.json"): (5, "cut.json: "),
    ("identity", "verify", "--file", "deep.json"): (5, "recursion"),
    ("identity", "verify", "--file", "."): (5, "not a regular file"),
    ("user", "--identity", "user.json", "--network", "net.toml"): (2, "relays is missing"),
    ("keygen", "--output", "new.json", "--kind", "user"): (6, "sealed with a passphrase"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: whole and broken files, and one key that others can read."""
    monkeypatch.chdir(tmp_path)
    [(tmp_path / name).write_bytes(content) for name, content in FILES.items()]
    [(tmp_path / name).chmod(0o600) for name in FILES]
    identity.create(tmp_path / "id.json", "node")
    identity.create(tmp_path / "user.json", "user", b"passphrase")
    identity.create(tmp_path / "open.json", "node")
    (tmp_path / "open.json").chmod(0o644)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("args", "status", "reason"),
    [(args, *told) for args, told in COMMANDS.items()],
    ids=[" ".join(args) for args in COMMANDS],
)
def test_a_command_line_is_refused_by_its_status_and_writes_nothing(
    folder: Path, dchat: Callable[..., Ran], args: tuple[str, ...], status: int, reason: str
) -> None:
    before = contents(folder)

    ran = dchat(*args)

    assert (ran.code, ran.out) == (status, "")
    assert ran.err.startswith("dchat: error: ")
    assert reason in ran.err
    assert "dchat: hint: " in ran.err
    assert contents(folder) == before


# --- afterwards


def test_every_door_still_stands(chain: Solo, relay: RelayProcess) -> None:
    status = httpx.get(f"http://{relay.health}/status", timeout=30, trust_env=False).json()

    result = chain.commit(signed())

    assert (result["check_tx"]["code"], result["tx_result"]["code"]) == (0, 0)
    assert status["queue_size"] == 0
