"""ABCI 2.0 server on a UNIX socket: one blocking thread per connection, answers in order.

CheckTx requests that wait together are answered together: one turn on the state, one write. What
comes in is bounded and parsed here; what it means is the application's business. A frame that is
not ABCI ends its connection. An exception from the application ends the process: it is never
turned into an answer, because a stopped node beats a forked one.
Source: CometBFT v0.40.0 spec/abci/abci++_client_server.md; ADR 1.
"""

from __future__ import annotations

import os
import selectors
import socket
import stat
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError, Message

from dchat.kernel.errors import OperatorError
from dchat.node import log
from dchat.node.bell import Bell
from dchat.node.frames import BadFrame, encode_size
from dchat.node.inbox import HungUp, Inbox
from dchat.node.proto import abci_pb2 as pb
from dchat.node.requests import BESIDE, HANDLERS, MEMPOOL, Application, Handler
from dchat.node.turns import Turns

MAX_CONNECTIONS: Final = 4
"""CometBFT opens four: consensus, mempool, query, snapshot."""

MAX_PATH_BYTES: Final = 107
"""What fits into `sockaddr_un.sun_path` with its closing zero."""

RUN: Final = 64
"""The most CheckTx in one turn on the state, so that consensus waits a few milliseconds at most."""

RUN_BYTES: Final = 16 * 1024
"""A run ends where it has so many: behind a bundle of a hundred transfers, which takes 8 ms."""

SEND_AT_BYTES: Final = 256 * 1024
"""Answers waiting beyond this are written without waiting for a Flush."""

SEND_AFTER: Final = MEMPOOL | {"flush"}
"""Answers that the peer waits for."""

STOP_GRACE_S: Final = 10.0
"""How long an answer may stay unread by the peer once we stop."""

logger: Final = log.get(__name__)


class _Office:
    """Frames in, frames out: parses requests, waits for a turn, frames the answers."""

    def __init__(self, app: Application, handlers: Mapping[str, Handler]) -> None:
        fields = pb.Response.DESCRIPTOR.fields_by_name
        self._app = app
        self._handlers = handlers
        self._turns = Turns()
        self._tags = {kind: _tag(fields[kind].number) for kind in HANDLERS}
        asked = pb.Request.DESCRIPTOR.fields_by_name
        self._run_tags = {_tag(asked[kind].number) for kind in ("check_tx", "flush")}

    def answer(self, inbox: Inbox) -> tuple[str, bytes]:
        """The kind of the next request, which must wait, and its answer, ready to send.

        Where that is a CheckTx, the CheckTx and Flush behind it are answered as well.
        Raises: BadFrame, DecodeError.
        """
        kind, request = _parse(inbox.take())
        if kind in MEMPOOL:
            return kind, self._answer_run(kind, request, inbox)
        if kind in BESIDE:
            return kind, self._answer(kind, request)
        with self._turns.consensus:
            return kind, self._answer(kind, request)

    def mempool_gone(self) -> None:
        """The application knows that what waited does not wait any more."""
        with self._turns.consensus:
            self._app.mempool_gone()

    def _answer_run(self, kind: str, request: pb.Request, inbox: Inbox) -> bytes:
        run, size = [(kind, request)], len(request.check_tx.tx)
        while len(run) < RUN and size < RUN_BYTES and inbox.first_byte() in self._run_tags:
            run.append(_parse(inbox.take()))
            size += len(run[-1][1].check_tx.tx)
        self._foretell([request.check_tx for kind, request in run if kind == "check_tx"])
        with self._turns.mempool:
            return b"".join([self._answer(kind, request) for kind, request in run])

    def _foretell(self, checks: Sequence[pb.RequestCheckTx]) -> None:
        new = [check.tx for check in checks if check.type == pb.NEW]
        if new:
            self._app.foresee(new)

    def _answer(self, kind: str, request: pb.Request) -> bytes:
        return self._framed(kind, self._handlers[kind](self._app, request))

    def _framed(self, kind: str, response: Message) -> bytes:
        """A `Response` message around `response`, without copying it into one."""
        body = response.SerializeToString()
        head = self._tags[kind] + encode_size(len(body))
        return encode_size(len(head) + len(body)) + head + body


def _tag(number: int) -> bytes:
    """What a message field of this number begins with."""
    return encode_size(number << 3 | 2)


def _parse(frame: bytes) -> tuple[str, pb.Request]:
    """The request and its kind. Raises: BadFrame, DecodeError."""
    request = pb.Request.FromString(frame)
    kind = request.WhichOneof("value")
    if kind is None:
        raise BadFrame("a request of no known kind")
    return kind, request


