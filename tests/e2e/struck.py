"""A chain whose application is struck at named points, and what a client of it was told."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from dchat.node.storage import Storage
from tests.e2e.solo import PATIENCE_S, Solo
from tests.fakes.naive_tree import naive_root
from tests.faults import blow as blows
from tests.faults import disk
from tests.faults.blow import Blow

POLL_S = 0.02
NODE_GRACE_S = 5
# So that pruning is under way from the first blocks on.
KEEP = 4


@dataclass
class Struck(Solo):
    """A chain that is struck; what died is started again with the blows that are left."""

    machine: str = "currency"
    backend: str = "leveldb"
    blows: tuple[Blow, ...] = ()
    library: Path | None = None
    keep: int = KEEP

    @property
    def chain(self) -> str:
        return self.machine

    @property
    def marker(self) -> Path:
        return self.home / "struck"

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def node_pid(self) -> Path:
        return self.home / "node.pid"

    def struck(self) -> tuple[Blow, ...]:
        """Every blow so far, with those whom it hit."""
        return blows.parse_lines(self.marker.read_text()) if self.marker.exists() else ()

    def start(self) -> None:
        """Start what is not running; a blow at the application's start ends this early."""
        before = len(self.struck())
        if self.app is None:
            self.start_app()
        if self.node is None and len(self.struck()) == before:
            self.start_node()

    def start_app(self) -> None:
        """Returns once it serves, or was struck before it could."""
        before = len(self.struck())
        with (self.home / "app.log").open("ab") as log:
            self.app = subprocess.Popen(
                self._command(), stdout=log, stderr=log, env=self._environment()
            )
        try:
            self._wait_for_socket()
        except AssertionError:
            if len(self.struck()) == before:
                raise

    def start_node(self) -> None:
        super().start_node()
        assert self.node is not None
        fresh = self.node_pid.with_suffix(".new")
        fresh.write_text(str(self.node.pid))
        fresh.rename(self.node_pid)

    def wait_for_blow(self, number: int) -> Blow:
        """Return the blow, with those whom it hit."""
        self.poll(lambda: len(self.struck()) >= number, f"blow at {self.blows[number - 1]}")
        return self.struck()[number - 1]

    def poll(self, holds: Callable[[], bool], what: str) -> None:
        """Returns once it holds; an OSError counts as not yet."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with suppress(OSError):
                if holds():
                    return
            time.sleep(POLL_S)
        raise AssertionError(f"no {what}\n{self.logs()}")

    def bury(self, hit: Blow) -> None:
        """Wait for the end of whom the blow hit, and of CometBFT with its application."""
        if hit.hits_app:
            assert self.app is not None
            assert self.app.wait(PATIENCE_S) == -signal.SIGKILL, self.logs()
            self.app = None
        self.end_node()
        following = self.blows[len(self.struck()) :]
        if self.app is not None and following and following[0].is_disk:
            self.app.kill()
            self.app.wait()
            self.app = None

    def end_node(self) -> None:
        """CometBFT was killed, or is stopped as the supervisor does when its application ends.

        It notices that by itself, but now and then hangs while it stops.
        """
        if self.node is not None:
            self.node.terminate()
            try:
                self.node.wait(NODE_GRACE_S)
            except subprocess.TimeoutExpired:
                self.node.kill()
                self.node.wait()
            self.node = None
        self.node_pid.unlink(missing_ok=True)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> list[int | None]:
        codes = super().stop(number)
        self.node_pid.unlink(missing_ok=True)
        return codes

    def headers(self) -> dict[int, tuple[str, str]]:
        """Block hash and app hash of every height."""
        found: dict[int, tuple[str, str]] = {}
        for height in range(1, self.height() + 1):
            block = self.rpc("block", height=str(height))
            found[height] = (block["block_id"]["hash"], block["block"]["header"]["app_hash"])
        return found

    def _command(self) -> list[str]:
        left = self.blows[len(self.struck()) :]
        return [
            *(sys.executable, "-W", "error", "-m", "tests.e2e.faulty_app"),
            *("--machine", self.machine, "--blows", ",".join(map(str, left))),
            *("--keep", str(self.keep), "--backend", self.backend),
            *("--socket", str(self.socket), "--data-dir", str(self.state)),
            *self.app_args,
        ]

    def _environment(self) -> dict[str, str]:
        left = self.blows[len(self.struck()) :]
        if not left or not left[0].is_disk:
            return {**os.environ}
        assert self.library is not None
        return {**os.environ, **disk.environment(self.library, left[0], self.state)}


def check_whole(state: Path, backend: str) -> int:
    """What is on disk is the state of one block; its height.

    It is looked at in a copy, so that nothing is repaired.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "state"
        shutil.copytree(state, copy)
        with closing(Storage.open(copy, backend, KEEP)) as storage:
            assert naive_root(dict(storage.latest().scan(b""))) == storage.app_hash, state
            return storage.height


@dataclass
class Witness:
    """What a client of the chain was told; none of it may ever change."""

    solo: Solo
    over: threading.Event = field(default_factory=threading.Event)
    seen: dict[int, tuple[str, str]] = field(default_factory=dict)

    def run(self) -> None:
        while not self.over.wait(POLL_S):
            with suppress(OSError, ValueError):
                said = self.solo.rpc("status")["sync_info"]
                height = int(said["latest_block_height"])
                self.solo.query("/store", b"anything")
                if height:
                    self.seen[height] = (said["latest_block_hash"], said["latest_app_hash"])

    @property
    def height(self) -> int:
        return max(self.seen, default=0)

    def changed(self, headers: dict[int, tuple[str, str]]) -> list[int]:
        """The heights at which the chain is not what it was said to be."""
        return [height for height, told in self.seen.items() if headers.get(height) != told]


@contextmanager
def witness(solo: Solo) -> Generator[Witness]:
    """Watch the chain within the block."""
    watching = Witness(solo)
    thread = threading.Thread(target=watching.run)
    thread.start()
    try:
        yield watching
    finally:
        watching.over.set()
        thread.join()
