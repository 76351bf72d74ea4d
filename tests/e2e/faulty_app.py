"""An application's process as it ships, with parts that end it where the command line says.

python -m tests.e2e.faulty_app --machine currency --blows commit.answered:3:both --socket ...

Takes all arguments of `python -m abci_currency` besides its own. With --eager it prunes after every
block.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from abci_chat.machine import MACHINE as CHAT
from abci_currency.machine import MACHINE as CURRENCY
from dchat.node import process
from tests.faults import fuse
from tests.faults.blow import parse
from tests.faults.eager import prune_eagerly

MACHINES = {machine.name: machine for machine in (CHAT, CURRENCY)}


def main() -> int:
    """Serve until stopped or struck; the exit status."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--machine", choices=sorted(MACHINES), required=True)
    parser.add_argument("--blows", type=parse, default=())
    parser.add_argument("--keep", type=int, default=4)
    parser.add_argument("--eager", action="store_true")
    chosen, rest = parser.parse_known_args()
    machine = MACHINES[chosen.machine]
    home: Path = process.parse(machine, rest).data_dir.parent
    if chosen.eager:
        prune_eagerly()
    lit = fuse.Fuse(list(chosen.blows), home / "struck", home / "node.pid")
    return process.run(machine, rest, fuse.parts(lit, chosen.keep))


if __name__ == "__main__":
    sys.exit(main())
