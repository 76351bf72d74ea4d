from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from abci_currency.machine import MACHINE
from abci_currency.params import BASIS_POINTS, REWARDS
from abci_currency.state import pools
from abci_currency.txs.transfer import FAMILY, Transfer, Transferred
from dchat.kernel import accounts, codec, supply
from dchat.kernel.errors import AmountTooLarge, InsufficientFunds, MalformedBody, ZeroAmount
from dchat.kernel.family import TxContext
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.memory import (
    ALICE,
    BOB,
    CAROL,
    CHAIN,
    STAKE,
    MemoryState,
    Person,
    balance,
    opened,
    run,
    signed,
    step,
)

FEE = 2000


def pay(who: Person, to: Person, amount: int, nonce: int = 0, memo: str = "") -> bytes:
    return signed(who, FAMILY.body(Transfer(to.id, Amount(amount), memo)), nonce)


def as_(who: Person) -> TxContext:
    return TxContext(CHAIN, who.id, who.public_key, Height(1), EpochMs(1))


def start() -> MemoryState:
    return opened(MACHINE, alice=10_000, bob=10_000)


def test_a_transfer_moves_the_amount() -> None:
    after, outcome = step(MACHINE, start(), pay(ALICE, BOB, 4, memo="for lunch"))

    assert (balance(after, ALICE), balance(after, BOB)) == (10_000 - FEE - 4, 10_004)
    assert outcome.events == (Transferred(ALICE.id, BOB.id, Amount(4)),)


def test_a_transfer_opens_the_account_of_a_stranger() -> None:
    after, _ = step(MACHINE, start(), pay(ALICE, CAROL, 4))

    assert accounts.load(after, CAROL.id) == accounts.Account(b"", 0, accounts.Nonce(0), Amount(4))


def test_all_but_the_fee_can_be_sent() -> None:
    after, outcome = step(MACHINE, start(), pay(ALICE, BOB, 8_000))

    assert (outcome.code, balance(after, ALICE)) == (0, 0)


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (0, ZeroAmount.code),
        (8_001, InsufficientFunds.code),
        (2**64 - 1, InsufficientFunds.code),
    ],
)
def test_a_refused_transfer_moves_nothing(amount: int, code: int) -> None:
    after, outcome = step(MACHINE, start(), pay(ALICE, BOB, amount))

    assert (outcome.code, balance(after, ALICE), balance(after, BOB)) == (code, 8_000, 10_000)


def test_a_balance_that_would_leave_64_bits_is_refused() -> None:
    full = Draft(MemoryState())
    accounts.credit(full, BOB.id, Amount(2**64 - 1))
    accounts.credit(full, ALICE.id, Amount(10_000))

    with pytest.raises(AmountTooLarge):
        FAMILY.apply(full, Transfer(BOB.id, Amount(1)), as_(ALICE))


@pytest.mark.parametrize("memo", ["x" * 257, "é" * 129])
def test_a_memo_over_256_bytes_is_malformed(memo: str) -> None:
    body: tuple[codec.Raw, ...] = (FAMILY.type, BOB.id, 1, memo)

    _, outcome = step(MACHINE, start(), signed(ALICE, body))

    assert outcome.code == MalformedBody.code


@pytest.mark.parametrize("pool", [pools.STAKED, pools.VESTING, pools.REWARDS])
def test_what_only_the_rules_hold_cannot_be_paid(pool: AccountId) -> None:
    """Or a line of the supply report would no longer be what it says."""
    body = FAMILY.body(Transfer(pool, Amount(4)))

    _, outcome = step(MACHINE, start(), signed(ALICE, body))

    assert outcome.code == pools.HeldByRules.code


def test_the_treasury_can_be_paid() -> None:
    body = FAMILY.body(Transfer(pools.TREASURY, Amount(4)))

    after, outcome = step(MACHINE, start(), signed(ALICE, body))

    from_fee = FEE * REWARDS.default.fee_treasury_bp // BASIS_POINTS
    assert (outcome.code, accounts.load(after, pools.TREASURY).balance) == (0, 4 + from_fee)


def test_sending_to_oneself_mints_nothing() -> None:
    after, _ = step(MACHINE, start(), pay(ALICE, ALICE, 4))

    assert balance(after, ALICE) == 10_000 - FEE


people = st.sampled_from([ALICE, BOB, CAROL])


class Ledger(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.chain = opened(MACHINE, alice=100_000, bob=50_000)
        self.nonces = dict.fromkeys((ALICE, BOB, CAROL), 0)

    @rule(sender=people, to=people, amount=st.integers(0, 60_000))
    def transfer(self, sender: Person, to: Person, amount: int) -> None:
        raw = pay(sender, to, amount, self.nonces[sender])
        self.chain, outcome = step(MACHINE, self.chain, raw)
        self.nonces[sender] += outcome.cost_wanted > 0
        assert step(MACHINE, self.chain, raw)[1].code != 0

    @rule(raw=st.binary(max_size=200))
    def junk(self, raw: bytes) -> None:
        assert run(MACHINE, self.chain, raw).writes == {}

    @invariant()
    def supply_is_conserved(self) -> None:
        supply.check_invariant(self.chain)
        assert supply.load(self.chain).issued == 150_000 + STAKE

    @invariant()
    def nonces_rise_by_one(self) -> None:
        assert {who: accounts.load(self.chain, who.id).nonce for who in self.nonces} == self.nonces


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
