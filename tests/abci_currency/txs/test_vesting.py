from __future__ import annotations

import pytest

from abci_currency.machine import MACHINE
from abci_currency.state import pools, stake, staking, vesting
from abci_currency.state.staking import UnknownValidator
from abci_currency.state.vesting import NothingLocked, NothingVested, TooLittleLocked, Vesting
from abci_currency.txs.vesting import (
    CLAIM,
    DELEGATE,
    ClaimVested,
    DelegateVested,
    VestedClaimed,
    VestedDelegated,
)
from dchat.kernel import accounts, codec, supply
from dchat.kernel.errors import MalformedBody, NonceMismatch, ZeroAmount
from dchat.kernel.ids import AccountId, Amount, EpochMs
from dchat.kernel.pool import Pool
from dchat.kernel.store import Draft
from tests.fakes.memory import (
    ALICE,
    BOB,
    CAROL,
    FOUNDER,
    MemoryState,
    Person,
    at_height,
    balance,
    opened,
    signed,
    step,
)

FEE = 2000
LOCKED = 1_000_000
NOW = at_height().block_time_ms
CLAIMS = CLAIM.body(ClaimVested())


def start(vested_pct: int = 25) -> MemoryState:
    """Alice and bob hold 10,000 each; so much of what is locked for alice has vested."""
    begins = EpochMs(NOW - vested_pct)
    ends = EpochMs(begins + 100)
    base = opened(MACHINE, alice=10_000, bob=10_000)
    draft = Draft(base)
    vesting.begin(draft, [(ALICE.id, Vesting(Amount(LOCKED), True, begins, begins, ends))])
    return base.after(draft.writes())


def locked(state: MemoryState) -> Vesting:
    found = vesting.vesting(state, ALICE.id)
    assert found is not None
    return found


def delegate(operator: AccountId, amount: int, who: Person = ALICE, nonce: int = 0) -> bytes:
    return signed(who, DELEGATE.body(DelegateVested(operator, Amount(amount))), nonce)


def test_what_has_vested_becomes_a_balance() -> None:
    after, outcome = step(MACHINE, start(), signed(ALICE, CLAIMS))

    assert outcome.events == (VestedClaimed(ALICE.id, Amount(LOCKED // 4)),)
    assert balance(after, ALICE) == 10_000 - FEE + LOCKED // 4
    assert accounts.load(after, pools.VESTING).balance == LOCKED - LOCKED // 4
    vesting.check_invariant(after)
    supply.check_invariant(after)


@pytest.mark.parametrize(
    ("who", "vested_pct", "code"),
    [(BOB, 25, NothingLocked.code), (ALICE, 0, NothingVested.code)],
)
def test_a_refused_claim_pays_nothing(who: Person, vested_pct: int, code: int) -> None:
    after, outcome = step(MACHINE, start(vested_pct), signed(who, CLAIMS))

    assert (outcome.code, balance(after, who)) == (code, 10_000 - FEE)
    assert locked(after) == locked(start(vested_pct))


def test_a_replayed_claim_is_refused() -> None:
    after, _ = step(MACHINE, start(), signed(ALICE, CLAIMS))

    assert step(MACHINE, after, signed(ALICE, CLAIMS))[1].code == NonceMismatch.code
    assert step(MACHINE, after, signed(ALICE, CLAIMS, 1))[1].code == NothingVested.code


def test_locked_tokens_are_staked_where_they_have_not_vested() -> None:
    before = stake.validator(start(0), FOUNDER.id)

    after, outcome = step(MACHINE, start(0), delegate(FOUNDER.id, LOCKED))

    validator = stake.validator(after, FOUNDER.id)
    delegation = stake.delegation(after, ALICE.id, FOUNDER.id)
    assert outcome.events == (VestedDelegated(ALICE.id, FOUNDER.id, Amount(LOCKED)),)
    assert before is not None
    assert validator is not None
    assert delegation is not None
    assert validator.tokens == before.tokens + LOCKED
    assert delegation.shares == LOCKED
    assert (locked(after).staked, locked(after).held) == (LOCKED, 0)
    assert balance(after, ALICE) == 10_000 - FEE
    vesting.check_invariant(after)
    supply.check_invariant(after)


@pytest.mark.parametrize(
    ("who", "operator", "amount", "code"),
    [
        (ALICE, FOUNDER.id, 0, ZeroAmount.code),
        (ALICE, FOUNDER.id, LOCKED + 1, TooLittleLocked.code),
        (ALICE, FOUNDER.id, 2**64 - 1, TooLittleLocked.code),
        (ALICE, CAROL.id, 5, UnknownValidator.code),
        (BOB, FOUNDER.id, 5, NothingLocked.code),
    ],
)
def test_refused_stake_stays_locked(
    who: Person, operator: AccountId, amount: int, code: int
) -> None:
    after, outcome = step(MACHINE, start(), delegate(operator, amount, who))

    assert (outcome.code, balance(after, who)) == (code, 10_000 - FEE)
    assert locked(after) == locked(start())
    assert stake.validator(after, FOUNDER.id) == stake.validator(start(), FOUNDER.id)


def test_a_replayed_delegation_is_refused() -> None:
    after, _ = step(MACHINE, start(), delegate(FOUNDER.id, 5))

    assert step(MACHINE, after, delegate(FOUNDER.id, 5))[1].code == NonceMismatch.code


@pytest.mark.parametrize("body", [(4, 0), (5,), (5, b"short", 1), (5, bytes(32), True)])
def test_other_fields_are_malformed(body: tuple[codec.Raw, ...]) -> None:
    assert step(MACHINE, start(), signed(ALICE, body))[1].code == MalformedBody.code


def test_what_was_staked_cannot_be_claimed_once_it_vests() -> None:
    after, _ = step(MACHINE, start(100), delegate(FOUNDER.id, LOCKED - 1))

    paid, outcome = step(MACHINE, after, signed(ALICE, CLAIMS, 1))

    assert outcome.events == (VestedClaimed(ALICE.id, Amount(1)),)
    assert step(MACHINE, paid, signed(ALICE, CLAIMS, 2))[1].code == NothingVested.code


def test_neither_takes_from_the_balance_so_others_may_wait_behind() -> None:
    pool = Pool(MACHINE)
    waiting = [delegate(FOUNDER.id, LOCKED), signed(ALICE, CLAIMS, 1), signed(ALICE, CLAIMS, 2)]

    assert [pool.check(start(), raw, at_height()).code for raw in waiting] == [0, 0, 0]


def test_stake_from_a_lock_and_from_the_balance_is_one_delegation() -> None:
    draft = Draft(start())
    staking.bond(draft, ALICE.id, FOUNDER.id, Amount(300), ALICE.id)
    own = start().after(draft.writes())

    after, _ = step(MACHINE, own, delegate(FOUNDER.id, 200))

    found = stake.delegation(after, ALICE.id, FOUNDER.id)
    assert found is not None
    assert (found.shares, locked(after).staked) == (500, 200)
