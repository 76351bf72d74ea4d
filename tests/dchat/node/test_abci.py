from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dchat.kernel.errors import OperatorError
from dchat.node.abci import MAX_CONNECTIONS, MAX_PATH_BYTES, RUN, RUN_BYTES, serve
from dchat.node.bell import Bell
from dchat.node.frames import MAX_FRAME_BYTES, FrameReader, encode_size
from dchat.node.proto import abci_pb2 as pb

PATIENCE_S = 10


class Counter:
    """An application that answers with what it was asked and how often."""

    def __init__(self) -> None:
        self.checked: list[bytes] = []
        self.foretold: list[list[bytes]] = []
        self.forgot = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()

    def info(self, request: pb.RequestInfo) -> pb.ResponseInfo:
        return pb.ResponseInfo(data=request.version, last_block_height=len(self.checked))

    def query(self, request: pb.RequestQuery) -> pb.ResponseQuery:
        return pb.ResponseQuery(value=request.data)

    def foresee(self, txs: Sequence[bytes]) -> None:
        self.foretold.append(list(txs))

    def mempool_gone(self) -> None:
        self.forgot.set()

    def check_tx(self, request: pb.RequestCheckTx) -> pb.ResponseCheckTx:
        self.waiting.set()
        self.gate.wait(PATIENCE_S)
        self.checked.append(request.tx)
        return pb.ResponseCheckTx(data=request.tx, gas_wanted=len(self.checked))

    def commit(self, request: pb.RequestCommit) -> pb.ResponseCommit:
        raise RuntimeError("the disk is on fire")

    def finalize_block(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        return pb.ResponseFinalizeBlock(tx_results=[pb.ExecTxResult(data=tx) for tx in request.txs])


@dataclass(frozen=True, slots=True)
class Serving:
    stop: Bell
    future: Future[None]

    def failure(self) -> BaseException | None:
        return self.future.exception(PATIENCE_S)


@contextmanager
def served(path: Path, app: Counter) -> Generator[Serving]:
    with Bell() as stop, ThreadPoolExecutor(1) as pool:
        serving = pool.submit(serve, path, app, stop)  # pyright: ignore[reportArgumentType]
        await_listener(path, serving)
        try:
            yield Serving(stop, serving)
        finally:
            stop.ring()
            app.gate.set()
        serving.exception(PATIENCE_S)


def await_listener(path: Path, serving: Future[None]) -> None:
    while not serving.done() and not connects(path):
        pass


class Client:
    """What CometBFT's socket client does, without its patience."""

    opened: ClassVar[list[Client]] = []

    def __init__(self, path: Path) -> None:
        self.opened.append(self)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(os.fspath(path))
        self._reader = FrameReader()
        self._answers: list[bytes] = []

    def send(self, *requests: pb.Request) -> None:
        bodies = [request.SerializeToString() for request in requests]
        self.socket.sendall(b"".join(encode_size(len(body)) + body for body in bodies))

    def receive(self) -> pb.Response:
        while not self._answers:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise EOFError
            self._answers += self._reader.feed(chunk)
        return pb.Response.FromString(self._answers.pop(0))

    def ask(self, request: pb.Request) -> pb.Response:
        self.send(request, FLUSH)
        answer = self.receive()
        assert self.receive().WhichOneof("value") == "flush"
        return answer

    def await_deafness(self) -> None:
        """Returns once the server has stopped reading."""
        # Blocking: poll() does not tell a full buffer from one that nobody will empty.
        self.socket.settimeout(None)
        with suppress(BrokenPipeError):
            while True:
                self.send(echo("anybody there?"))
        self.socket.settimeout(PATIENCE_S)

    def is_hung_up(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True


FLUSH = pb.Request(flush=pb.RequestFlush())


def check(tx: bytes) -> pb.Request:
    return pb.Request(check_tx=pb.RequestCheckTx(tx=tx))


def echo(message: str) -> pb.Request:
    return pb.Request(echo=pb.RequestEcho(message=message))


@pytest.fixture(autouse=True)
def _clients_are_closed() -> Iterator[None]:
    yield
    [client.socket.close() for client in Client.opened]
    Client.opened.clear()


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s", numbered=True) / "app.sock"


@pytest.fixture
def app() -> Counter:
    return Counter()


def test_echo_returns_the_message(path: Path, app: Counter) -> None:
    with served(path, app):
        assert Client(path).ask(echo("hello")).echo.message == "hello"


def test_pipelined_requests_are_answered_in_order(path: Path, app: Counter) -> None:
    with served(path, app):
        client = Client(path)
        client.send(*[check(b"%d" % n) for n in range(500)], FLUSH)
        answers = [client.receive() for _ in range(501)]

    assert [a.check_tx.gas_wanted for a in answers[:-1]] == list(range(1, 501))
    assert answers[-1].WhichOneof("value") == "flush"


def test_a_flush_between_transactions_is_answered_in_its_place(path: Path, app: Counter) -> None:
    with served(path, app):
        client = Client(path)
        client.send(check(b"a"), FLUSH, check(b"b"), check(b"c"), FLUSH)
        answers = [client.receive().WhichOneof("value") for _ in range(5)]

    assert answers == ["check_tx", "flush", "check_tx", "check_tx", "flush"]


def test_an_application_is_told_of_new_transactions_that_wait_together(
    path: Path, app: Counter
) -> None:
    again = pb.Request(check_tx=pb.RequestCheckTx(tx=b"again", type=pb.RECHECK))
    with served(path, app):
        client = Client(path)
        client.send(check(b"a"), again, FLUSH, check(b"b"), FLUSH)
        [client.receive() for _ in range(5)]

    assert app.foretold == [[b"a", b"b"]]
    assert app.checked == [b"a", b"again", b"b"]


def test_an_application_is_told_when_the_mempool_has_hung_up(path: Path, app: Counter) -> None:
    with served(path, app):
        client = Client(path)
        client.ask(check(b"a"))
        client.socket.close()

        assert app.forgot.wait(PATIENCE_S)


def test_another_connection_may_end_and_the_mempool_stay(path: Path, app: Counter) -> None:
    with served(path, app):
        mempool, other = Client(path), Client(path)
        mempool.ask(check(b"a"))
        other.ask(echo("hello"))
        other.socket.close()
        mempool.ask(check(b"b"))

        assert not app.forgot.is_set()


@pytest.mark.parametrize(("raw", "runs"), [(b"x", [RUN, RUN, 1]), (b"x" * RUN_BYTES, [1, 1])])
def test_a_run_of_transactions_is_bounded_for_consensus_to_come_between(
    path: Path, app: Counter, raw: bytes, runs: list[int]
) -> None:
    with served(path, app):
        client = Client(path)
        client.send(*[check(raw)] * sum(runs))
        [client.receive() for _ in range(sum(runs))]

    assert [len(run) for run in app.foretold] == runs


def test_a_request_that_only_begins_like_a_transaction_is_judged_by_what_it_is(
    path: Path, app: Counter
) -> None:
    first, last = check(b"a"), pb.Request(info=pb.RequestInfo(version="v"))
    disguised = first.SerializeToString() + last.SerializeToString()
    with served(path, app):
        client = Client(path)
        client.send(check(b"a"))
        client.socket.sendall(encode_size(len(disguised)) + disguised)
        answers = [client.receive().WhichOneof("value") for _ in range(2)]

    assert answers == ["check_tx", "info"]
    assert app.checked == [b"a"]


def test_answers_come_without_a_flush_once_the_input_is_drained(path: Path, app: Counter) -> None:
    with served(path, app):
        client = Client(path)
        client.send(check(b"a"))

        assert client.receive().check_tx.data == b"a"


def test_a_flush_is_answered_before_the_request_after_it_is_done(path: Path, app: Counter) -> None:
    app.gate.clear()
    with served(path, app):
        client = Client(path)
        client.send(echo("first"), FLUSH, check(b"slow"))
        answers = [client.receive().WhichOneof("value") for _ in range(2)]
        done = list(app.checked)

    assert (answers, done) == (["echo", "flush"], [])


def test_a_block_of_ten_mebibytes_passes_both_ways(path: Path, app: Counter) -> None:
    txs = [bytes(1024 * 1024)] * 10
    with served(path, app):
        answer = Client(path).ask(pb.Request(finalize_block=pb.RequestFinalizeBlock(txs=txs)))

    assert [result.data for result in answer.finalize_block.tx_results] == txs


def test_four_connections_are_served_side_by_side(path: Path, app: Counter) -> None:
    with served(path, app):
        clients = [Client(path) for _ in range(MAX_CONNECTIONS)]

        assert [c.ask(echo(str(n))).echo.message for n, c in enumerate(clients)] == list("0123")


def test_a_fifth_connection_waits_until_one_of_the_four_ends(path: Path, app: Counter) -> None:
    with served(path, app):
        clients = [Client(path) for _ in range(MAX_CONNECTIONS)]
        [client.ask(echo("up")) for client in clients]
        fifth = Client(path)
        fifth.send(echo("late"))
        fifth.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            fifth.receive()
        clients[0].socket.close()
        fifth.socket.settimeout(PATIENCE_S)

        assert fifth.receive().echo.message == "late"


def test_a_query_is_answered_while_the_mempool_is_busy(path: Path, app: Counter) -> None:
    app.gate.clear()
    with served(path, app):
        mempool, query = Client(path), Client(path)
        mempool.send(check(b"slow"), FLUSH)
        app.waiting.wait(PATIENCE_S)

        assert query.ask(pb.Request(query=pb.RequestQuery(data=b"k"))).query.value == b"k"


def test_the_request_in_hand_is_answered_before_a_stop(path: Path, app: Counter) -> None:
    app.gate.clear()
    with served(path, app) as serving:
        client = Client(path)
        client.send(check(b"in hand"))
        app.waiting.wait(PATIENCE_S)
        client.send(check(b"not begun"))
        serving.stop.ring()
        client.await_deafness()
    answer = client.receive()

    assert serving.failure() is None
    assert answer.check_tx.data == b"in hand"
    assert app.checked == [b"in hand"]
    assert not path.exists()


def test_an_application_that_raises_ends_the_server_with_its_exception(
    path: Path, app: Counter
) -> None:
    with served(path, app) as serving:
        client = Client(path)
        client.send(pb.Request(commit=pb.RequestCommit()))
        fault = serving.failure()
        hung_up = client.is_hung_up()

    assert (repr(fault), hung_up) == ("RuntimeError('the disk is on fire')", True)


@pytest.mark.parametrize(
    "hostile",
    [
        encode_size(MAX_FRAME_BYTES + 1),
        b"\xff" * 16,
        b"\x00",
        b"\x05\xff\xff\xff\xff\xff",
        b"\x02\x22\x00",
        b"\x03\x42\x7f\x00",
    ],
    ids=["oversized", "endless-size", "empty", "garbage", "reserved-kind", "lying-length"],
)
def test_what_is_not_abci_ends_its_connection_and_no_other(
    path: Path, app: Counter, hostile: bytes
) -> None:
    with served(path, app):
        bystander, attacker = Client(path), Client(path)
        attacker.socket.sendall(hostile)

        assert attacker.is_hung_up()
        assert bystander.ask(echo("fine")).echo.message == "fine"


def test_a_connection_cut_inside_a_frame_changes_nothing(path: Path, app: Counter) -> None:
    with served(path, app):
        client = Client(path)
        client.socket.sendall(b"\x40\x42")
        client.socket.close()

        assert Client(path).ask(echo("fine")).echo.message == "fine"
    assert app.checked == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(hostile=st.binary(min_size=1, max_size=40))
def test_arbitrary_bytes_never_stop_the_server(
    long_lived: tuple[Path, Serving], hostile: bytes
) -> None:
    path, serving = long_lived
    client = Client(path)
    client.socket.sendall(hostile)
    client.socket.close()
    witness = Client(path)
    answer = witness.ask(echo("fine")).echo.message
    witness.socket.close()

    assert not serving.future.done()
    assert answer == "fine"


@pytest.fixture(scope="module")
def long_lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Serving]]:
    path = tmp_path_factory.mktemp("long") / "app.sock"
    with served(path, Patient()) as serving:
        yield path, serving


