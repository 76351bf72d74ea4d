from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.kernel import codec, errors, params, tx
from dchat.kernel.family import Prepared
from dchat.kernel.ids import Amount, Cost
from dchat.kernel.machine import Block, run_block
from dchat.kernel.pool import PART, ROOM, Part, Pool, Room
from dchat.kernel.refusals import REFUSALS
from dchat.kernel.store import Draft
from dchat.operator import home
from tests.fakes.effort import ENOUGH, WORKED, effort
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


EVERYTHING = transfer.FAMILY.body(Transfer(BOB.id, Amount(3000)))
POOR = transfer.FAMILY.body(Transfer(BOB.id, Amount(10**9)))
FORGED = tx.build(envelope(ALICE, PAY), BOB.seed)
NOTHING = signed(ALICE, transfer.FAMILY.body(Transfer(BOB.id, Amount(0))))
OFFERS = (
    *(signed(ALICE, PAY, nonce) for nonce in range(3)),
    *(signed(BOB, PAY, nonce) for nonce in range(4)),
    signed(ALICE, EVERYTHING),
    signed(BOB, POOR, 1),
    signed(ALICE, PAY, 1, valid_until_height=1),
    FORGED,
    signed(ALICE, (99,)),
    NOTHING,
    b"junk",
)
offers = st.lists(st.sampled_from(OFFERS), max_size=PART + 8)


@dataclass(frozen=True, slots=True)
class Counting:
    """Transfers that count how often a body of theirs was judged."""

    judged: list[Sequence[codec.Raw]] = field(default_factory=list[Sequence[codec.Raw]])
    type: int = transfer.FAMILY.type
    name: str = transfer.FAMILY.name
    cost: Cost = transfer.FAMILY.cost

    def price(self, fields: Sequence[codec.Raw]) -> Cost:
        return transfer.FAMILY.price(fields)

    def prepare(self, fields: Sequence[codec.Raw]) -> Prepared:
        self.judged.append(fields)
        return transfer.FAMILY.prepare(fields)


def start() -> MemoryState:
    return opened(MACHINE, alice=5000, bob=FUNDS)


def check(pool: Pool, raw: bytes, state: MemoryState | None = None, height: int = 1) -> int:
    return pool.check(state or start(), raw, at_height(height)).code


def test_waiting_transactions_of_one_sender_queue_by_nonce() -> None:
    pool = Pool(MACHINE)

    offered = [signed(ALICE, PAY, nonce) for nonce in (0, 2, 1)]
    another = signed(ALICE, PAY, 1, fee=Amount(2001))

    codes = [check(pool, raw) for raw in (*offered, another)]

    assert codes == [0, errors.NonceMismatch.code, 0, errors.NonceMismatch.code]


def test_what_waits_already_may_wait_and_counts_once() -> None:
    """Or whom RPC's `check_tx` had asked could not send it before the next block."""
    pool = Pool(MACHINE)

    codes = [check(pool, signed(ALICE, PAY, nonce)) for nonce in (0, 0, 0, 1, 0)]

    assert codes == [0] * 5
    assert len(pool.verified) == 2


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
    pool = Pool(MACHINE, Room(1, 10**6))
    check(pool, signed(ALICE, PAY))

    pool.commit([])
    pool.commit([])

    assert check(pool, signed(BOB, PAY)) == 0


def test_a_pool_full_of_transactions_says_so() -> None:
    pool, raw = Pool(MACHINE, Room(1, 10**6)), signed(ALICE, PAY)
    check(pool, raw)

    outcome = pool.check(start(), signed(BOB, PAY), at_height())

    assert outcome.code == errors.PoolFull.code
    assert outcome.reason == f"PoolFull: 1 transactions of {len(raw)} bytes wait already"


def test_a_pool_full_of_bytes_says_so() -> None:
    first, second = signed(ALICE, PAY), signed(BOB, PAY)
    room = len(first) + len(second)

    pools = [Pool(MACHINE, Room(10, room)), Pool(MACHINE, Room(10, room - 1))]

    codes = [[check(pool, raw) for raw in (first, second)] for pool in pools]
    assert codes == [[0, 0], [0, errors.PoolFull.code]]


@pytest.mark.parametrize("room", [Room(1, 10**6), Room(9, len(signed(ALICE, PAY)))])
def test_a_recheck_finds_room_in_a_full_pool(room: Room) -> None:
    pool, raw = Pool(MACHINE, room), signed(ALICE, PAY)
    check(pool, raw)

    pool.commit([])

    assert [check(pool, each) for each in (raw, signed(BOB, PAY))] == [0, errors.PoolFull.code]


def test_cometbft_has_room_for_whatever_the_pool_lets_in() -> None:
    """It drops what does not fit after the sender was told that it is in."""
    assert ROOM.txs <= home.MEMPOOL_TXS
    assert ROOM.bytes <= home.MEMPOOL_BYTES


def test_other_parameters_hold_from_the_next_commit_on() -> None:
    pool, draft = Pool(MACHINE), Draft(start())
    params.save(draft, replace(params.DEFAULT, fee_per_1000_cost=Amount(2000)))
    check(pool, signed(BOB, PAY))

    pool.commit([])

    dearer = start().after(draft.writes())
    assert check(pool, signed(ALICE, PAY), dearer, height=2) == errors.FeeTooLow.code


def test_a_block_during_the_rechecks_is_recognised() -> None:
    """CometBFT goes on to the next block while the last rechecks are still on their way."""
    pool, raw = Pool(MACHINE), signed(ALICE, PAY)
    check(pool, raw)
    before = pool.recognise([raw])

    pool.commit([])

    assert pool.recognise([raw])[raw] is before[raw]


