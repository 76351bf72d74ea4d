from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_currency.machine import MACHINE
from abci_currency.state import pools
from abci_currency.state.pools import HeldByRules
from abci_currency.txs.multi_transfer import FAMILY, MultiTransfer, NoOutputs, Output
from abci_currency.txs.transfer import Transferred
from dchat.kernel import accounts, codec, machine, supply, tx
from dchat.kernel.errors import (
    AmountTooLarge,
    CostLimitTooLow,
    InsufficientFunds,
    MalformedBody,
    MalformedTransaction,
    NonceMismatch,
    ZeroAmount,
)
from dchat.kernel.family import TxContext
from dchat.kernel.ids import AccountId, Amount, Cost, EpochMs, Height
from dchat.kernel.pool import Pool
from dchat.kernel.store import Draft
from tests.fakes.memory import (
    ALICE,
    BOB,
    CAROL,
    CHAIN,
    MemoryState,
    Person,
    at_height,
    balance,
    opened,
    signed,
    step,
)

FEE = 20_000
FUNDS = 100_000
MOST = 2**64 - 1


def pay(*outputs: tuple[AccountId, int], memo: str = "", nonce: int = 0) -> bytes:
    body = MultiTransfer(tuple(Output(to, Amount(amount)) for to, amount in outputs), memo)
    return signed(ALICE, FAMILY.body(body), nonce, fee=Amount(FEE), cost_limit=Cost(FEE))


def raw_body(*outputs: Sequence[codec.Raw], memo: str = "") -> bytes:
    return signed(ALICE, (FAMILY.type, list(outputs), memo), fee=FEE, cost_limit=FEE)


def strangers(count: int) -> list[AccountId]:
    return [AccountId(at.to_bytes(32, "big")) for at in range(1, count + 1)]


def start() -> MemoryState:
    return opened(MACHINE, alice=FUNDS, bob=10_000)


def test_everybody_named_is_paid() -> None:
    after, outcome = step(MACHINE, start(), pay((BOB.id, 4), (CAROL.id, 6), memo="wages"))

    left = FUNDS - FEE - 10
    assert [balance(after, who) for who in (ALICE, BOB, CAROL)] == [left, 10_004, 6]
    assert outcome.events == (
        Transferred(ALICE.id, BOB.id, Amount(4)),
        Transferred(ALICE.id, CAROL.id, Amount(6)),
    )


def test_whoever_stands_there_twice_is_paid_twice() -> None:
    after, _ = step(MACHINE, start(), pay((BOB.id, 4), (BOB.id, 4)))

    assert balance(after, BOB) == 10_008


def test_paying_oneself_mints_nothing() -> None:
    after, _ = step(MACHINE, start(), pay((ALICE.id, 4), (BOB.id, 1), (ALICE.id, 5)))

    assert balance(after, ALICE) == FUNDS - FEE - 1


def test_256_are_paid_at_once() -> None:
    after, outcome = step(MACHINE, start(), pay(*[(to, 1) for to in strangers(256)]))

    assert outcome.code == 0
    assert [accounts.load(after, to).balance for to in strangers(256)] == [1] * 256


def test_all_but_the_fee_can_be_sent() -> None:
    after, outcome = step(MACHINE, start(), pay((BOB.id, 1), (CAROL.id, FUNDS - FEE - 1)))

    assert (outcome.code, balance(after, ALICE)) == (0, 0)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (pay(), NoOutputs.code),
        (pay((BOB.id, 4), (CAROL.id, 0)), ZeroAmount.code),
        (pay((BOB.id, MOST), (CAROL.id, 1)), AmountTooLarge.code),
        (pay((BOB.id, 4), (CAROL.id, FUNDS - FEE - 3)), InsufficientFunds.code),
        (pay((BOB.id, 4), (pools.STAKED, 1)), HeldByRules.code),
        (raw_body([BOB.id, 4], memo="x" * 257), MalformedBody.code),
        (raw_body([BOB.id, 4, 0]), MalformedBody.code),
        (raw_body([BOB.id[1:], 4]), MalformedBody.code),
        (raw_body([BOB.id, True]), MalformedBody.code),
    ],
)
def test_a_refused_one_pays_nobody(raw: bytes, code: int) -> None:
    after, outcome = step(MACHINE, start(), raw)

    assert outcome.code == code
    assert [balance(after, who) for who in (ALICE, BOB, CAROL)] == [FUNDS - FEE, 10_000, 0]
    supply.check_invariant(after)


def test_a_sum_beyond_64_bits_is_found_without_a_state() -> None:
    outputs = (Output(BOB.id, Amount(MOST)), Output(CAROL.id, Amount(1)))

    with pytest.raises(AmountTooLarge):
        FAMILY.check(MultiTransfer(outputs))


def test_more_than_256_outputs_are_no_transaction() -> None:
    raw = raw_body(*[(to, 1) for to in strangers(257)])

    assert step(MACHINE, start(), raw)[1].code == MalformedTransaction.code


def test_a_recipient_who_would_hold_too_much_keeps_all_from_being_paid() -> None:
    full = Draft(MemoryState())
    accounts.credit(full, BOB.id, Amount(MOST))
    accounts.credit(full, ALICE.id, Amount(10))
    before = full.fork()

    with pytest.raises(AmountTooLarge):
        FAMILY.apply(
            before,
            MultiTransfer((Output(CAROL.id, Amount(1)), Output(BOB.id, Amount(1)))),
            TxContext(CHAIN, ALICE.id, ALICE.public_key, Height(1), EpochMs(1)),
        )

    assert accounts.load(full, ALICE.id).balance == 10


def test_a_replay_is_refused() -> None:
    after, _ = step(MACHINE, start(), pay((BOB.id, 4)))

    assert step(MACHINE, after, pay((BOB.id, 4)))[1].code == NonceMismatch.code


def test_the_cost_grows_with_the_outputs() -> None:
    one, many = [
        machine.check_body(MACHINE, tx.decode(pay(*[(to, 1) for to in strangers(count)])))
        for count in (1, 256)
    ]

    bytes_cost = (many.signed.size - one.signed.size) // 16
    assert many.cost - one.cost in {255 * 35 + bytes_cost, 255 * 35 + bytes_cost + 1}


def test_a_payment_that_does_not_cover_its_outputs_is_refused() -> None:
    body = FAMILY.body(MultiTransfer(tuple(Output(to, Amount(1)) for to in strangers(256))))

    _, outcome = step(MACHINE, start(), signed(ALICE, body, cost_limit=9000, fee=9000))

    assert outcome.code == CostLimitTooLow.code


def test_all_it_pays_is_spent_for_those_that_wait_behind() -> None:
    pool = Pool(MACHINE)
    waiting = [pay((BOB.id, 30_000), (CAROL.id, FUNDS - FEE - 30_001)), pay((BOB.id, 1), nonce=1)]

    codes = [pool.check(start(), raw, at_height()).code for raw in waiting]

    assert codes[0] == 0
    assert codes[1] != 0


payees = st.sampled_from([ALICE, BOB, CAROL])
payments = st.lists(st.tuples(payees, st.integers(0, 60_000)), max_size=8)


@settings(deadline=None)
@given(payments)
def test_what_all_hold_stays_the_same(outputs: list[tuple[Person, int]]) -> None:
    after, outcome = step(MACHINE, start(), pay(*[(to.id, amount) for to, amount in outputs]))

    supply.check_invariant(after)
    paid = sum(amount for to, amount in outputs if to is not ALICE)
    spent = paid if outcome.code == 0 else 0
    assert balance(after, ALICE) == FUNDS - FEE - spent