class _Conversation:
    """One connection from its first byte to its last."""

    def __init__(self, peer: socket.socket, office: _Office) -> None:
        self._peer = peer
        self._office = office
        self._inbox = Inbox(peer)
        self._ended = threading.Event()
        self._is_mempool = False

    def run(self) -> None:
        """Answers until either side ends it. Raises: whatever the application raises."""
        with self._peer:
            try:
                while not self._ended.is_set():
                    self._inbox.wait()
                    self._answer()
                    self._inbox.top_up()
                self._inbox.discard()
            except HungUp:
                logger.info("abci_connection_closed", unfinished=self._inbox.unfinished_bytes())
            except (BadFrame, DecodeError) as fault:
                logger.warning("abci_frame_refused", reason=str(fault))
        if self._is_mempool:
            self._office.mempool_gone()

    def end(self) -> None:
        """The request or run of CheckTx in hand is finished, nothing after it is begun."""
        self._ended.set()
        with suppress(OSError):  # closed at the same moment
            self._peer.shutdown(socket.SHUT_RD)

    def cut(self) -> None:
        """An answer that the peer does not read is given up."""
        with suppress(OSError):
            self._peer.shutdown(socket.SHUT_RDWR)

    def _answer(self) -> None:
        """Everything up to the next Flush or the end of a run of CheckTx, in one write."""
        waiting: list[bytes] = []
        size = 0
        while len(self._inbox) and size <= SEND_AT_BYTES and not self._ended.is_set():
            kind, answer = self._office.answer(self._inbox)
            waiting.append(answer)
            size += len(answer)
            self._is_mempool |= kind in MEMPOOL
            if kind in SEND_AFTER:
                break
        self._send(waiting)

    def _send(self, answers: list[bytes]) -> None:
        try:
            self._peer.sendall(b"".join(answers))
        except ConnectionError as fault:
            raise HungUp from fault


def serve(
    path: Path, app: Application, stop: Bell, handlers: Mapping[str, Handler] = HANDLERS
) -> None:
    """Returns once `stop` rang, the request in hand was answered and the socket is gone.

    The socket is owner-only, in an owner-only directory. Raises: OperatorError where `path`
    cannot be served; whatever the application raises, after every other connection has ended.
    """
    listener = _listen(path)
    try:
        _Server(listener, _Office(app, handlers), stop).run()
    finally:
        listener.close()
        path.unlink(missing_ok=True)


class _Server:
    """Accepts up to MAX_CONNECTIONS, waits for the bell, passes on what a thread raised."""

    def __init__(self, listener: socket.socket, office: _Office, stop: Bell) -> None:
        self._listener = listener
        self._office = office
        self._stop = stop
        self._over = Bell()
        self._live: dict[Future[None], _Conversation] = {}

    def run(self) -> None:
        with self._over, ThreadPoolExecutor(MAX_CONNECTIONS, "abci") as threads:
            try:
                while not self._stop.rung:
                    self._wait()
                    self._over.quiet()
                    self._bury()
                    self._accept(threads)
            finally:
                self._hang_up()
        self._bury()

    def _hang_up(self) -> None:
        for conversation in self._live.values():
            conversation.end()
        for future in wait(self._live, STOP_GRACE_S).not_done:
            self._live[future].cut()

    def _wait(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._stop, selectors.EVENT_READ)
            selector.register(self._over, selectors.EVENT_READ)
            if len(self._live) < MAX_CONNECTIONS:
                selector.register(self._listener, selectors.EVENT_READ)
            selector.select()

    def _bury(self) -> None:
        for future in [future for future in self._live if future.done()]:
            del self._live[future]
            future.result()

    def _accept(self, threads: ThreadPoolExecutor) -> None:
        if self._stop.rung or len(self._live) >= MAX_CONNECTIONS:
            return
        try:
            peer, _ = self._listener.accept()
        except BlockingIOError:
            return
        peer.settimeout(None)
        conversation = _Conversation(peer, self._office)
        future = threads.submit(conversation.run)
        self._live[future] = conversation
        future.add_done_callback(lambda _: self._over.ring())


def _listen(path: Path) -> socket.socket:
    """A listening socket at `path`, mode 0600. Raises: OperatorError."""
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise OperatorError(
            f"socket path is {len(os.fsencode(path))} bytes long, {MAX_PATH_BYTES} is the most "
            f"that the system takes: {path}",
            hint="choose a shorter runtime directory, for example under /run or /tmp",
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_shared(path.parent)
        _remove_stale(path)
        return _bind(path)
    except OSError as fault:
        raise OperatorError(f"cannot listen on {path}: {fault.strerror}") from fault


def _bind(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(os.fspath(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.listen(MAX_CONNECTIONS)
    listener.settimeout(0)
    return listener


def _refuse_shared(directory: Path) -> None:
    if directory.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OperatorError(
            f"others may write to the socket's directory: {directory}",
            hint=f"chmod 700 {directory}",
        )


def _remove_stale(path: Path) -> None:
    """Nothing is at `path`. Raises: OperatorError where it is served, or is not a socket."""
    if not path.exists() and not path.is_symlink():
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise OperatorError(f"not a socket, left alone: {path}", hint="choose another --socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(os.fspath(path)) == 0:
            raise OperatorError(
                f"another process serves {path}", hint="stop it, or choose another --socket"
            )
    path.unlink()