class Patient(Counter):
    """A counter whose state requests all succeed."""

    def commit(self, request: pb.RequestCommit) -> pb.ResponseCommit:
        return pb.ResponseCommit()

    def __getattr__(self, name: str) -> Callable[[object], pb.ResponseCommit]:
        return commit_to_nothing


def commit_to_nothing(_: object) -> pb.ResponseCommit:
    return pb.ResponseCommit()


def test_the_socket_is_for_its_owner_only(path: Path, app: Counter) -> None:
    with served(path, app):
        modes = [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent)]

    assert modes == [0o600, 0o700]


def test_a_missing_directory_is_made_for_the_owner_only(path: Path, app: Counter) -> None:
    with served(path.parent / "run" / "app.sock", app):
        assert stat.S_IMODE((path.parent / "run").stat().st_mode) == 0o700


def test_a_stale_socket_is_replaced(path: Path, app: Counter) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(os.fspath(path))

    with served(path, app):
        assert Client(path).ask(echo("fresh")).echo.message == "fresh"


def refusal(path: Path, app: Counter) -> str:
    with Bell() as stop, pytest.raises(OperatorError) as refused:
        serve(path, app, stop)  # pyright: ignore[reportArgumentType]
    return str(refused.value)


def test_a_socket_in_use_is_refused_and_left_alone(path: Path, app: Counter) -> None:
    with served(path, app):
        assert "another process serves" in refusal(path, app)
        assert Client(path).ask(echo("still")).echo.message == "still"


