"""Where an application's time goes: per kind of request, how often and how long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, cast

from google.protobuf.message import Message

from dchat.node.clock import monotonic_ns
from dchat.node.proto import abci_pb2 as pb
from dchat.node.requests import Application, Handler

NS_PER_US: Final = 1000


@dataclass(slots=True)
class Spent:
    """Calls of one kind, the transactions in them, and nanoseconds they took together."""

    calls: int = 0
    txs: int = 0
    took_ns: int = 0


@dataclass(slots=True)
class Totals:
    """Sums since the process began; safe to add to from any thread."""

    spent: dict[str, Spent] = field(default_factory=dict[str, Spent])
    _changing: Lock = field(default_factory=Lock)

    def add(self, kind: str, txs: int, took_ns: int) -> None:
        """One more call is counted."""
        with self._changing:
            sums = self.spent.setdefault(kind, Spent())
            sums.calls += 1
            sums.txs += txs
            sums.took_ns += took_ns

    def lines(self) -> Iterator[dict[str, str | int | float]]:
        """One record a kind, the most expensive first; times in microseconds."""
        for kind, sums in sorted(self.spent.items(), key=lambda entry: -entry[1].took_ns):
            took_us = sums.took_ns // NS_PER_US
            yield {
                "kind": kind,
                "calls": sums.calls,
                "txs": sums.txs,
                "took_us": took_us,
                "us_per_call": round(took_us / sums.calls, 1),
                "us_per_tx": round(took_us / sums.txs, 1) if sums.txs else 0,
            }


def timed(handlers: Mapping[str, Handler], totals: Totals) -> dict[str, Handler]:
    """The same handlers, each counted in `totals`; rechecks apart from first checks."""
    return {kind: _timed(kind, handler, totals) for kind, handler in handlers.items()}


def watched(app: Application, totals: Totals) -> Application:
    """The same application, but what it foresees is counted too: no request stands for that."""
    return cast("Application", _Watched(app, totals))


class _Watched:
    def __init__(self, app: Application, totals: Totals) -> None:
        self._app = app
        self._totals = totals

    def foresee(self, txs: Sequence[bytes]) -> None:
        start = monotonic_ns()
        self._app.foresee(txs)
        self._totals.add("foresee", len(txs), monotonic_ns() - start)

    def __getattr__(self, name: str) -> object:
        return getattr(self._app, name)


def _timed(kind: str, handler: Handler, totals: Totals) -> Handler:
    def measure(app: Application, request: pb.Request) -> Message:
        start = monotonic_ns()
        response = handler(app, request)
        totals.add(_name(kind, request), _txs(kind, request), monotonic_ns() - start)
        return response

    return measure


def _name(kind: str, request: pb.Request) -> str:
    if kind == "check_tx" and request.check_tx.type == pb.RECHECK:
        return "recheck_tx"
    return kind


def _txs(kind: str, request: pb.Request) -> int:
    match kind:
        case "check_tx":
            return 1
        case "prepare_proposal":
            return len(request.prepare_proposal.txs)
        case "process_proposal":
            return len(request.process_proposal.txs)
        case "finalize_block":
            return len(request.finalize_block.txs)
        case _:
            return 0
