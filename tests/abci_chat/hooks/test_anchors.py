from __future__ import annotations

from dataclasses import replace

from abci_chat.machine import MACHINE
from abci_chat.state import work
from dchat.kernel.machine import Block, BlockResult, run_block
from tests.fakes import orders, toil
from tests.fakes.memory import ALICE, CAROL, CHAIN, MemoryState, at_height, opened, signed

HASH = b"\x0b" * 32
PAID = signed(ALICE, orders.registration(ALICE))


def start() -> MemoryState:
    return toil.eased(opened(MACHINE, alice=10_000))


def block(*txs: bytes, height: int = 5, state: MemoryState | None = None) -> BlockResult:
    context = replace(at_height(height), block_hash=HASH)
    return run_block(MACHINE, state or start(), Block(context, txs), {})


def anchors(result: BlockResult) -> tuple[bytes, ...]:
    return work.anchors(work.load(start().after(result.writes)), CHAIN)


def test_a_block_that_carried_something_is_an_anchor() -> None:
    assert anchors(block(PAID)) == (HASH, work.first_anchor(CHAIN))


def test_a_registration_without_a_fee_counts() -> None:
    form = replace(toil.PLAIN, prekey_hash=b"p" * 32)

    free = toil.registration(start(), CAROL, form, height=5)

    assert anchors(block(free))[0] == HASH


def test_an_idle_chain_stays_idle() -> None:
    assert block(height=5).writes == {}


def test_a_block_whose_transactions_leave_no_trace_is_no_anchor() -> None:
    assert block(b"nonsense", signed(CAROL, orders.registration(CAROL))).writes == {}


def test_between_two_anchors_there_are_so_many_blocks() -> None:
    after = start().after(block(PAID).writes)
    order = signed(ALICE, (99,), 1)

    early, late = (block(order, height=height, state=after) for height in (9, 10))

    assert len(anchors(early)) == 1
    assert len(work.anchors(work.load(after.after(late.writes)), CHAIN)) == 3
