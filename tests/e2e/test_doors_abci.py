"""The application's own socket: frames that are none end their connection, orders that are wrong
end the process with a reason, and what is on disk stays as it was.

The socket is owner-only; what is shown here is that not even CometBFT gone mad can do harm.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from dchat.node.abci import MAX_CONNECTIONS
from dchat.node.frames import MAX_FRAME_BYTES, FrameReader, encode_size
from dchat.node.proto import abci_pb2 as pb
from dchat.node.proto import keys_pb2
from tests.e2e.solo import PATIENCE_S, Solo
from tests.fakes.consensus import RULES, genesis_bytes, init_request, state_bytes, wrapped

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MIB = 1 << 20
CHAINS = ("abci_chat", "abci_currency")


class Comet:
    """One connection to the application, and what CometBFT would say on it."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(os.fspath(path))
        self._frames = FrameReader()

    def __enter__(self) -> Comet:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *requests: pb.Request) -> None:
        bodies = [request.SerializeToString() for request in requests]
        self.socket.sendall(b"".join(encode_size(len(body)) + body for body in bodies))

    def ask(self, request: pb.Request) -> pb.Response:
        """The answer to one request. Raises: EOFError, ConnectionError."""
        self.send(request)
        while chunk := self.socket.recv(65_536):
            for frame in self._frames.feed(chunk):
                return pb.Response.FromString(frame)
        raise EOFError

    def height(self) -> int:
        return self.ask(INFO).info.last_block_height

    def is_hung_up(self) -> bool:
        """Whether the other side ends the conversation, whatever it said before."""
        with suppress(ConnectionError):
            while self.socket.recv(65_536):
                pass
        return True


INFO = pb.Request(info=pb.RequestInfo())
COMMIT = pb.Request(commit=pb.RequestCommit())


def init(**changes: object) -> pb.Request:
    request = init_request()
    request.MergeFrom(pb.RequestInitChain(**changes))  # type: ignore[arg-type]
    return pb.Request(init_chain=request)


def finalize(height: int) -> pb.Request:
    return pb.Request(finalize_block=pb.RequestFinalizeBlock(height=height))


@pytest.fixture(scope="module", params=CHAINS)
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Solo]:
    """An application that nobody has spoken to."""
    solo = Solo(tmp_path_factory.mktemp("a"), request.param, genesis_bytes())
    solo.start_app()
    yield solo
    solo.stop(signal.SIGKILL)


