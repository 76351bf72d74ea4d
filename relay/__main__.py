"""`python -m relay --config FILE`: a relay without the rest of the dchat command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import trio

from dchat.kernel.errors import OperatorError
from dchat.node import log
from dchat.node.config import RelayConfig, load
from relay import node

Known = OperatorError | OSError
"""Faults of which the operator is told in a line; anything else is a bug and keeps its trace."""


def main() -> int:
    """Run a relay and return its exit status; faults are told on stderr."""
    parser = argparse.ArgumentParser(prog="python -m relay", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    try:
        start(cast("Path", parser.parse_args().config))
    except (OperatorError, OSError, BaseExceptionGroup) as fault:
        known, unknown = _sorted(fault)
        if unknown:
            raise
        return _tell(known[0])
    return 0


def start(path: Path) -> None:
    """Run the relay that a TOML file describes. Raises: OperatorError, alone or in a group."""
    config = load(RelayConfig, path, {}).settings
    chosen = log.settings(config.node.log_level, os.environ, json_logs=config.node.json_logs)
    log.configure(chosen)
    trio.run(node.run, node.plan(config))


def _sorted(fault: BaseException) -> tuple[list[Known], list[BaseException]]:
    """Return the leaves of a nursery's groups: what the operator can mend, and the rest."""
    leaves = list(_leaves(fault))
    known = [leaf for leaf in leaves if isinstance(leaf, Known)]
    return known, [leaf for leaf in leaves if not isinstance(leaf, Known)]


def _leaves(fault: BaseException) -> Iterator[BaseException]:
    if isinstance(fault, BaseExceptionGroup):
        for part in cast("BaseExceptionGroup[BaseException]", fault).exceptions:
            yield from _leaves(part)
    else:
        yield fault


def _tell(fault: Known) -> int:
    sys.stderr.write(f"dchat: error: {fault}\n")
    if isinstance(fault, OSError):
        return 1
    if fault.hint:
        sys.stderr.write(f"dchat: hint: {fault.hint}\n")
    return fault.exit_code


if __name__ == "__main__":
    sys.exit(main())
