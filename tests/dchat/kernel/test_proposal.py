from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency.machine import MACHINE
from dchat.kernel import proposal
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, MemoryState, opened, signed

HALF = signed(ALICE, (1,), 0, cost_limit=500_000)
REST = signed(ALICE, (1,), 1, cost_limit=500_001)
SMALL = signed(ALICE, (1,), 2, cost_limit=200)
FREE = signed(ALICE, (1,), 3, cost_limit=0, fee=0)


def start() -> MemoryState:
    return opened(MACHINE, alice=5000)


def test_a_block_takes_transactions_in_order_until_its_cost_is_used_up() -> None:
    chosen = proposal.select(start(), [FREE, SMALL, HALF, REST, SMALL], 10**6, {})

    assert chosen == (SMALL, HALF)


def test_a_block_takes_transactions_until_its_bytes_are_used_up() -> None:
    room = proposal.size_in_block(SMALL) * 2

    assert proposal.select(start(), [SMALL] * 3, room, {}) == (SMALL, SMALL)
    assert proposal.select(start(), [SMALL] * 3, room - 1, {}) == (SMALL,)


def test_malformed_transactions_are_passed_over() -> None:
    assert proposal.select(start(), [b"junk", SMALL], 10**6, {}) == (SMALL,)


@pytest.mark.parametrize(
    ("txs", "verdict"),
    [
        ([], True),
        ([HALF, SMALL], True),
        ([HALF, REST], False),
        ([HALF, b"junk"], False),
        ([HALF, FREE], False),
    ],
)
def test_a_proposal_is_judged_by_form_and_cost(txs: list[bytes], verdict: bool) -> None:
    assert proposal.is_acceptable(start(), txs, {}) is verdict


@given(st.lists(st.sampled_from([HALF, REST, SMALL, FREE, b"junk", b""])), st.integers(0, 2000))
def test_an_own_proposal_is_always_acceptable(txs: list[bytes], room: int) -> None:
    chosen = proposal.select(Draft(start()), txs, room, {})

    assert proposal.is_acceptable(start(), chosen, {})
    assert sum(proposal.size_in_block(raw) for raw in chosen) <= room


@pytest.mark.parametrize(("size", "expected"), [(0, 2), (127, 129), (128, 131), (16384, 16388)])
def test_the_size_in_a_block_counts_tag_and_length(size: int, expected: int) -> None:
    assert proposal.size_in_block(bytes(size)) == expected
