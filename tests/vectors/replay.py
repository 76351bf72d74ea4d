"""Play a chain into an empty application; print the app hash after genesis and after each block.

    python -m tests.vectors.replay recorded|generated chat|currency DIRECTORY

A recorded chain holds what consensus took in, a generated one also bytes that are no transaction
and transactions that every honest proposer leaves out. Codes of a block follow its app hash.
"""

from __future__ import annotations

import base64
import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypedDict, cast

from google.protobuf.timestamp_pb2 import Timestamp

from abci_currency.state.stake import address_of
from dchat.kernel.ids import Height
from dchat.kernel.machine import Machine
from dchat.node.app import Node
from dchat.node.proto import abci_pb2 as pb
from dchat.node.proto import validator_pb2
from dchat.node.storage import Storage
from tests.fakes.consensus import GENESIS_S, VOTER, init_request, state_bytes, wrapped
from tests.fakes.memory import CHAIN
from tests.fakes.orders import CHAINS, PEOPLE, Chain, ordered

HERE = Path(__file__).parent
BLOCKS = 200


class RecordedBlock(TypedDict):
    height: int
    time_ms: int
    hash: str
    proposer: str
    app_hash_before: str
    txs: list[str]


class RecordedValidator(TypedDict):
    public_key: str
    power: int


class Recording(TypedDict):
    chain_id: str
    genesis: str
    validator: RecordedValidator
    blocks: list[RecordedBlock]
    last_app_hash: str


def recorded(name: str) -> Recording:
    """What consensus decided, with the app hashes that it signed."""
    return cast("Recording", json.loads((HERE / f"recorded-{name}.json").read_text()))


def generated(name: str) -> Recording:
    """The same blocks every time: nonces mostly rise by one, some bytes are no transaction."""
    blocks = [
        RecordedBlock(
            height=height,
            time_ms=(GENESIS_S + height) * 1000,
            hash=f"{height:064x}",
            proposer="09" * 20,
            app_hash_before="",
            txs=[base64.b64encode(raw).decode() for raw in txs],
        )
        for height, txs in enumerate(_drawn(CHAINS[name]), 1)
    ]
    return Recording(
        chain_id=CHAIN,
        genesis=base64.b64encode(state_bytes(name)).decode(),
        validator=RecordedValidator(public_key=VOTER.public_key.hex(), power=VOTER.power),
        blocks=blocks,
        last_app_hash="",
    )


def _drawn(chain: Chain) -> Iterator[list[bytes]]:
    dice = random.Random("recorded")
    nonces = dict.fromkeys(PEOPLE, 0)
    for _ in range(BLOCKS):
        block = [dice.randbytes(dice.randrange(40))]
        for who in dice.choices(PEOPLE, k=dice.randrange(4)):
            stale = dice.random() < 0.1
            nonce = nonces[who] - stale if nonces[who] else 0
            seed = dice.randrange(2**32)
            block.append(
                ordered(chain, who=who, seed=seed, nonce=nonce, valid_until_height=Height(BLOCKS))
            )
            nonces[who] += not stale
        yield block


SOURCES: dict[str, Callable[[str], Recording]] = {"recorded": recorded, "generated": generated}


def play(machine: Machine, recording: Recording, directory: Path) -> Iterator[tuple[str, ...]]:
    """Yield the app hash and the codes, of the genesis and of every block."""
    with closing(Storage.open(directory)) as storage:
        node = Node(machine, storage)
        genesis = init_request(wrapped(base64.b64decode(recording["genesis"])))
        genesis.chain_id = recording["chain_id"]
        genesis.time.CopyFrom(_time(recording["blocks"][0]))  # the first block has genesis' time
        voter = recording["validator"]
        genesis.validators[0].power = voter["power"]
        genesis.validators[0].pub_key.ed25519 = bytes.fromhex(voter["public_key"])
        yield (node.init_chain(genesis).app_hash.hex(),)
        for block in recording["blocks"]:
            answer = node.finalize_block(_request(block, voter))
            node.commit(pb.RequestCommit())
            yield (answer.app_hash.hex(), *(str(result.code) for result in answer.tx_results))


def _request(block: RecordedBlock, voter: RecordedValidator) -> pb.RequestFinalizeBlock:
    """What CometBFT asks of a chain whose one validator has to be in every commit."""
    return pb.RequestFinalizeBlock(
        height=block["height"],
        time=_time(block),
        hash=bytes.fromhex(block["hash"]),
        proposer_address=bytes.fromhex(block["proposer"]),
        decided_last_commit=_commit(voter) if block["height"] > 1 else None,
        txs=[base64.b64decode(raw) for raw in block["txs"]],
    )


def _time(block: RecordedBlock) -> Timestamp:
    seconds, rest_ms = divmod(block["time_ms"], 1000)
    return Timestamp(seconds=seconds, nanos=rest_ms * 1_000_000)


def _commit(voter: RecordedValidator) -> pb.CommitInfo:
    address = address_of(bytes.fromhex(voter["public_key"]))
    named = pb.Validator(address=address, power=voter["power"])
    return pb.CommitInfo(
        votes=[pb.VoteInfo(validator=named, block_id_flag=validator_pb2.BLOCK_ID_FLAG_COMMIT)]
    )


def signed_hashes(recording: Recording) -> list[str]:
    """The app hashes that validators signed, of the genesis and of every block."""
    return [
        *(block["app_hash_before"] for block in recording["blocks"]),
        recording["last_app_hash"],
    ]


def main() -> None:
    """Print what the arguments ask for."""
    source, name, directory = sys.argv[1:]
    for line in play(CHAINS[name].machine, SOURCES[source](name), Path(directory)):
        sys.stdout.write(" ".join(line) + "\n")


if __name__ == "__main__":
    main()
