from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.kernel import bundle, params, proposal
from dchat.kernel.ids import Amount
from dchat.kernel.machine import read
from dchat.kernel.pool import Pool
from dchat.kernel.store import Draft
from tests.fakes.effort import ENOUGH, WORKED, effort
from tests.fakes.memory import ALICE, BOB, FUNDS, MemoryState, Person, at_height, opened, signed

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


def worked(who: int, amount: int = ENOUGH, nonce: int = 0, **changes: object) -> bytes:
    """Return a transaction of somebody of that number, for whom nobody has paid."""
    person = Person(bytes([who, *bytes(31)]))
    return signed(person, effort(amount), nonce, **{"fee": Amount(0), **changes})


WORKERS = [worked(who) for who in range(100, 100 + proposal.MAX_WAIVED + 1)]
WORKED_RULES = proposal.Rules(WORKED, params.DEFAULT, at_height(), partial(read, WORKED))


def chosen_of(*txs: bytes) -> tuple[bytes, ...]:
    return proposal.select(start(), txs, 10**6, WORKED_RULES)


def test_who_worked_most_comes_first_and_the_order_of_the_others_stays() -> None:
    little, most, some = (worked(who, ENOUGH + more) for who, more in ((50, 0), (51, 9), (52, 5)))

    assert chosen_of(SMALL, little, most, NEXT, some) == (most, some, little, SMALL, NEXT)


def test_those_who_worked_the_same_stay_in_order() -> None:
    txs = [worked(who) for who in (52, 50, 51)]

    assert chosen_of(*txs) == tuple(txs)


@pytest.mark.parametrize(
    "raw",
    [
        worked(50, ENOUGH - 1),
        worked(50, ENOUGH, 1),
        worked(50, fee=Amount(1)),
        worked(50, valid_until_height=0),
        worked(50, cost_limit=0),
    ],
    ids=["too little", "nonce", "half paid", "expired", "cost"],
)
def test_work_that_a_block_would_not_count_is_passed_over(raw: bytes) -> None:
    assert chosen_of(raw, SMALL) == (SMALL,)


def test_a_proposer_takes_no_more_work_than_everybody_accepts() -> None:
    chosen = chosen_of(*WORKERS, SMALL)

    assert chosen == (*WORKERS[: proposal.MAX_WAIVED], SMALL)
    assert proposal.is_acceptable(start(), chosen, WORKED_RULES.read)


@pytest.mark.parametrize("txs", [WORKERS, [*WORKERS[:-1], bundle.build(WORKERS[-1:])]])
def test_a_block_of_more_work_than_that_is_rejected(txs: list[bytes]) -> None:
    """Whatever is worked for too little by then would have filled it for nothing."""
    assert not proposal.is_acceptable(start(), txs, WORKED_RULES.read)


def test_what_is_paid_for_is_not_counted_as_work() -> None:
    paid = [signed(ALICE, effort(1), nonce, cost_limit=200) for nonce in range(40)]

    assert proposal.is_acceptable(start(), [*WORKERS[:-1], *paid], WORKED_RULES.read)


def test_a_bundle_goes_on_without_the_work_for_which_there_is_no_place() -> None:
    alone, together = WORKERS[: proposal.MAX_WAIVED - 1], bundle.build(WORKERS[-2:])

    assert chosen_of(*alone, together) == (*alone, bundle.build(WORKERS[-2:-1]))


worked_sorts = st.builds(
    worked,
    st.integers(50, 54),
    st.integers(ENOUGH - 1, ENOUGH + 3),
    st.integers(0, 1),
)


@given(st.lists(worked_sorts | st.sampled_from([HALF, SMALL, b"junk"]), max_size=60))
def test_an_own_proposal_with_work_in_it_is_always_acceptable(txs: list[bytes]) -> None:
    assert proposal.is_acceptable(start(), chosen_of(*txs), WORKED_RULES.read)