def test_a_file_that_is_no_socket_is_refused_and_kept(path: Path, app: Counter) -> None:
    path.write_text("precious")

    assert "not a socket" in refusal(path, app)
    assert path.read_text() == "precious"


def test_a_path_too_long_for_the_system_is_refused(path: Path, app: Counter) -> None:
    long = path.parent / ("x" * MAX_PATH_BYTES)

    assert f"{MAX_PATH_BYTES} is the most" in refusal(long, app)


def test_a_directory_that_others_may_write_to_is_refused(path: Path, app: Counter) -> None:
    path.parent.chmod(0o777)

    assert "others may write" in refusal(path, app)


def test_a_directory_that_cannot_be_made_is_refused(path: Path, app: Counter) -> None:
    path.write_text("a file")

    assert "cannot listen" in refusal(path / "below" / "app.sock", app)


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(os.fspath(path)) == 0


FAILING_NODE = """
import sys
from pathlib import Path
from dchat.node.abci import serve
from dchat.node.bell import Bell

class Broken:
    def info(self, request):
        raise RuntimeError("state is inconsistent")

with Bell() as stop:
    serve(Path(sys.argv[1]), Broken(), stop)
"""


def test_a_process_whose_application_raises_exits_with_a_traceback(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FAILING_NODE, path], stderr=subprocess.PIPE
    ) as node:
        while node.poll() is None and not connects(path):
            pass
        Client(path).send(pb.Request(info=pb.RequestInfo()))
        _, errors = node.communicate(timeout=PATIENCE_S)

    assert node.returncode == 1
    assert b"Traceback" in errors
    assert b"RuntimeError: state is inconsistent" in errors
