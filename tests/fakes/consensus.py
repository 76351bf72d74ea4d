"""CometBFT's side of ABCI, one validator, without CometBFT: blocks are what the test says."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace

from google.protobuf.timestamp_pb2 import Timestamp

from dchat.kernel import genesis, params, signing
from dchat.kernel.ids import Amount
from dchat.kernel.machine import ValidatorPower
from dchat.kernel.params import Params
from dchat.node.app import Node
from dchat.node.proto import abci_pb2 as pb
from dchat.node.proto import keys_pb2
from tests.fakes.memory import ALICE, BOB, CHAIN, CONSENSUS_SEED, FUNDS, Person, founded

GENESIS_S = 1_700_000_000
MAX_TX_BYTES = 1_000_000
PROPOSER = b"\x09" * 20
"""Who proposes every block."""
RULES = params.DEFAULT
VOTER = ValidatorPower(signing.public_key(CONSENSUS_SEED), 10)
VALIDATOR = pb.ValidatorUpdate(
    pub_key=keys_pb2.PublicKey(ed25519=VOTER.public_key), power=VOTER.power
)


def genesis_bytes(rules: Params = RULES, people: Sequence[Person] = (ALICE, BOB)) -> bytes:
    """The kernel's part of a genesis in which each of these people holds FUNDS."""
    ids = sorted(person.id for person in people)
    allocations = tuple(genesis.Allocation(account, FUNDS) for account in ids)
    return genesis.SHAPE.encode(genesis.Genesis(rules, allocations))


def state_bytes(chain: str, rules: Params = RULES) -> bytes:
    """What that chain begins with, VALIDATOR alone voting."""
    return founded(chain, genesis_bytes(rules), VOTER)


def wrapped(data: bytes) -> bytes:
    """Genesis bytes as a genesis file's app_state carries them."""
    return json.dumps(base64.b64encode(data).decode()).encode()


def init_request(app_state: bytes | None = None, chain: str = "currency") -> pb.RequestInitChain:
    """What CometBFT asks first of all, with nothing wrong in it."""
    return pb.RequestInitChain(
        time=Timestamp(seconds=GENESIS_S),
        chain_id=CHAIN,
        initial_height=1,
        validators=[VALIDATOR],
        app_state_bytes=wrapped(state_bytes(chain)) if app_state is None else app_state,
    )


def cheap_blocks(max_block_cost: int) -> Params:
    """The default parameters with another bound on a block's cost."""
    return replace(RULES, max_block_cost=max_block_cost, fee_per_1000_cost=Amount(0))


class Consensus:
    """Drives one application block by block."""

    def __init__(self, app: Node) -> None:
        self.app = app
        self.height = app.info(pb.RequestInfo()).last_block_height

    def init(self, rules: Params = RULES) -> pb.ResponseInitChain:
        state = state_bytes(self.app.info(pb.RequestInfo()).data, rules)
        return self.app.init_chain(init_request(wrapped(state)))

    def check(self, raw: bytes) -> pb.ResponseCheckTx:
        return self.app.check_tx(pb.RequestCheckTx(tx=raw))

    def recheck(self, raw: bytes) -> pb.ResponseCheckTx:
        return self.app.check_tx(pb.RequestCheckTx(tx=raw, type=pb.RECHECK))

    def prepare(self, *txs: bytes, max_tx_bytes: int = MAX_TX_BYTES) -> list[bytes]:
        request = pb.RequestPrepareProposal(
            txs=txs, max_tx_bytes=max_tx_bytes, proposer_address=PROPOSER
        )
        return list(self.app.prepare_proposal(request).txs)

    def accepts(self, *txs: bytes, proposer: bytes = PROPOSER) -> bool:
        request = pb.RequestProcessProposal(txs=txs, proposer_address=proposer)
        answer = self.app.process_proposal(request)
        return answer.status == pb.ResponseProcessProposal.ACCEPT

    def finalize(self, *txs: bytes, height: int | None = None) -> pb.ResponseFinalizeBlock:
        at = self.height + 1 if height is None else height
        return self.app.finalize_block(
            pb.RequestFinalizeBlock(
                txs=txs,
                height=at,
                time=Timestamp(seconds=GENESIS_S + at, nanos=5_000_000),
                proposer_address=PROPOSER,
            )
        )

    def commit(self) -> pb.ResponseCommit:
        answer = self.app.commit(pb.RequestCommit())
        self.height += 1
        return answer

    def block(self, *txs: bytes) -> pb.ResponseFinalizeBlock:
        """Execute and commit."""
        answer = self.finalize(*txs)
        self.commit()
        return answer

    def query(
        self, path: str, data: bytes = b"", height: int = 0, *, prove: bool = False
    ) -> pb.ResponseQuery:
        request = pb.RequestQuery(path=path.encode(), data=data, height=height, prove=prove)
        return self.app.query(request)
