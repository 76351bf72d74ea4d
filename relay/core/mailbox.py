"""One mailbox as one session sees it: its page and its watch, each a table.

IDLE --pull--> READING --found--> OFFERED --ack--> CLEARING --cleared--> IDLE
                  |---- empty, failed ----> IDLE       '---- failed ----> OFFERED
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from dchat.kernel.errors import LocalProtocolError
from relay.core.refusals import Refusal


class Paging(Enum):
    """Where the one page that a session may have of a mailbox stands."""

    IDLE = auto()
    READING = auto()
    OFFERED = auto()
    CLEARING = auto()


class PageSignal(Enum):
    """What may happen to it."""

    PULL = auto()
    FOUND = auto()
    EMPTY = auto()
    ACK = auto()
    CLEARED = auto()
    FAILED = auto()


PAGE_STEPS: Final[Mapping[tuple[Paging, PageSignal], Paging | Refusal]] = {
    (Paging.IDLE, PageSignal.PULL): Paging.READING,
    (Paging.READING, PageSignal.PULL): Refusal.PAGE_OUTSTANDING,
    (Paging.OFFERED, PageSignal.PULL): Refusal.PAGE_OUTSTANDING,
    (Paging.CLEARING, PageSignal.PULL): Refusal.PAGE_OUTSTANDING,
    (Paging.READING, PageSignal.FOUND): Paging.OFFERED,
    (Paging.READING, PageSignal.EMPTY): Paging.IDLE,
    (Paging.READING, PageSignal.FAILED): Paging.IDLE,
    (Paging.OFFERED, PageSignal.ACK): Paging.CLEARING,
    (Paging.IDLE, PageSignal.ACK): Refusal.NO_SUCH_PAGE,
    (Paging.READING, PageSignal.ACK): Refusal.NO_SUCH_PAGE,
    (Paging.CLEARING, PageSignal.ACK): Refusal.NO_SUCH_PAGE,
    (Paging.CLEARING, PageSignal.CLEARED): Paging.IDLE,
    (Paging.CLEARING, PageSignal.FAILED): Paging.OFFERED,
}


class Watched(Enum):
    """Whether the session was told of mail since it last pulled."""

    QUIET = auto()
    TOLD = auto()


class WatchSignal(Enum):
    """What may happen to a watch."""

    ARRIVED = auto()
    PULLED = auto()


WATCH_STEPS: Final[Mapping[tuple[Watched, WatchSignal], tuple[Watched, bool]]] = {
    (Watched.QUIET, WatchSignal.ARRIVED): (Watched.TOLD, True),
    (Watched.TOLD, WatchSignal.ARRIVED): (Watched.TOLD, False),
    (Watched.QUIET, WatchSignal.PULLED): (Watched.QUIET, False),
    (Watched.TOLD, WatchSignal.PULLED): (Watched.QUIET, False),
}
"""The watch afterwards, and whether to send Mail now."""


def step_page(paging: Paging, signal: PageSignal) -> Paging | Refusal:
    """Return the page's next state, or why the peer may not. Raises: LocalProtocolError."""
    try:
        return PAGE_STEPS[paging, signal]
    except KeyError:
        raise LocalProtocolError(f"{paging.name} cannot take {signal.name}") from None


def step_watch(watched: Watched, signal: WatchSignal) -> tuple[Watched, bool]:
    """Return the watch's next state and whether to send Mail."""
    return WATCH_STEPS[watched, signal]
