from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.kernel import params, proposal
from dchat.kernel.ids import Amount
from dchat.kernel.machine import read
from dchat.kernel.pool import Pool
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, FUNDS, MemoryState, at_height, opened, signed

PAY = transfer.FAMILY.body(Transfer(BOB.id, Amount(5)))
SMALL, NEXT, LAST = (signed(ALICE, (1,), nonce, cost_limit=200) for nonce in (0, 1, 3))
HALF = signed(ALICE, (1,), 1, cost_limit=500_000, fee=500_000)
REST = signed(ALICE, (1,), 2, cost_limit=500_001, fee=500_001)
FREE = signed(ALICE, (1,), 0, cost_limit=0, fee=0)
READ = partial(read, MACHINE)


def start() -> MemoryState:
    return opened(MACHINE, alice=10 * FUNDS)


def rules(height: int = 1) -> proposal.Rules:
    return proposal.Rules(MACHINE, params.load(start()), at_height(height), READ)


def test_a_block_takes_transactions_in_order_until_its_cost_is_used_up() -> None:
    chosen = proposal.select(start(), [FREE, SMALL, HALF, REST, LAST], 10**6, rules())

    assert chosen == (SMALL, HALF)


def test_a_block_takes_transactions_until_its_bytes_are_used_up() -> None:
    room = proposal.size_in_block(SMALL) * 2

    assert proposal.select(start(), [SMALL, NEXT], room, rules()) == (SMALL, NEXT)
    assert proposal.select(start(), [SMALL, NEXT], room - 1, rules()) == (SMALL,)


def test_malformed_transactions_are_passed_over() -> None:
    assert proposal.select(start(), [b"junk", SMALL], 10**6, rules()) == (SMALL,)


def test_what_a_block_would_refuse_for_nothing_is_passed_over() -> None:
    """Between a commit and the rechecks CometBFT still offers what has expired."""
    expired = signed(ALICE, PAY, valid_until_height=1)

    assert proposal.select(start(), [expired, SMALL], 10**6, rules(2)) == (SMALL,)
    assert proposal.select(start(), [expired, NEXT], 10**6, rules(1)) == (expired, NEXT)


def test_what_waits_behind_a_transaction_that_is_not_offered_is_passed_over() -> None:
    """RPC's `check_tx` makes nonces count that are in no mempool: what follows would not pay."""
    pool, state = Pool(MACHINE), opened(MACHINE, alice=5000, bob=5000)
    asked, behind, whole = signed(ALICE, PAY, 0), signed(ALICE, PAY, 1), signed(BOB, PAY, 0)
    outcomes = pool.check_many(state, [asked, behind, whole], at_height())

    chosen = pool.propose(state, [behind, whole], 10**6, at_height())

    assert [outcome.code for outcome in outcomes] == [0, 0, 0]
    assert chosen == (whole,)


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
    assert proposal.is_acceptable(start(), txs, READ) is verdict


@given(st.lists(st.sampled_from([HALF, REST, SMALL, FREE, b"junk", b""])), st.integers(0, 2000))
def test_an_own_proposal_is_always_acceptable(txs: list[bytes], room: int) -> None:
    chosen = proposal.select(Draft(start()), txs, room, rules())

    assert proposal.is_acceptable(start(), chosen, READ)
    assert sum(proposal.size_in_block(raw) for raw in chosen) <= room


@pytest.mark.parametrize(("size", "expected"), [(0, 2), (127, 129), (128, 131), (16384, 16388)])
def test_the_size_in_a_block_counts_tag_and_length(size: int, expected: int) -> None:
    assert proposal.size_in_block(bytes(size)) == expected
