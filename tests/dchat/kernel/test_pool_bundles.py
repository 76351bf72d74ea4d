"""What of a bundle may wait, and what of it is left when some of it went another way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.kernel import bundle, errors, params, proposal, tx
from dchat.kernel.ids import Amount, Cost
from dchat.kernel.machine import Outcome
from dchat.kernel.pool import PART, Part, Pool, Room
from dchat.kernel.store import Draft
from tests.fakes.memory import (
    ALICE,
    BOB,
    CAROL,
    FUNDS,
    MemoryState,
    at_height,
    envelope,
    opened,
    run,
    signed,
)

PAY = transfer.FAMILY.body(Transfer(CAROL.id, Amount(5)))
FIRST, SECOND, THIRD = (signed(ALICE, PAY, nonce) for nonce in range(3))
OTHER = signed(BOB, PAY)
LAPSING = signed(BOB, PAY, valid_until_height=1)
BOTH = bundle.build([FIRST, OTHER])
FORGED = tx.build(envelope(ALICE, PAY, 1), BOB.seed)


def start() -> MemoryState:
    return opened(MACHINE, alice=FUNDS, bob=FUNDS)


def after(*txs: bytes) -> MemoryState:
    return start().after(run(MACHINE, start(), *txs).writes)


def check(pool: Pool, raw: bytes, state: MemoryState | None = None, height: int = 1) -> Outcome:
    return pool.check(state or start(), raw, at_height(height))


def codes(pool: Pool, *raws: bytes, state: MemoryState | None = None, height: int = 1) -> list[int]:
    return [check(pool, raw, state, height).code for raw in raws]


def test_a_bundle_waits_with_all_that_it_carries_and_declares_their_cost() -> None:
    pool = Pool(MACHINE)

    outcome = check(pool, BOTH)

    assert (outcome.code, outcome.cost_wanted) == (0, 4000)
    assert set(pool.verified) == {FIRST, OTHER}
    assert check(pool, BOTH) == outcome
    assert codes(pool, SECOND) == [0]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"junk", errors.MalformedTransaction.code),
        (THIRD, errors.NonceMismatch.code),
        (FIRST, errors.NonceMismatch.code),
        (FORGED, errors.BadSignature.code),
        (signed(CAROL, PAY), errors.CannotPayFee.code),
        (signed(ALICE, (99,), 1), errors.UnknownTransaction.code),
        (signed(ALICE, PAY, 1, chain_id="other-1"), errors.WrongChain.code),
        (bundle.build([SECOND]), errors.MalformedTransaction.code),
    ],
)
def test_one_that_is_refused_keeps_all_out_and_is_named(bad: bytes, code: int) -> None:
    pool = Pool(MACHINE)

    outcome = check(pool, bundle.build([FIRST, bad, OTHER]))

    assert outcome.code == code
    assert outcome.reason.startswith(
        f"transaction {1 if bad == FIRST else 2} of 3 in the bundle, {tx.tx_hash(bad).hex()}: "
    )
    assert pool.verified == {}
    assert codes(pool, FIRST, OTHER) == [0, 0]


def test_who_could_not_pay_has_no_signature_verified() -> None:
    def each(*_: object) -> list[Part]:
        raise AssertionError("verified something")

    unpaid = [tx.build(envelope(CAROL, PAY, nonce), BOB.seed) for nonce in range(PART + 1)]
    pool = Pool(MACHINE, each=each)

    assert codes(pool, bundle.build(unpaid)) == [errors.CannotPayFee.code]


def test_what_waits_alone_cannot_wait_in_a_bundle_nor_the_other_way_round() -> None:
    alone, together = Pool(MACHINE), Pool(MACHINE)

    first, then = codes(alone, FIRST, BOTH), codes(together, BOTH, FIRST, bundle.build([FIRST]))

    assert first == [0, errors.NonceMismatch.code]
    assert then == [0, errors.NonceMismatch.code, errors.NonceMismatch.code]


def test_room_is_counted_in_carried_transactions() -> None:
    pool = Pool(MACHINE, Room(2, 10**6))

    assert codes(pool, bundle.build([FIRST, SECOND, OTHER])) == [errors.PoolFull.code]
    assert codes(pool, BOTH, SECOND) == [0, errors.PoolFull.code]


@pytest.mark.parametrize(("room", "code"), [(len(BOTH), 0), (len(BOTH) - 1, 18)])
def test_room_is_counted_in_the_bytes_of_the_bundle(room: int, code: int) -> None:
    assert codes(Pool(MACHINE, Room(9, room)), BOTH) == [code]


def test_a_bundle_that_no_block_could_hold_is_refused() -> None:
    draft = Draft(start())
    params.save(draft, replace(params.DEFAULT, max_block_cost=Cost(3999)))

    assert codes(Pool(MACHINE), BOTH, state=start().after(draft.writes())) == [15]


def test_a_recheck_finds_a_bundle_in_a_full_pool_and_verifies_nothing() -> None:
    def each(*_: object) -> list[Part]:
        raise AssertionError("verified something")

    pool = Pool(MACHINE, Room(2, 10**6))
    check(pool, BOTH)
    pool.commit([])
    setattr(pool, "_each", each)  # noqa: B010 -- nothing else may see it

    assert codes(pool, BOTH, SECOND) == [0, errors.PoolFull.code]


def test_what_is_left_of_a_bundle_waits_on_once_another_copy_got_ahead() -> None:
    pool = Pool(MACHINE)
    check(pool, BOTH)

    pool.commit([FIRST])

    now = after(FIRST)
    assert codes(pool, BOTH, SECOND, state=now, height=2) == [0, 0]
    assert pool.propose(now, [BOTH], 10**6, at_height()) == (bundle.build([OTHER]),)


def test_what_is_left_of_a_bundle_waits_on_once_the_rest_expired() -> None:
    pool, raw = Pool(MACHINE), bundle.build([LAPSING, FIRST, SECOND])
    check(pool, raw)

    pool.commit([])

    assert codes(pool, raw, THIRD, OTHER, height=2) == [0, 0, 0]
    assert pool.propose(start(), [raw, THIRD], 10**6, at_height(2)) == (
        bundle.build([FIRST, SECOND]),
        THIRD,
    )


def test_a_bundle_is_gone_once_nothing_of_it_could_run() -> None:
    pool = Pool(MACHINE)
    check(pool, BOTH)

    pool.commit([bundle.build([FIRST]), OTHER])

    outcome = check(pool, BOTH, after(FIRST, OTHER), height=2)
    assert (outcome.code, pool.verified) == (errors.NonceMismatch.code, {})


def test_a_bundle_that_a_block_carried_leaves_room() -> None:
    pool = Pool(MACHINE, Room(2, 10**6))
    check(pool, BOTH)

    pool.commit([BOTH])

    third = bundle.build([SECOND, signed(BOB, PAY, 1)])
    assert codes(pool, third, state=after(BOTH), height=2) == [0]


def test_a_blocks_bundle_is_recognised_by_what_it_carries() -> None:
    pool = Pool(MACHINE)
    check(pool, FIRST)

    known = pool.recognise([BOTH])

    assert set(known) == {FIRST, OTHER}
    assert known[FIRST] is pool.verified[FIRST]


def test_a_proposal_counts_the_cost_of_all_that_a_bundle_carries() -> None:
    pool = Pool(MACHINE)
    dear = [signed(who, PAY, cost_limit=500_000, fee=500_000) for who in (ALICE, BOB)]
    more = signed(ALICE, PAY, 1, cost_limit=2000)

    assert pool.accepts(start(), [bundle.build(dear)])
    assert not pool.accepts(start(), [bundle.build([*dear, more])])
    assert not pool.accepts(start(), [bundle.build([FIRST, b"junk"])])
    assert not pool.accepts(start(), [bundle.build([FIRST, bundle.build([SECOND])])])
    assert pool.propose(start(), [bundle.build(dear), more], 10**6, at_height()) == (
        bundle.build(dear),
    )


def test_a_proposal_leaves_out_of_a_bundle_what_is_malformed() -> None:
    chosen = Pool(MACHINE).propose(start(), [bundle.build([b"junk", FIRST])], 10**6, at_height())

    assert chosen == (bundle.build([FIRST]),)
    assert proposal.size_in_block(chosen[0]) == 2 + len(chosen[0]) + 1


def test_no_new_bundle_is_let_in_between_a_block_and_its_commit() -> None:
    """CometBFT commits only once what it asked before is answered: hundreds of bundles, maybe."""
    pool = Pool(MACHINE)
    check(pool, BOTH)
    more = bundle.build([SECOND])

    pool.expect_commit()
    meanwhile = codes(pool, more, BOTH, SECOND)
    pool.commit([])

    assert meanwhile == [errors.CommitDue.code, 0, 0]
    assert codes(pool, BOTH, more, height=2) == [0, 0]
