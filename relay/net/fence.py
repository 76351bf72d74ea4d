"""What a peer can break in foreign code ends that peer's stream or connection, nothing else.

py-libp2p lets bad UTF-8, malformed protobuf and plain end-of-stream escape as whatever exception
the parser happened to raise, and one that reaches its task tree ends the process.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from dchat.kernel.errors import DchatError, InvariantBroken, RemoteProtocolError
from dchat.node import log

logger = log.get(__name__)


class PeerFailed(RemoteProtocolError):
    """Talking to the peer failed; the stream or connection is gone. The cause is chained."""


@contextmanager
def blamed_on_peer(doing: str) -> Generator[None, None, None]:
    """Turn what foreign code raises into PeerFailed; our own errors pass through.

    Raises: PeerFailed.
    """
    try:
        yield
    except DchatError:
        raise
    except Exception as error:
        raise PeerFailed(f"{doing}: {type(error).__name__}: {error}") from error


@contextmanager
def contained(doing: str) -> Generator[None, None, None]:
    """Log and drop whatever a peer's stream or connection raises, so that the others live on.

    A fault of the peer is routine. Any other exception is our bug and is logged with its
    traceback. Raises: InvariantBroken alone.
    """
    try:
        yield
    except InvariantBroken:
        raise
    except RemoteProtocolError as error:
        logger.debug("peer_dropped", doing=doing, reason=str(error))
    except Exception as error:
        # The fence round one peer: without it one bad byte ends the process.
        logger.exception("peer_task_failed", doing=doing, kind=type(error).__name__)


@contextmanager
def lone_error() -> Generator[None, None, None]:
    """Let an exception that is alone in its group leave as itself.

    A nursery wraps even its own body's exception, and `except LinkClosed` round it would miss it.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        alone = _alone(group)
        raise alone from alone.__cause__


def _alone(error: BaseException) -> BaseException:
    match error:
        case BaseExceptionGroup(exceptions=(only,)):
            return _alone(only)
        case _:
            return error
