"""Parts for an application's process that end it, CometBFT or both at a chosen step."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from google.protobuf.message import Message

from dchat.node.process import Parts
from dchat.node.proto import abci_pb2 as pb
from dchat.node.requests import HANDLERS, Application, Handler
from dchat.node.storage import BACKENDS
from dchat.node.stores.backend import Backend, Reader, Tuning, Write
from tests.faults.blow import Blow

PATIENCE_S = 1


@dataclass
class Fuse:
    """Strikes one blow after the other as their points are passed, from any thread."""

    blows: list[Blow]
    marker: Path
    node_pid: Path
    _passed: int = 0
    _killed: int = 0
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def passing(self, point: str) -> None:
        with self._turn:
            if not self.blows or self.blows[0].point != point or self._is_waiting():
                return
            self._passed += 1
            if self._passed == self.blows[0].nth:
                self._passed = 0
                self._strike(self.blows.pop(0))

    def _is_waiting(self) -> bool:
        """Whether CometBFT was killed and is not back yet: what it asked before does not count."""
        return self._killed != 0 and self._node() in {0, self._killed}

    def _strike(self, blow: Blow) -> None:
        """The marker comes first: once a victim is seen dead, it is known why."""
        self._killed = self._expected_node() if blow.hits_node else 0
        if not self._killed:
            blow = replace(blow, victims="app")
        with self.marker.open("a") as file:
            file.write(f"{blow}\n")
        if self._killed:
            os.kill(self._killed, signal.SIGKILL)
        if blow.hits_app:
            os.kill(os.getpid(), signal.SIGKILL)

    def _expected_node(self) -> int:
        """CometBFT's process id, which is written just after it was started."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and not self._node():
            time.sleep(0.01)
        return self._node()

    def _node(self) -> int:
        """CometBFT's process id, 0 where none is running."""
        try:
            return int(self.node_pid.read_text())
        except FileNotFoundError:
            return 0


class BrittleStore:
    """A database behind a fuse."""

    def __init__(self, store: Backend, fuse: Fuse) -> None:
        self._store = store
        self._fuse = fuse
        self.where = store.where

    def get(self, key: bytes) -> bytes | None:
        return self._store.get(key)

    def entries(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._store.entries(start, stop, reverse=reverse)

    def write(self, writes: Iterable[Write]) -> None:
        batch = list(writes)
        kind = "prune" if all(value is None for _, value in batch) else "write"
        self._fuse.passing(f"{kind}.before")
        self._store.write(self._handed_over(batch, kind))
        self._fuse.passing(f"{kind}.after")

    def snapshot(self) -> Reader:
        reader = self._store.snapshot()
        self._fuse.passing("view.after")
        return reader

    def compact(self, start: bytes, stop: bytes) -> None:
        self._fuse.passing("compact.before")
        self._store.compact(start, stop)
        self._fuse.passing("compact.after")

    def close(self) -> None:
        self._store.close()

    def _handed_over(self, batch: list[Write], kind: str) -> Iterator[Write]:
        half = len(batch) // 2
        yield from batch[:half]
        self._fuse.passing(f"{kind}.half")
        yield from batch[half:]


def parts(fuse: Fuse, keep: int) -> Parts:
    """What `dchat.node.process` is put together from, each part behind the fuse."""
    handlers = {kind: _brittle(kind, handler, fuse) for kind, handler in HANDLERS.items()}
    backends = {name: _opener(opener, fuse) for name, opener in BACKENDS.items()}
    return Parts(handlers, backends, keep)


def _brittle(kind: str, handler: Handler, fuse: Fuse) -> Handler:
    def handle(app: Application, request: pb.Request) -> Message:
        fuse.passing(f"{kind}.asked")
        response = handler(app, request)
        fuse.passing(f"{kind}.answered")
        return response

    return handle


Opener = Callable[[Path, Tuning], Backend]


def _opener(opener: Opener, fuse: Fuse) -> Opener:
    return lambda path, tuning: BrittleStore(opener(path, tuning), fuse)