def test_a_forgery_that_was_read_in_a_proposal_is_found_out_when_it_is_executed() -> None:
    pool, block = Pool(MACHINE), Block(at_height(), [FORGED])

    accepted = pool.accepts(start(), block.txs)
    result = run_block(MACHINE, start(), block, pool.recognise(block.txs))

    assert accepted
    assert [outcome.code for outcome in result.outcomes] == [errors.BadSignature.code]
    assert result.writes == {}


@pytest.mark.parametrize("raw", [signed(ALICE, PAY), NOTHING, FORGED])
def test_a_proposals_transaction_is_read_once_until_its_block_is_executed(raw: bytes) -> None:
    counting = Counting()
    rules = replace(MACHINE, families={counting.type: counting})
    pool, block = Pool(rules), Block(at_height(), [raw])

    pool.accepts(start(), block.txs)
    run_block(rules, start(), block, pool.recognise(block.txs))

    assert len(counting.judged) == 1


@pytest.mark.parametrize("raw", [signed(ALICE, PAY), NOTHING, FORGED])
def test_what_was_foreseen_is_not_read_again_whatever_is_wrong_with_it(raw: bytes) -> None:
    counting = Counting()
    pool = Pool(replace(MACHINE, families={counting.type: counting}))

    pool.check_many(start(), [raw], at_height())

    assert len(counting.judged) == 1


def test_what_waits_is_not_read_again_when_it_is_foreseen() -> None:
    counting = Counting()
    pool = Pool(replace(MACHINE, families={counting.type: counting}))

    pool.check_many(start(), [signed(ALICE, PAY)], at_height())
    pool.check_many(start(), [signed(ALICE, PAY)], at_height())

    assert len(counting.judged) == 1


def test_a_proposal_during_the_rechecks_holds_only_what_would_pay() -> None:
    pool, behind = Pool(MACHINE), signed(ALICE, PAY, 1)
    pool.check_many(start(), [signed(ALICE, PAY), behind], at_height())

    pool.commit([])

    assert pool.propose(start(), [behind, signed(BOB, PAY)], 10**6, at_height()) == (
        signed(BOB, PAY),
    )


@given(offers, offers, st.integers(1, 8))
def test_checked_together_or_one_by_one_is_the_same(
    before: list[bytes], after: list[bytes], most: int
) -> None:
    together, alone = (Pool(MACHINE, Room(most, 10**6)) for _ in range(2))

    first = together.check_many(start(), before, at_height(1))
    together.commit([])
    then = together.check_many(start(), before + after, at_height(2))

    assert first == [alone.check(start(), raw, at_height(1)) for raw in before]
    alone.commit([])
    assert then == [alone.check(start(), raw, at_height(2)) for raw in before + after]
    assert list(together.verified) == list(alone.verified)


@given(offers, offers)
def test_a_block_does_the_same_whether_its_transactions_are_recognised_or_not(
    waiting: list[bytes], txs: list[bytes]
) -> None:
    pool = Pool(MACHINE)
    pool.check_many(start(), waiting, at_height())
    block = Block(at_height(), txs)

    known = run_block(MACHINE, start(), block, pool.recognise(txs))

    assert known == run_block(MACHINE, start(), block, {})


def test_signatures_are_handed_over_in_parts() -> None:
    sizes: list[int] = []

    def each(verify: Callable[[Part], Part], parts: Iterable[Part]) -> list[Part]:
        gathered = list(parts)
        sizes.extend(len(part) for part in gathered)
        return [verify(part) for part in gathered]

    txs = [signed(ALICE, PAY, nonce) for nonce in range(PART + 1)]

    assert set(Pool(MACHINE, each=each).recognise(txs)) == set(txs)
    assert sizes == [PART, 1]


def test_a_full_pool_verifies_nothing() -> None:
    def each(_verify: Callable[[Part], Part], _parts: Iterable[Part]) -> list[Part]:
        raise AssertionError("verified something")

    pool = Pool(MACHINE, Room(0, 10**6), each)

    outcomes = pool.check_many(start(), [signed(ALICE, PAY)] * (PART + 1), at_height())

    assert {outcome.code for outcome in outcomes} == {errors.PoolFull.code}


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_and_nothing_else(raw: bytes) -> None:
    assert check(Pool(MACHINE), raw) in REFUSALS


def worked(amount: int, nonce: int = 0) -> bytes:
    return signed(ALICE, effort(amount), nonce, fee=Amount(0))


def test_work_in_place_of_a_fee_waits_like_any_other() -> None:
    pool = Pool(WORKED)

    codes = [check(pool, worked(*each)) for each in ((ENOUGH, 0), (ENOUGH, 1), (ENOUGH, 1))]

    assert codes == [0, 0, 0]


def test_too_little_work_does_not_get_in_and_leaves_no_trace() -> None:
    pool = Pool(WORKED)

    codes = [check(pool, raw) for raw in (worked(ENOUGH - 1), FORGED, worked(ENOUGH))]

    assert codes == [errors.ZeroAmount.code, errors.BadSignature.code, 0]


def test_work_that_is_too_little_by_now_is_dropped_at_the_recheck() -> None:
    pool, raw = Pool(WORKED), worked(ENOUGH)
    check(pool, raw)
    pool.commit([])

    dearer = start().after({b"efforts": b"1"})

    assert check(pool, raw, dearer) == errors.ZeroAmount.code
    assert not pool.verified


def test_a_sender_of_whom_less_is_asked_may_wait_for_less() -> None:
    pool = Pool(replace(MACHINE, least_fee=lambda *_: Amount(1500)))

    codes = [check(pool, signed(ALICE, PAY, fee=Amount(fee))) for fee in (1499, 1500)]

    assert codes == [errors.FeeTooLow.code, 0]
