from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.kernel import errors, tx
from dchat.kernel.ids import Amount
from dchat.kernel.pool import Pool
from tests.fakes.memory import (
    ALICE,
    BOB,
    FUNDS,
    MemoryState,
    at_height,
    envelope,
    opened,
    run,
    signed,
)

PAY = transfer.FAMILY.body(Transfer(BOB.id, Amount(5)))


def start() -> MemoryState:
    return opened(MACHINE, alice=5000, bob=FUNDS)


def check(pool: Pool, raw: bytes, state: MemoryState | None = None, height: int = 1) -> int:
    return pool.check(state or start(), raw, at_height(height)).code


def test_waiting_transactions_of_one_sender_queue_by_nonce() -> None:
    pool = Pool(MACHINE)

    codes = [check(pool, signed(ALICE, PAY, nonce)) for nonce in (0, 2, 1, 1)]

    assert codes == [0, errors.NonceMismatch.code, 0, errors.NonceMismatch.code]


def test_fees_of_waiting_transactions_are_spent_already() -> None:
    pool = Pool(MACHINE)

    codes = [check(pool, signed(ALICE, PAY, nonce)) for nonce in (0, 1, 2)]

    assert codes == [0, 0, errors.CannotPayFee.code]


def test_what_waiting_transactions_transfer_is_spent_already() -> None:
    """Or the first would leave nothing to those behind it, and they would fill a block for free."""
    pool = Pool(MACHINE)
    everything = transfer.FAMILY.body(Transfer(BOB.id, Amount(3000)))

    codes = [check(pool, signed(ALICE, body, nonce)) for nonce, body in ((0, everything), (1, PAY))]

    assert codes == [0, errors.CannotPayFee.code]


def test_an_accepted_check_declares_its_cost() -> None:
    assert Pool(MACHINE).check(start(), signed(ALICE, PAY), at_height()).cost_wanted == 2000


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"junk", errors.MalformedTransaction.code),
        (signed(ALICE, (99,)), errors.UnknownTransaction.code),
        (signed(ALICE, (1,)), errors.MalformedBody.code),
        (signed(ALICE, (1, BOB.id, 0, "")), errors.ZeroAmount.code),
        (signed(ALICE, PAY, cost_limit=1, fee=1), errors.CostLimitTooLow.code),
        (signed(ALICE, PAY, chain_id="other-1"), errors.WrongChain.code),
        (tx.build(envelope(ALICE, PAY), BOB.seed), errors.BadSignature.code),
    ],
)
def test_what_a_block_would_refuse_does_not_get_in_and_leaves_no_trace(
    raw: bytes, code: int
) -> None:
    pool = Pool(MACHINE)

    assert (check(pool, raw), pool.verified) == (code, {})
    assert check(pool, signed(ALICE, PAY)) == 0


def test_a_verified_transaction_is_remembered_until_a_block_carries_it() -> None:
    pool = Pool(MACHINE)
    first, second = signed(ALICE, PAY, 0), signed(ALICE, PAY, 1)
    check(pool, first)
    check(pool, second)
    remembered = set(pool.verified)
    after = start().after(run(MACHINE, start(), first).writes)

    pool.commit([first])

    assert remembered == {first, second}
    assert (check(pool, second, after, height=2), set(pool.verified)) == (0, {second})


def test_a_recheck_drops_what_expired_and_whatever_waited_behind_it() -> None:
    pool = Pool(MACHINE)
    first, second = signed(ALICE, PAY, 0, valid_until_height=1), signed(ALICE, PAY, 1)
    check(pool, first)
    check(pool, second)

    pool.commit([])
    codes = [check(pool, raw, height=2) for raw in (first, second)]

    assert (codes, pool.verified) == ([errors.Expired.code, errors.NonceMismatch.code], {})


def test_what_no_recheck_brings_back_is_forgotten() -> None:
    pool = Pool(MACHINE, most=1)
    check(pool, signed(ALICE, PAY))

    pool.commit([])
    pool.commit([])

    assert check(pool, signed(BOB, PAY)) == 0


def test_a_full_pool_says_so() -> None:
    pool = Pool(MACHINE, most=1)
    check(pool, signed(ALICE, PAY))

    assert check(pool, signed(BOB, PAY)) == errors.PoolFull.code


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_and_nothing_else(raw: bytes) -> None:
    assert check(Pool(MACHINE), raw) in errors.REFUSALS