def resident_bytes(solo: Solo) -> int:
    assert solo.app is not None
    status = Path(f"/proc/{solo.app.pid}/statm").read_text()
    return int(status.split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- what is no request

FRAMES = {
    "a frame over the bound": encode_size(MAX_FRAME_BYTES + 1),
    "a size of 2^63": encode_size(1 << 63),
    "a size without end": b"\xff" * 4096,
    "a size spelled in six bytes": b"\x83\x80\x80\x80\x80\x00abc",
    "an empty request": b"\x00",
    "noise": b"\x05\xff\xff\xff\xff\xff",
    "text": b"GET / HTTP/1.1\r\n" + b"host: localhost\r\n" * 8,
    "a kind that is reserved": b"\x02\x22\x00",
    "a kind of a later version": b"\x04\xfa\x01\x01\x00",
    "a length that lies": b"\x03\x42\x7f\x00",
    "an echo that is not UTF-8": b"\x05\x0a\x03\x0a\x01\xff",
    "a group that never ends": b"\x02\x0b\x0b",
    "a field of number zero": b"\x02\x00\x00",
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_what_is_no_request_ends_its_connection_alone(app: Solo, frame: bytes) -> None:
    with Comet(app.socket) as bystander, Comet(app.socket) as odd:
        odd.socket.sendall(frame)

        assert odd.is_hung_up()
        assert bystander.height() == 0


@pytest.mark.parametrize(
    "start", [b"\x80", b"\x40", b"\x40\x42", encode_size(MAX_FRAME_BYTES) + b"x"]
)
def test_a_connection_that_breaks_off_is_forgotten(app: Solo, start: bytes) -> None:
    with Comet(app.socket) as odd:
        odd.socket.sendall(start)

    with Comet(app.socket) as good:
        assert good.height() == 0


def test_a_request_that_drips_holds_up_nobody(app: Solo) -> None:
    body = INFO.SerializeToString()
    frame = encode_size(len(body)) + body
    with Comet(app.socket) as slow, Comet(app.socket) as good:
        [drip(slow, frame[at : at + 1], good) for at in range(len(frame) - 1)]

        slow.socket.sendall(frame[-1:])

        assert slow.socket.recv(65_536)


def drip(slow: Comet, byte: bytes, good: Comet) -> None:
    slow.socket.sendall(byte)
    assert good.height() == 0


def test_a_fifth_connection_waits_until_one_of_the_four_ends(app: Solo) -> None:
    held = [Comet(app.socket) for _ in range(MAX_CONNECTIONS)]
    assert [each.height() for each in held] == [0] * MAX_CONNECTIONS
    with Comet(app.socket) as fifth:
        fifth.send(INFO)
        fifth.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            fifth.socket.recv(1)

        held[0].socket.close()

        fifth.socket.settimeout(PATIENCE_S)
        assert fifth.socket.recv(65_536)
    [each.socket.close() for each in held]


def test_the_largest_frames_leave_no_memory_behind(app: Solo) -> None:
    """Four of 64 MiB each, cut off at the end; then what is held is what was held before."""
    before = resident_bytes(app)
    for _ in range(4):
        with Comet(app.socket) as odd:
            odd.socket.sendall(encode_size(MAX_FRAME_BYTES) + bytes(MAX_FRAME_BYTES - 1))
            odd.socket.shutdown(socket.SHUT_WR)
            assert odd.is_hung_up()

    with Comet(app.socket) as good:
        assert good.height() == 0
    assert resident_bytes(app) < before + 32 * MIB


def test_answers_that_nobody_reads_hold_up_only_their_asker(app: Solo) -> None:
    with Comet(app.socket) as deaf, Comet(app.socket) as good:
        deaf.socket.settimeout(1)
        with suppress(TimeoutError):
            deaf.send(*[INFO] * 200_000)

        assert good.height() == 0


# --- orders that stop the process: its own state comes first

STOPS: dict[str, tuple[tuple[pb.Request, ...], str]] = {
    "commit first": ((COMMIT,), "Commit without a FinalizeBlock"),
    "a block before genesis": ((finalize(1),), "FinalizeBlock before InitChain"),
    "a block too far": ((init(), finalize(7)), "FinalizeBlock at height 7"),
    "a block of the past": ((init(), finalize(0)), "FinalizeBlock at height 0"),
    "a negative height": (
        (init(), finalize(-(1 << 63))),
        "FinalizeBlock at height -9223372036854775808",
    ),
    "two commits": ((init(), finalize(1), COMMIT, COMMIT), "Commit without a FinalizeBlock"),
    "genesis twice": ((init(), finalize(1), COMMIT, init()), "InitChain on a state of height 1"),
    "genesis of no state": ((init(app_state_bytes=b"{}"),), "app_state is not one JSON string"),
    "genesis of noise": ((init(app_state_bytes=b"\xff"),), "app_state is not JSON"),
    "genesis of odd base64": ((init(app_state_bytes=b'"\\u0661"'),), "app_state is not base64"),
    "genesis of other bytes": ((init(app_state_bytes=wrapped(b"\x90")),), "app_state: "),
    "genesis of blocks without room": (
        (
            init(
                app_state_bytes=wrapped(state_bytes("currency", replace(RULES, max_block_bytes=0)))
            ),
        ),
        "a block of 0 bytes",
    ),
    "genesis at height 5": ((init(initial_height=5),), "initial_height is 5"),
    "a validator anybody can be": (
        (init(validators=[pb.ValidatorUpdate(pub_key=keys_pb2.PublicKey(ed25519=bytes(32)))]),),
        "not a strong Ed25519 key",
    ),
}


@pytest.mark.parametrize(("orders", "reason"), STOPS.values(), ids=STOPS)
def test_a_wrong_order_stops_the_process_with_its_reason_and_leaves_the_disk_alone(
    tmp_path_factory: pytest.TempPathFactory, orders: tuple[pb.Request, ...], reason: str
) -> None:
    solo = Solo(tmp_path_factory.mktemp("a"), "abci_currency", genesis_bytes())
    solo.start_app()
    assert solo.app is not None
    committed = len([each for each in orders[:-1] if each == COMMIT])
    with Comet(solo.socket) as comet:
        [comet.ask(order) for order in orders[:-1]]

        comet.send(orders[-1])

        assert comet.is_hung_up()
    assert solo.app.wait(PATIENCE_S) == 1
    assert reason in solo.logs()
    solo.start_app()
    with Comet(solo.socket) as comet:
        assert comet.height() == committed
    solo.stop(signal.SIGKILL)
