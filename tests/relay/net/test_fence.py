from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
import trio

from dchat.kernel.errors import DchatError, InvariantBroken, OperatorError
from dchat.node import log
from dchat.node.log import LogSettings
from relay.net.fence import PeerFailed, blamed_on_peer, contained, lone_error


@pytest.fixture(autouse=True)
def _logging_is_restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("error", [ValueError("x"), ExceptionGroup("x", [KeyError()])], ids=repr)
def test_what_foreign_code_raises_is_blamed_on_the_peer(error: Exception) -> None:
    with pytest.raises(PeerFailed) as blamed, blamed_on_peer("parsing"):
        raise error

    assert blamed.value.__cause__ is error


def test_our_own_errors_are_not_blamed_on_the_peer() -> None:
    with pytest.raises(OperatorError), blamed_on_peer("parsing"):
        raise OperatorError("mine")


@pytest.mark.parametrize("error", [PeerFailed("gone"), KeyError("bug"), DchatError("x")], ids=repr)
def test_an_error_inside_the_fence_stays_there(error: Exception) -> None:
    with contained("stream"):
        raise error


@pytest.mark.parametrize(
    ("error", "event"),
    [(PeerFailed("gone"), "peer_dropped"), (KeyError("bug"), "peer_task_failed")],
)
def test_an_error_inside_the_fence_is_logged_as_a_relay_logs(error: Exception, event: str) -> None:
    """A logger that the process's own set-up does not know would throw the error out again."""
    stream = io.StringIO()
    log.configure(LogSettings("debug", json_logs=True), stream)

    with contained("stream"):
        raise error

    written = json.loads(stream.getvalue())
    assert (written["event"], written["logger"]) == (event, "relay.net.fence")


def test_a_broken_invariant_leaves_the_fence() -> None:
    with pytest.raises(InvariantBroken), contained("stream"):
        raise InvariantBroken


def test_a_cancellation_leaves_the_fence() -> None:
    async def main() -> bool:
        with trio.move_on_after(0) as scope, contained("stream"):
            await trio.sleep_forever()
        return scope.cancelled_caught

    assert trio.run(main)


def test_an_error_alone_in_its_groups_leaves_as_itself() -> None:
    error = DchatError("x")

    with pytest.raises(DchatError) as left, lone_error():
        raise ExceptionGroup("outer", [ExceptionGroup("inner", [error])])

    assert left.value is error


def test_errors_that_are_not_alone_leave_as_a_group() -> None:
    with pytest.raises(ExceptionGroup), lone_error():
        raise ExceptionGroup("two", [DchatError("x"), DchatError("y")])
