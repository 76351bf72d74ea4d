"""Transactions proved, and lies about them; tests/dchat/kernel/test_inclusion.py has the paths."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from dchat.kernel import bundle
from dchat.kernel.bundle import Did
from dchat.kernel.headers import merkle_root
from dchat.kernel.ids import Cost, Height, TxHash
from dchat.kernel.inclusion import Path, TxResult, results_hash
from dchat.kernel.tx import tx_hash
from dchat.node.outcome import VerifiedOutcome, prove_outcome
from dchat.node.reader import NodeMisled
from dchat.node.rpc import Found, Included, NotIncluded, Status
from tests.dchat.node.test_reader import STATES, make_reader
from tests.fakes.chain import FakeChain
from tests.fakes.memory import ALICE, BOB, signed
from tests.fakes.node import ANN, FakeNode

TX = TxHash(b"t" * 32)
DONE = (TxResult(0, b"", 70, 66),)


def carrying(height: int = 40, **changed: object) -> FakeNode:
    """A node with one transaction in block 40, which may say another height or result of it."""
    chain = FakeChain(
        (ANN,), data_hashes={40: merkle_root([TX])}, results_hashes={41: results_hash(DONE)}
    )
    said = Included(TX, Height(height), 0, "log", 66, 70)
    node = FakeNode(STATES, 50, chain)
    node.found = Found(said, Path(0, 1, ()))
    [setattr(node, name, value) for name, value in changed.items()]
    return node


def outcome(node: FakeNode, timeout_s: float = 0) -> VerifiedOutcome:
    clock = MockClock(autojump_threshold=0)
    return trio.run(prove_outcome, make_reader(node), node, TX, timeout_s, clock=clock)


def test_what_a_transaction_did_is_proved_by_the_next_header() -> None:
    found = outcome(carrying(done=DONE))

    assert (found.included.height, found.included.code, found.block.height) == (40, 0, 41)


def test_a_nodes_word_on_code_and_cost_is_not_what_is_shown() -> None:
    node = carrying(done=DONE)
    node.found = Found(Included(TX, Height(40), 21, "log", 1, 2), Path(0, 1, ()))

    assert outcome(node).included == Included(TX, Height(40), 0, "log", 66, 70)


@pytest.mark.parametrize(
    "node",
    [
        carrying(done=(TxResult(21, b"", 70, 66),)),
        carrying(done=()),
        carrying(39, done=DONE),
        carrying(0, done=DONE),
        carrying(-5, done=DONE),
        carrying(10**18, done=DONE),
    ],
    ids=["result", "none", "height", "0", "below", "far ahead"],
)
def test_a_lie_about_a_transaction_is_refused(node: FakeNode) -> None:
    with pytest.raises(NodeMisled):
        outcome(node)


def test_a_transaction_that_no_node_knows_is_in_no_block() -> None:
    node = carrying(found=None)

    with pytest.raises(NotIncluded, match="is in no block"):
        outcome(node, timeout_s=1)

    assert node.left > 1


def test_a_transaction_of_the_newest_block_waits_for_the_next_one() -> None:
    class Growing(FakeNode):
        async def status(self) -> Status:
            said = await super().status()
            self.height = 41
            return said

    node = carrying(done=DONE)
    growing = Growing(STATES, 40, node.chain, found=node.found, done=DONE)

    assert outcome(growing).block.height == 41


INNER = signed(ALICE, (1,))
CARRIER = bundle.build([signed(BOB, (1,)), INNER])


def carrying_bundle(data: bytes) -> FakeNode:
    """A node with a bundle in block 40 of which the second did what data says."""
    whole = (TxResult(0, data, 4000, 2080),)
    hashes, results = {40: merkle_root([tx_hash(CARRIER)])}, {41: results_hash(whole)}
    chain = FakeChain((ANN,), data_hashes=hashes, results_hashes=results)
    node = FakeNode(STATES, 50, chain)
    said = Included(tx_hash(INNER), Height(40), 0, "log", 1, 1)
    node.found, node.done = Found(said, Path(0, 1, ()), CARRIER), whole
    return node


def outcome_of_inner(node: FakeNode) -> Included:
    clock = MockClock(autojump_threshold=0)
    args = (make_reader(node), node, tx_hash(INNER), 0)
    return trio.run(prove_outcome, *args, clock=clock).included


def test_what_a_bundles_transaction_did_is_proved_by_the_next_header() -> None:
    data = bundle.encode_results([Did(0, Cost(80)), Did(17, Cost(2000))])

    found = outcome_of_inner(carrying_bundle(data))

    assert found == Included(tx_hash(INNER), Height(40), 17, "log", 2000, 2000)


def test_a_bundle_whose_result_tells_nothing_of_it_proves_nothing() -> None:
    with pytest.raises(NodeMisled):
        outcome_of_inner(carrying_bundle(bundle.encode_results([Did(0, Cost(80))])))
