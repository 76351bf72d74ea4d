"""The process that serves one chain's application to CometBFT, whichever chain it is.

    python -m abci_currency --socket PATH --data-dir DIR [--backend leveldb]
    python -m abci_chat --socket PATH --data-dir DIR [--beacon-secret FILE]

Logs go to stderr. Exit status: 0 after SIGTERM or SIGINT, 2 for a wrong command line, 1 for
everything else, with a traceback if the fault is ours.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dchat.kernel.errors import OperatorError
from dchat.kernel.machine import Machine
from dchat.node import log, secret
from dchat.node.abci import serve
from dchat.node.app import Node
from dchat.node.bell import Bell
from dchat.node.requests import HANDLERS, Application, Handler
from dchat.node.stats import Totals, timed, watched
from dchat.node.storage import BACKENDS, DEFAULT_KEEP, Storage
from dchat.node.stores.backend import Backend, Tuning

DONE: Final = 0
COLLECT_AT: Final = (50_000, 100, 100)
"""Objects that must be new before Python looks for cycles among them, and how often it looks again
at those that stay: hardly ever. With 40,000 transactions waiting a full look takes 0.3 s."""
DATABASE_SHARE: Final = 8
"""One part in so many of the cache is for the database's blocks, the rest for tree pages."""


@dataclass(frozen=True, slots=True)
class Options:
    """One process's command line."""

    socket: Path
    data_dir: Path
    backend: str
    page_cache_bytes: int
    tuning: Tuning
    log_level: str
    json_logs: bool
    stats: bool
    beacon_secret: Path | None = None
    """Where the secret of a chain whose proposers contribute is; its value is in no argv or log."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the process is put together from; tests that break it on purpose put in others."""

    handlers: Mapping[str, Handler]
    backends: Mapping[str, Callable[[Path, Tuning], Backend]]
    keep: int


REAL: Final = Parts(HANDLERS, BACKENDS, DEFAULT_KEEP)


def parse(machine: Machine, args: Sequence[str]) -> Options:
    """The options in `args`; a wrong command line exits with status 2."""
    parser = argparse.ArgumentParser(
        prog=f"python -m abci_{machine.name}",
        description=f"Serve the {machine.name} chain's application to CometBFT.",
        allow_abbrev=False,
    )
    parser.add_argument("--socket", type=Path, required=True, help="UNIX socket to serve on")
    parser.add_argument("--data-dir", type=Path, required=True, help="directory of the state")
    _add_database(parser)
    if machine.duty is not None:
        parser.add_argument(
            "--beacon-secret", type=Path, help="file of 32 bytes that this validator draws with"
        )
    parser.add_argument("--log-level", default="info", help="least level logged (%(default)s)")
    parser.add_argument("--json-logs", action="store_true", help="one JSON object a line")
    parser.add_argument("--stats", action="store_true", help="log time spent by request at the end")
    chosen = parser.parse_args(args)
    tuning = Tuning(
        cache_bytes=(chosen.cache_mib << 20) // DATABASE_SHARE,
        write_buffer_bytes=chosen.write_buffer_mib << 20,
        max_open_files=chosen.max_open_files,
        compaction_threads=chosen.compaction_threads,
    )
    return Options(
        socket=chosen.socket,
        data_dir=chosen.data_dir,
        backend=chosen.backend,
        page_cache_bytes=(chosen.cache_mib << 20) - tuning.cache_bytes,
        tuning=tuning,
        log_level=chosen.log_level,
        json_logs=chosen.json_logs,
        stats=chosen.stats,
        beacon_secret=getattr(chosen, "beacon_secret", None),
    )


def _add_database(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", choices=sorted(BACKENDS), default="leveldb", help="database (%(default)s)"
    )
    for name, preset, effect in (
        ("--cache-mib", 200, "memory for tree pages and database blocks (%(default)s)"),
        ("--write-buffer-mib", 16, "log that is sorted in at once (%(default)s)"),
        ("--max-open-files", None, "database files held open (not sqlite)"),
        ("--compaction-threads", None, "threads that tidy up (rocksdb)"),
    ):
        parser.add_argument(name, type=_positive, default=preset, help=effect)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def main(machine: Machine) -> None:
    """Serve `machine` as the command line of this process says; never returns."""
    sys.exit(run(machine, sys.argv[1:]))


def run(machine: Machine, args: Sequence[str], parts: Parts = REAL) -> int:
    """Serve until a signal says stop; the exit status. Our own faults propagate."""
    options = parse(machine, args)
    try:
        log.configure(log.settings(options.log_level, os.environ, json_logs=options.json_logs))
        _serve(machine, options, parts)
    except OperatorError as fault:
        print(f"dchat: error: {fault}", file=sys.stderr)  # noqa: T201 - the log may not be set up
        if fault.hint:
            print(f"dchat: hint: {fault.hint}", file=sys.stderr)  # noqa: T201
        return fault.exit_code
    return DONE


def _storage(options: Options, parts: Parts) -> Storage:
    backend = parts.backends[options.backend](options.data_dir, options.tuning)
    return Storage.over(backend, parts.keep, options.page_cache_bytes)


def _state_of(storage: Storage) -> dict[str, object]:
    """Return what tells this node's state from another's: `dchat query roots` shows the same."""
    _, found = storage.roots_at(0)
    roots = {root.module: f"{root.entries} {root.fingerprint.hex()}" for root in found.modules}
    return {"height": storage.height, "app_hash": storage.app_hash.hex(), "roots": roots}


def _serve(machine: Machine, options: Options, parts: Parts) -> None:
    logger = log.get(__name__).bind(chain=machine.name)
    totals = Totals()
    handlers = timed(parts.handlers, totals) if options.stats else parts.handlers
    drawing = secret.read(options.beacon_secret) if options.beacon_secret else b""
    with (
        Bell() as stop,
        closing(_storage(options, parts)) as storage,
    ):
        spare_collector()
        stop.on(signal.SIGTERM, signal.SIGINT)
        logger.info("application_started", **_state_of(storage))
        app: Application = Node(machine, storage, drawing)
        serve(options.socket, watched(app, totals) if options.stats else app, stop, handlers)
        for spent in totals.lines():
            logger.info("time_spent", **spent)
        logger.info("application_stopped", height=storage.height)


def spare_collector() -> None:
    """Python seldom looks for cycles, and never among what there is now.

    What grows here, waiting transactions and cached pages, has none and goes when it is dropped.
    """
    gc.freeze()
    gc.set_threshold(*COLLECT_AT)
