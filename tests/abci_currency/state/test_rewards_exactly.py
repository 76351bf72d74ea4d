"""The two sums of rewards against what everybody is owed to the last fraction."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from abci_currency.state import audit, pools, rewards, stake, staking
from abci_currency.state.rewards import LEAST_ACTIVE
from dchat.kernel import accounts, holdings
from dchat.kernel.ids import AccountId
from dchat.kernel.store import Draft
from tests.fakes.earners import (
    ONE,
    PEOPLE,
    change,
    delegate,
    pay_fees,
    slash,
    staked,
    terms,
    validator_of,
)


def balance(draft: Draft, who: AccountId) -> int:
    return accounts.load(draft, who).balance


people = st.sampled_from(PEOPLE)
fractions_bp = st.integers(0, 10_000)


class Exactly(RuleBasedStateMachine):
    """The two sums against what everybody is owed to the last fraction, walked over by hand."""

    @initialize(
        stakes=st.lists(st.integers(ONE, 1_000 * ONE), min_size=3, max_size=3),
        rate_bp=fractions_bp,
    )
    def begin(self, stakes: list[int], rate_bp: int) -> None:
        self.draft = staked(*stakes, rate_bp=rate_bp)
        self.owed: defaultdict[tuple[AccountId, AccountId], Fraction] = defaultdict(Fraction)
        self.commission: defaultdict[AccountId, Fraction] = defaultdict(Fraction)
        self.paid: defaultdict[tuple[AccountId, AccountId], int] = defaultdict(int)
        self.paid_commission: defaultdict[AccountId, int] = defaultdict(int)
        self.claims: defaultdict[tuple[AccountId, AccountId], int] = defaultdict(int)
        self.shared = 0

    @rule(amount=st.one_of(st.integers(1, 1_000), st.integers(1, 2**40)))
    def fees(self, amount: int) -> None:
        active = rewards.totals(self.draft).active_tokens
        self.shared += amount if active >= LEAST_ACTIVE else 0
        for operator in PEOPLE if active >= LEAST_ACTIVE else ():
            self._owe(operator, Fraction(amount, active))
        pay_fees(self.draft, amount)

    def _owe(self, operator: AccountId, per_token: Fraction) -> None:
        held = validator_of(self.draft, operator)
        earned = per_token * held.tokens if held.active and held.shares else Fraction(0)
        cut = earned * held.commission.rate_bp / 10_000
        self.commission[operator] += cut
        for who in PEOPLE:
            part = stake.delegation(self.draft, who, operator)
            self.owed[who, operator] += (earned - cut) * part.shares / held.shares if part else 0

    def _paid(self, who: AccountId, operator: AccountId, before: int, change: int) -> None:
        self.paid[who, operator] += balance(self.draft, who) - before - change
        self.claims[who, operator] += 1

    @rule(who=people, operator=people, tokens=st.integers(1, 2_000 * ONE))
    def delegate(self, who: AccountId, operator: AccountId, tokens: int) -> None:
        held, before = validator_of(self.draft, operator), balance(self.draft, who)
        if held.tokens or not held.shares:
            delegate(self.draft, who, operator, tokens)
            self._paid(who, operator, before, 0)

    @rule(who=people, operator=people, part=st.fractions(0, 1))
    def undelegate(self, who: AccountId, operator: AccountId, part: Fraction) -> None:
        held, before = stake.delegation(self.draft, who, operator), balance(self.draft, who)
        shares = int(held.shares * part) if held else 0
        if shares:
            tokens = staking.take_shares(self.draft, who, operator, shares)
            holdings.move(self.draft, pools.STAKED, pools.TREASURY, tokens)
            self._paid(who, operator, before, 0)

    @rule(who=people, operator=people)
    def withdraw(self, who: AccountId, operator: AccountId) -> None:
        before = balance(self.draft, who)
        rewards.claim(self.draft, who, operator)
        self._paid(who, operator, before, 0)

    @rule(operator=people)
    def withdraw_commission(self, operator: AccountId) -> None:
        self.paid_commission[operator] += rewards.claim_commission(self.draft, operator)

    @rule(operator=people, part_bp=fractions_bp)
    def slash(self, operator: AccountId, part_bp: int) -> None:
        slash(self.draft, operator, part_bp)

    @rule(operator=people, rate_bp=fractions_bp)
    def change_commission(self, operator: AccountId, rate_bp: int) -> None:
        held = validator_of(self.draft, operator)
        change(self.draft, operator, replace(held, commission=terms(rate_bp)[0]))

    @rule(operator=people)
    def come_or_go(self, operator: AccountId) -> None:
        held = validator_of(self.draft, operator)
        change(self.draft, operator, replace(held, active=not held.active))

    def _due(self, who: AccountId, operator: AccountId) -> int:
        child = self.draft.fork()
        return rewards.claim(child, who, operator)

    @invariant()
    @precondition(lambda self: hasattr(self, "draft"))
    def nobody_gets_more_than_exactly_his_own(self) -> None:
        for (who, operator), owed in self.owed.items():
            got = self.paid[who, operator] + self._due(who, operator)
            assert owed - self.claims[who, operator] - 2 < got <= owed

    @invariant()
    @precondition(lambda self: hasattr(self, "draft"))
    def operators_get_their_commission_to_the_base_unit(self) -> None:
        for operator, owed in self.commission.items():
            child = self.draft.fork()
            got = self.paid_commission[operator] + rewards.claim_commission(child, operator)
            assert owed - 2 < got <= owed

    @invariant()
    @precondition(lambda self: hasattr(self, "draft"))
    def everything_is_in_the_pool_until_it_is_paid(self) -> None:
        paid = sum(self.paid.values()) + sum(self.paid_commission.values())
        assert balance(self.draft, pools.REWARDS) == self.shared - paid
        audit.check_invariants(self.draft)


TestExactly = Exactly.TestCase
TestExactly.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
