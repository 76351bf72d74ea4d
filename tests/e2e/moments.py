"""A chain that is stopped at chosen moments, and put back to what its disk held earlier."""

from __future__ import annotations

import re
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from tests.e2e.load import ORDERS, Load, rich_genesis
from tests.e2e.solo import PATIENCE_S, Solo

# Blocks only when there is something to put in: a chain rests between two orders.
IDLE = {"create_empty_blocks": "false", "timeout_commit": '"20ms"'}
SEEN = re.compile(r"ABCI Replay Blocks .*appHeight=(\d+) storeHeight=(\d+) stateHeight=(\d+)")
# How often CometBFT passes a fail point before this one; two votes come first.
# Source: CometBFT v0.40.0 consensus/state.go finalizeCommit, state/execution.go applyBlock.
POINTS = {
    "voted": 1,
    "block_stored": 3,
    "block_ended": 4,
    "executed": 5,
    "response_saved": 6,
    "app_committed": 7,
    "state_saved": 8,
}
COMETBFT, APP = "data", "state"


@dataclass
class Moments:
    """One validator's chain: CometBFT's directory, the application's, and copies of both."""

    name: str
    solo: Solo
    load: Load

    @staticmethod
    def of(name: str, home: Path, **settings: str) -> Moments:
        """A chain that was not started yet."""
        solo = Solo(
            home,
            f"abci_{name}",
            rich_genesis(),
            settings={**IDLE, **settings},
            log_level="consensus:info,*:error",
        )
        return Moments(name, solo, Load(solo, ORDERS[name]))

    def start(self) -> None:
        """Both processes run, undisturbed."""
        self.solo.node_env = {}
        self.solo.start()

    def order(self) -> int:
        """One more order is carried out; the height at which the chain rests again."""
        answer = self.solo.commit(self.load.signed(self.load.committed_nonce()))
        assert answer["tx_result"]["code"] == 0, answer
        rest = int(answer["height"]) + 1
        self.solo.wait_for_height(rest)
        return rest

    def strike(self, point: str) -> None:
        """CometBFT ended at that point of a block with an order; the application was killed."""
        self._start_to_end_at(point)
        self.solo.wait_for_height(1)
        with suppress(OSError, HTTPException):
            self.solo.submit(self.load.signed(self.load.committed_nonce()))
        self._bury()

    def strike_first_block(self, point: str) -> None:
        """The same in the first block of a new chain."""
        self._start_to_end_at(point)
        self._bury()

    def _start_to_end_at(self, point: str) -> None:
        self.solo.node_env = {"FAIL_TEST_INDEX": str(POINTS[point])}
        self.solo.start()

    def _bury(self) -> None:
        assert self.solo.node is not None
        assert self.solo.node.wait(PATIENCE_S) == 1
        self.solo.stop(signal.SIGKILL)

    def refused(self) -> str:
        """CometBFT gives up at once over what it finds; its last words."""
        before = len(self._log())
        self.start()
        assert self.solo.node is not None
        assert self.solo.node.wait(PATIENCE_S) != 0
        self.solo.stop(signal.SIGKILL)
        return self._log()[before:]

    def handshakes(self) -> list[tuple[int, ...]]:
        """What each start found: heights of the application, CometBFT's blocks, its state."""
        return [tuple(map(int, found)) for found in SEEN.findall(self._log())]

    def save(self, moment: str) -> None:
        """Keep what both have on disk; neither runs."""
        for part in (COMETBFT, APP):
            if (self.solo.home / part).exists():
                shutil.copytree(self.solo.home / part, self.solo.home / "saved" / moment / part)

    def put_back(self, moment: str, *parts: str) -> None:
        """These directories are what they were at that moment."""
        for part in parts:
            shutil.rmtree(self.solo.home / part, ignore_errors=True)
            saved = self.solo.home / "saved" / moment / part
            if saved.exists():
                shutil.copytree(saved, self.solo.home / part)

    def _log(self) -> str:
        log = self.solo.home / "node.log"
        return log.read_text(errors="replace") if log.exists() else ""
