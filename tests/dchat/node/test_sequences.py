"""Any order of calls that CometBFT may make, with restarts between any two, gives one chain.

Two nodes decide the same blocks. Their rounds, what they check, when they execute, commit and
restart, and which of them is behind, is hypothesis's choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dchat.node.app import Node
from dchat.node.proto import abci_pb2 as pb
from dchat.node.storage import Storage
from tests.fakes.consensus import Consensus
from tests.fakes.orders import CHAINS, MEMPOOLS, RECIPES, Chain, Recipe
from tests.fakes.replicas import ASKED, Asked, entries, info, newborn

STEPS = 40
RUNS = settings(max_examples=settings().max_examples // 4, stateful_step_count=STEPS)
NODES = st.integers(0, 1)


@dataclass
class Twin:
    """A node, its disk, and whether it executed a block that it did not commit yet."""

    chain: Chain
    folder: Path
    backend: str
    executed: bool = False

    def start(self) -> None:
        """The process is there; a chain without a block begins with its genesis."""
        self.storage = Storage.open(self.folder, self.backend)
        self.node = Consensus(Node(self.chain.machine, self.storage))
        self.executed = False
        if not self.node.height:
            self.node.init()

    def restart(self) -> None:
        """Whatever was not committed is gone."""
        self.close()
        self.start()

    def execute(self, block: Sequence[bytes]) -> pb.ResponseFinalizeBlock:
        self.executed = True
        return self.node.finalize(*block)

    def commit(self) -> None:
        self.executed = False
        self.node.commit()

    def close(self) -> None:
        self.storage.close()


class Twins(RuleBasedStateMachine):
    """Two nodes of one chain, and the blocks that consensus has decided."""

    chain: Chain

    def __init__(self) -> None:
        super().__init__()
        self.disk = TemporaryDirectory()
        folder = Path(self.disk.name)
        self.twins = (
            Twin(self.chain, folder / "p", "leveldb"),
            Twin(self.chain, folder / "q", "sqlite"),
        )
        self.proposals: list[list[bytes]] = []
        self.decided: list[list[bytes]] = []
        self.answers: dict[int, pb.ResponseFinalizeBlock] = {}

    @initialize()
    def begin(self) -> None:
        [twin.start() for twin in self.twins]

    @rule(which=NODES, recipe=RECIPES)
    def check(self, which: int, recipe: Recipe) -> None:
        self.twins[which].node.check(recipe(self.chain))

    @rule(which=NODES, asked=ASKED)
    def ask(self, which: int, asked: Asked) -> None:
        twin = self.twins[which]
        if not twin.executed:
            asked.of(twin.node, self.chain, self.proposals[-1] if self.proposals else ())

    @precondition(lambda self: self.voters())
    @rule(waiting=MEMPOOLS, room=st.integers(0, 5000), turn=NODES)
    def propose(self, waiting: list[Recipe], room: int, turn: int) -> None:
        proposer = self.voters()[turn % len(self.voters())]
        txs = self.chain.cook(waiting)
        self.proposals.append(proposer.node.prepare(*txs, max_tx_bytes=room))

    @precondition(lambda self: self.voters() and self.proposals)
    @rule(turn=NODES, round_=st.integers(0, 9))
    def judge(self, turn: int, round_: int) -> None:
        voter = self.voters()[turn % len(self.voters())]
        assert voter.node.accepts(*self.proposals[round_ % len(self.proposals)])

    @precondition(lambda self: self.voters() and self.proposals)
    @rule(round_=st.integers(0, 9))
    def decide(self, round_: int) -> None:
        self.settle(self.proposals[round_ % len(self.proposals)])

    @precondition(lambda self: self.voters())
    @rule(block=MEMPOOLS)
    def decide_what_no_honest_node_proposed(self, block: list[Recipe]) -> None:
        self.settle(self.chain.cook(block))

    @precondition(lambda self: self.behind())
    @rule(turn=NODES)
    def execute(self, turn: int) -> None:
        self.run_next_block(self.behind()[turn % len(self.behind())])

    @precondition(lambda self: self.committing())
    @rule(turn=NODES)
    def commit(self, turn: int) -> None:
        self.committing()[turn % len(self.committing())].commit()

    @rule(which=NODES)
    def restart(self, which: int) -> None:
        self.twins[which].restart()

    @invariant()
    def both_stand_where_consensus_is(self) -> None:
        for twin in self.twins:
            said = info(twin.node)
            known = self.answers.get(said.last_block_height)
            assert said.last_block_height == twin.node.height <= len(self.decided)
            assert said.last_block_app_hash == (known.app_hash if known else b"")

    def teardown(self) -> None:
        with self.disk, closing(self.twins[0]), closing(self.twins[1]):
            [self.catch_up(twin) for twin in self.twins]
            p, q = (entries(twin.storage) for twin in self.twins)
            assert p == q
            self.replay_from_genesis()

    def replay_from_genesis(self) -> None:
        """A node that saw no round and checked nothing gives the same answers."""
        third = newborn(self.chain)
        answers = [third.block(*block) for block in self.decided]
        assert answers == [self.answers[at + 1] for at in range(len(answers))]

    def catch_up(self, twin: Twin) -> None:
        while twin.node.height < len(self.decided):
            self.run_next_block(twin)
            twin.commit()

    def run_next_block(self, twin: Twin) -> None:
        answer = twin.execute(self.decided[twin.node.height])
        assert answer == self.answers.setdefault(twin.node.height + 1, answer)

    def settle(self, block: list[bytes]) -> None:
        self.decided.append(block)
        self.proposals = []

    def voters(self) -> list[Twin]:
        """Those that committed all that is decided, and so take part in what comes next."""
        return [twin for twin in self.twins if twin.node.height == len(self.decided)]

    def behind(self) -> list[Twin]:
        """Those with a block to execute."""
        late = [twin for twin in self.twins if twin.node.height < len(self.decided)]
        return [twin for twin in late if not twin.executed]

    def committing(self) -> list[Twin]:
        """Those that executed a block."""
        return [twin for twin in self.twins if twin.executed]


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAINS)
def test_calls_in_any_order_with_restarts_between_them_give_one_chain(name: str) -> None:
    machine = type("TwinsOf" + name, (Twins,), {"chain": CHAINS[name]})

    run_state_machine_as_test(machine, settings=RUNS)
