from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from abci_chat.machine import MACHINE as CHAT
from abci_currency.machine import MACHINE as CURRENCY
from dchat.kernel.machine import Machine
from dchat.node.frames import FrameReader, encode_size
from dchat.node.process import COLLECT_AT, parse, spare_collector
from dchat.node.proto import abci_pb2 as pb
from dchat.node.storage import BACKENDS
from dchat.node.stores.backend import Tuning
from tests.fakes.consensus import init_request

pytestmark = pytest.mark.slow

PATIENCE_S = 20
Spawn = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("p")


@pytest.fixture
def spawn(home: Path) -> Iterator[Spawn]:
    children: list[subprocess.Popen[bytes]] = []

    def start(module: str = "abci_currency", *more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "error", "-m", module, "--socket", str(home / "app.sock")]
        child = subprocess.Popen(
            [*command, "--data-dir", str(home / "state"), *more], stderr=subprocess.PIPE
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def connect(path: Path) -> socket.socket:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        peer = socket.socket(socket.AF_UNIX)
        if peer.connect_ex(os.fspath(path)) == 0:
            return peer
        peer.close()
    raise AssertionError("nobody listens")


def ask(peer: socket.socket, request: pb.Request) -> pb.Response | None:
    body = request.SerializeToString()
    peer.sendall(encode_size(len(body)) + body)
    reader = FrameReader()
    while chunk := peer.recv(65536):
        for frame in reader.feed(chunk):
            return pb.Response.FromString(frame)
    return None


INFO = pb.Request(info=pb.RequestInfo())


@pytest.mark.parametrize(("module", "name"), [("abci_chat", "chat"), ("abci_currency", "currency")])
def test_each_chain_serves_its_application(
    home: Path, spawn: Spawn, module: str, name: str
) -> None:
    spawn(module)
    with connect(home / "app.sock") as peer:
        answer = ask(peer, INFO)

    assert answer is not None
    assert answer.info.data == name


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_ends_it_cleanly(home: Path, spawn: Spawn, number: signal.Signals) -> None:
    child = spawn("abci_currency", "--json-logs")
    connect(home / "app.sock").close()
    child.send_signal(number)
    _, errors = child.communicate(timeout=PATIENCE_S)

    assert child.returncode == 0
    assert b'"application_stopped"' in errors
    assert not (home / "app.sock").exists()


def test_time_spent_is_logged_at_the_end_where_asked_for(home: Path, spawn: Spawn) -> None:
    child = spawn("abci_currency", "--json-logs", "--stats")
    with connect(home / "app.sock") as peer:
        ask(peer, INFO)
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=PATIENCE_S)

    assert b'"time_spent"' in errors
    assert b'"kind": "info"' in errors


def test_a_broken_invariant_ends_it_with_a_traceback(home: Path, spawn: Spawn) -> None:
    child = spawn()
    with connect(home / "app.sock") as peer:
        hung_up = ask(peer, pb.Request(commit=pb.RequestCommit()))
    _, errors = child.communicate(timeout=PATIENCE_S)

    assert hung_up is None
    assert child.returncode == 1
    assert b"InvariantBroken: Commit without a FinalizeBlock" in errors


def test_a_genesis_it_cannot_read_ends_it_with_a_reason_and_a_hint(
    home: Path, spawn: Spawn
) -> None:
    child = spawn()
    with connect(home / "app.sock") as peer:
        ask(peer, pb.Request(init_chain=init_request(b"{}")))
    _, errors = child.communicate(timeout=PATIENCE_S)

    assert child.returncode == 1
    assert b"dchat: error: app_state is not one JSON string" in errors
    assert b"dchat: hint: build it with" in errors
    assert b"Traceback" not in errors


def refusal(module: str, socket_path: Path, data_dir: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", module, "--socket", socket_path, "--data-dir", data_dir]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.returncode, done.stderr


def test_a_socket_path_too_long_is_told(home: Path) -> None:
    code, errors = refusal("abci_chat", home / ("x" * 200), home / "state")

    assert code == 1
    assert "107 is the most" in errors


def test_a_data_directory_in_use_is_told(home: Path, spawn: Spawn) -> None:
    spawn()
    connect(home / "app.sock").close()
    code, errors = refusal("abci_currency", home / "b.sock", home / "state")

    assert code == 1
    assert "dchat: hint: stop the process" in errors


@pytest.mark.parametrize(
    "args",
    [[], ["--socket", "s"], ["--data-dir", "d"], ["--sock", "s", "--data-dir", "d"]],
    ids=["nothing", "no-data-dir", "no-socket", "abbreviated"],
)
def test_an_incomplete_command_line_is_status_2(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(CHAT, args)

    assert ended.value.code == 2
    assert "usage: python -m abci_chat" in capsys.readouterr().err


def test_the_cache_is_shared_out_between_tree_pages_and_the_database() -> None:
    words = "--backend rocksdb --cache-mib 800 --write-buffer-mib 32 --max-open-files 99"

    options = parse(
        CHAT, ["--socket", "s", "--data-dir", "d", *words.split(), "--compaction-threads", "3"]
    )

    assert options.page_cache_bytes == 700 << 20
    assert options.tuning == Tuning(100 << 20, 32 << 20, max_open_files=99, compaction_threads=3)


def test_a_cache_of_nothing_is_status_2() -> None:
    with pytest.raises(SystemExit) as ended:
        parse(CHAT, ["--socket", "s", "--data-dir", "d", "--cache-mib", "0"])

    assert ended.value.code == 2


def test_only_a_chain_that_draws_takes_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["--socket", "s", "--data-dir", "d", "--beacon-secret", "f"]

    assert parse(CHAT, args).beacon_secret == Path("f")
    with pytest.raises(SystemExit):
        parse(CURRENCY, args)

    assert "--beacon-secret" in capsys.readouterr().err


def test_a_secret_that_others_can_read_is_told_and_not_shown(home: Path, spawn: Spawn) -> None:
    secret = home / "secret"
    secret.write_bytes(b"very secret and 32 bytes long ok")
    secret.chmod(0o644)

    child = spawn("abci_chat", "--beacon-secret", str(secret))
    _, errors = child.communicate(timeout=PATIENCE_S)

    assert child.returncode == 4
    assert b"others can read or write" in errors
    assert b"very secret" not in errors


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_chain_is_served_from_every_backend(home: Path, spawn: Spawn, backend: str) -> None:
    child = spawn("abci_chat", "--backend", backend)
    with connect(home / "app.sock") as peer:
        ask(peer, INFO)
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=PATIENCE_S)

    assert (child.returncode, any((home / "state").iterdir())) == (0, True)


@pytest.mark.parametrize("machine", [CHAT, CURRENCY], ids=["chat", "currency"])
def test_the_defaults_are_leveldb_and_quiet(machine: Machine) -> None:
    options = parse(machine, ["--socket", "s", "--data-dir", "d"])

    assert (options.backend, options.log_level) == ("leveldb", "info")
    assert not options.json_logs
    assert not options.stats


@pytest.fixture
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collector")
def test_what_is_there_at_the_start_is_never_searched_for_cycles() -> None:
    spare_collector()

    assert gc.get_threshold() == COLLECT_AT
    assert gc.get_freeze_count() > 0
