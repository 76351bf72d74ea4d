"""Stake under any orders, offences and times: what must hold after every block."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from abci_currency import keys, params
from abci_currency.hooks import active_set
from abci_currency.state import stake
from abci_currency.txs import unjail
from abci_currency.txs.consensus_key import FAMILY as ROTATE
from abci_currency.txs.consensus_key import RotateConsensusKey, prove
from abci_currency.txs.delegate import (
    DELEGATE,
    REDELEGATE,
    UNDELEGATE,
    Delegate,
    Redelegate,
    Undelegate,
)
from abci_currency.txs.validator import CREATE
from dchat.kernel import codec
from dchat.kernel.amounts import UNIT
from dchat.kernel.codec import Raw
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.machine import Misbehaviour, Offence
from dchat.kernel.refusals import REFUSALS
from dchat.kernel.store import Draft
from tests.fakes.currency import (
    DAVE,
    ERIN,
    FEE,
    FUNDS,
    PEOPLE,
    RULES,
    UNBONDING_MS,
    Chain,
    begun,
    form,
    voter,
)
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, Person

people = st.sampled_from(PEOPLE)
operators = st.sampled_from([ALICE, BOB, CAROL, DAVE, ERIN])
amounts = st.one_of(
    st.integers(1, 10), st.integers(1, 1_200 * UNIT), st.sampled_from([UNIT, 500 * UNIT])
)
places = st.integers(0, 24)
fractions = st.sampled_from([1, 500, 500, 3_333, 3_333, 10_000])


class Stakes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.chain = Chain(begun((ALICE, BOB, CAROL, DAVE)))
        self.comet = self.chain.voting()
        self.sets = {0: self.comet, 1: self.comet, 2: self.comet}
        self.orders = dict.fromkeys(PEOPLE, 0)
        self.burned = dict.fromkeys(PEOPLE, 0)

    def block(self, *txs: bytes, after_ms: int = 1_000, **context: object) -> list[int]:
        result = self.chain.block(*txs, after_ms=after_ms, **context)
        for each in result.validator_updates:
            assert self.comet.get(each.public_key, 0) != each.power
            self.comet = {**self.comet, each.public_key: each.power}
        self.comet = {key: power for key, power in self.comet.items() if power}
        self.sets[self.chain.height + 2] = self.comet
        return [each.code for each in result.outcomes]

    def order(self, who: Person, body: tuple[Raw, ...]) -> int:
        (code,) = self.block(self.chain.signed(who, body))
        self.orders[who] += 1
        assert code in {0, *REFUSALS}
        return code

    @rule(who=people, operator=operators, amount=amounts)
    def delegate(self, who: Person, operator: Person, amount: int) -> None:
        self.order(who, DELEGATE.body(Delegate(operator.id, Amount(amount))))

    @rule(at=places, amount=amounts, whole=st.booleans())
    def undelegate(self, at: int, amount: int, whole: bool) -> None:
        who, operator = self.holding(at)
        wanted = self.worth(who, operator) if whole else amount
        code = self.order(who, UNDELEGATE.body(Undelegate(operator.id, Amount(wanted))))
        assert code != 0 or not whole or self.chain.shares(who, operator) == 0

    @rule(at=places, to=operators, amount=amounts)
    def redelegate(self, at: int, to: Person, amount: int) -> None:
        who, source = self.holding(at)
        amount = min(amount, self.worth(who, source))
        self.order(who, REDELEGATE.body(Redelegate(source.id, to.id, Amount(amount))))

    def holding(self, at: int) -> tuple[Person, Person]:
        pairs = [
            (who, operator)
            for who in PEOPLE
            for operator in PEOPLE
            if self.chain.shares(who, operator)
        ]
        return pairs[at % len(pairs)] if pairs else (ALICE, ALICE)

    @precondition(lambda self: stake.validator(self.chain.state, ERIN.id) is None)
    @rule()
    def create(self) -> None:
        self.order(ERIN, CREATE.body(form(ERIN)))

    @rule(at=places)
    def free(self, at: int) -> None:
        confined = [
            who
            for who in PEOPLE
            if (each := stake.validator(self.chain.state, who.id)) and each.jailed
        ]
        who = confined[at % len(confined)] if confined else ALICE
        self.order(who, unjail.FAMILY.body(unjail.Unjail()))

    @rule(who=operators, number=st.integers(1, 3))
    def rotate(self, who: Person, number: int) -> None:
        key = voter(who, number)
        new = RotateConsensusKey(
            key.public_key, prove(key.seed, CHAIN, who.id), RULES.key_rotation_fee
        )
        paid = self.order(who, ROTATE.body(new)) == 0
        self.burned[who] += RULES.key_rotation_fee if paid else 0

    @precondition(lambda self: self.chain.height > 0)
    @rule(back=st.integers(0, 8), at=places, bp=fractions)
    def offend(self, back: int, at: int, bp: int) -> None:
        height = max(1, self.chain.height - back)
        key, power = sorted(self.sets[height].items())[at % len(self.sets[height])]
        self.set_slash(bp)
        proved = Misbehaviour(
            Offence.DUPLICATE_VOTE,
            stake.address_of(key),
            power,
            Height(height),
            EpochMs(self.chain.time - 1),
        )
        self.block(misbehaviour=(proved,))

    def set_slash(self, bp: int) -> None:
        draft = Draft(self.chain.state)
        rules = replace(
            params.SLASHING.load(draft), double_sign_slash_bp=bp, double_sign_jail_ms=10_000
        )
        params.SLASHING.save(draft, rules)
        self.chain.state = self.chain.state.after(draft.writes())

    @rule(passed=st.sampled_from([1, 20_000, UNBONDING_MS - 1, UNBONDING_MS, 3 * UNBONDING_MS]))
    def wait(self, passed: int) -> None:
        self.block(after_ms=passed)

    @rule(most=st.integers(1, 5))
    def vote_on_places(self, most: int) -> None:
        draft = Draft(self.chain.state)
        params.STAKING.save(draft, replace(RULES, max_validators=most))
        self.chain.state = self.chain.state.after(draft.writes())
        self.block()

    def worth(self, who: Person, operator: Person) -> int:
        record = stake.validator(self.chain.state, operator.id)
        return stake.tokens_for(record, self.chain.shares(who, operator)) if record else 0

    def wealth(self, who: Person) -> int:
        begun = self.chain.state.scan(keys.UNBONDINGS)
        leaving = [
            stake.UNBONDING.decode_own(record).tokens
            for key, record in begun
            if named(key, 1) == who.id
        ]
        bonded = sum(self.worth(who, each) for each in PEOPLE)
        return self.chain.balance(who.id) + bonded + sum(leaving)

    @invariant()
    def nobody_gains(self) -> None:
        """But for what others lost by rounding, less than a unit an order."""
        orders = sum(self.orders.values())
        for who in PEOPLE:
            spent = FEE * self.orders[who] + self.burned[who]
            assert self.wealth(who) <= FUNDS - spent + orders

    @invariant()
    def the_strongest_vote(self) -> None:
        rules = params.STAKING.load(self.chain.state)
        candidates = [
            (-each.tokens, who.id, each.consensus_key)
            for who in PEOPLE
            if (each := stake.validator(self.chain.state, who.id))
            and not each.jailed
            and each.tokens >= UNIT
        ]
        chosen = [key for _, _, key in sorted(candidates)[: rules.max_validators]]
        voting = [each.consensus_key for each in active_set.load(self.chain.state)]
        assert voting == chosen or not chosen

    @invariant()
    def comet_votes_as_the_state_says(self) -> None:
        assert self.comet == self.chain.voting()
        assert self.comet

    @invariant()
    def entries_and_liable_shares_agree(self) -> None:
        state = self.chain.state
        liable: dict[bytes, int] = {}
        for key, record in state.scan(codec.pack(("redelegation", b"", b"", 0))[:-5]):
            entry = stake.REDELEGATION.decode_own(record)
            at = keys.delegation(named(key, 1), named(key, 2))
            liable[at] = liable.get(at, 0) + entry.shares
        for key, record in state.scan(keys.DELEGATIONS):
            held = stake.DELEGATION.decode_own(record)
            assert held.liable_shares == liable.pop(key, 0)
        assert liable == {}

    @invariant()
    def an_empty_block_writes_nothing_before_something_is_due(self) -> None:
        ahead = replace(self.chain)
        ahead.block(after_ms=0)
        assert ahead.block(after_ms=0).writes == {}


def named(key: bytes, at: int) -> AccountId:
    return cast("AccountId", codec.unpack_array(key)[at])


TestStakes = Stakes.TestCase
TestStakes.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
