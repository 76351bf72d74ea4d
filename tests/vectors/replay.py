"""Replay a recorded chain on an empty store and print the last app hash.

Run as `python -m tests.vectors.replay CHAIN DIRECTORY`.
"""

from __future__ import annotations

import base64
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TypedDict, cast

from abci_chat.machine import MACHINE as CHAT
from abci_currency.machine import MACHINE as CURRENCY
from dchat.kernel.ids import ChainId, EpochMs, Height
from dchat.kernel.machine import Block, BlockContext, Machine, init_chain, run_block
from dchat.node.storage import Storage

HERE = Path(__file__).parent
MACHINES = {"chat": CHAT, "currency": CURRENCY}


class RecordedBlock(TypedDict):
    height: int
    time_ms: int
    proposer: str
    app_hash_before: str
    txs: list[str]


class Recording(TypedDict):
    chain_id: str
    genesis: str
    blocks: list[RecordedBlock]
    last_app_hash: str


def load(chain: str) -> Recording:
    return cast("Recording", json.loads((HERE / f"recorded-{chain}.json").read_text()))


def replay(machine: Machine, recording: Recording, directory: Path) -> str:
    """Return the last app hash; every header's must have been met on the way."""
    chain_id = ChainId(recording["chain_id"])
    with closing(Storage.open(directory)) as storage:
        draft = init_chain(
            machine, storage.latest(), chain_id, base64.b64decode(recording["genesis"])
        )
        pending = dict(draft.writes())
        app_hash = storage.stage(0, pending).app_hash
        for block in recording["blocks"]:
            assert app_hash.hex() == block["app_hash_before"], block["height"]
            context = BlockContext(
                chain_id,
                Height(block["height"]),
                EpochMs(block["time_ms"]),
                bytes.fromhex(block["proposer"]),
            )
            txs = [base64.b64decode(raw) for raw in block["txs"]]
            state = storage.latest() if not pending else draft
            result = run_block(machine, state, Block(context, txs), {})
            staged = storage.stage(block["height"], {**pending, **result.writes})
            storage.commit(staged)
            pending, app_hash = {}, staged.app_hash
    return app_hash.hex()


if __name__ == "__main__":
    sys.stdout.write(replay(MACHINES[sys.argv[1]], load(sys.argv[1]), Path(sys.argv[2])))
