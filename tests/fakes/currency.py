"""A currency chain with validators, run block by block, and the orders that its people give."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from abci_currency import params
from abci_currency.hooks import active_set
from abci_currency.machine import MACHINE
from abci_currency.params import Rewards, Staking
from abci_currency.state import audit, rewards, stake, staking
from abci_currency.txs import consensus_key
from abci_currency.txs.validator import CreateValidator
from dchat.kernel import accounts, machine
from dchat.kernel import params as kernel
from dchat.kernel.amounts import UNIT
from dchat.kernel.codec import Raw
from dchat.kernel.family import TxContext
from dchat.kernel.ids import AccountId, Amount, Cost, EpochMs, Height
from dchat.kernel.machine import Block, BlockContext, BlockResult, Misbehaviour, Outcome
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, START, MemoryState, Person, give, signed

BLOCK_MS = 1_000
STAKE = Amount(1_000 * UNIT)
FUNDS = Amount(10_000 * UNIT)
FEE = 20_000
UNBONDING_MS = 100_000
EMISSION = Amount(40_000)
RULES = Staking(
    max_validators=3,
    min_validator_stake=Amount(100 * UNIT),
    unbonding_ms=UNBONDING_MS,
    max_unbondings=3,
    key_rotation_fee=Amount(5 * UNIT),
)
DAVE, ERIN = Person(bytes([4]) * 32), Person(bytes([5]) * 32)
PEOPLE = (ALICE, BOB, CAROL, DAVE, ERIN)


def voter(who: Person, number: int = 0) -> Person:
    """Return the holder of the consensus key that who's validator has, or changes to."""
    return Person(bytes([100 + who.seed[0], number]) + bytes(30))


def form(who: Person, stake: int = STAKE, **changes: object) -> CreateValidator:
    """Return the order to create who's validator, with which nothing is wrong."""
    key = voter(who)
    order = CreateValidator(
        consensus_key=key.public_key,
        proof=consensus_key.prove(key.seed, CHAIN, who.id),
        moniker=f"validator {who.seed[0]}",
        rate_bp=1000,
        max_rate_bp=2000,
        max_change_bp=100,
        min_self_delegation=Amount(100 * UNIT),
        stake=Amount(stake),
    )
    return replace(order, **changes)


def begun(
    operators: Iterable[Person] = (ALICE, BOB), stake: int = STAKE, rules: Staking = RULES
) -> MemoryState:
    """Return a chain on which everybody has funds, and these have a validator that votes.

    Fees are burned, so that no reward is paid beside what is looked at.
    """
    draft = Draft(MemoryState())
    kernel.save(draft, params.DEFAULT)
    params.STAKING.save(draft, rules)
    params.REWARDS.save(draft, Rewards(fee_burn_bp=10_000, fee_treasury_bp=0))
    rewards.begin(draft, START)
    for who in PEOPLE:
        give(draft, who.id, FUNDS)
    for who in operators:
        open_validator(draft, who, stake)
    active_set.begin(draft)
    return MemoryState().after(draft.writes())


def open_validator(draft: Draft, who: Person, own: int) -> None:
    """Let who have a validator with that stake of its own."""
    made = form(who, own)
    commission = stake.Commission(made.rate_bp, made.max_rate_bp, made.max_change_bp, START)
    terms = (commission, made.min_self_delegation)
    staking.open_validator(draft, who.id, made.consensus_key, made.moniker, terms)
    staking.bond(draft, who.id, who.id, made.stake, who.id)


def as_(who: Person, height: int = 1) -> TxContext:
    """Return the context of a transaction that who sends."""
    return TxContext(CHAIN, who.id, who.public_key, Height(height), time_of(height))


def time_of(height: int) -> EpochMs:
    """Return the time of a block: one a second."""
    return EpochMs(START + BLOCK_MS * height)


def block_at(
    height: int, misbehaviour: tuple[Misbehaviour, ...] = (), time: int | None = None
) -> BlockContext:
    """Return the context of the block at that height."""
    when = time_of(height) if time is None else EpochMs(time)
    return BlockContext(CHAIN, Height(height), when, misbehaviour=misbehaviour)


@dataclass
class Chain:
    """A currency chain that goes on block by block, audited after each."""

    state: MemoryState
    height: int = 0
    time: int = START

    def block(self, *txs: bytes, after_ms: int = BLOCK_MS, **context: object) -> BlockResult:
        """Run the next block."""
        self.height += 1
        self.time += after_ms
        at = replace(block_at(self.height, time=self.time), **context)
        result = machine.run_block(MACHINE, self.state, Block(at, txs), {})
        self.state = self.state.after(result.writes)
        audit.check_invariants(self.state)
        return result

    def order(self, who: Person, body: tuple[Raw, ...], after_ms: int = BLOCK_MS) -> Outcome:
        """Run a block with what who orders, and return the outcome."""
        return self.block(self.signed(who, body), after_ms=after_ms).outcomes[0]

    def signed(self, who: Person, body: tuple[Raw, ...]) -> bytes:
        """Return who's next transaction."""
        return signed(
            who,
            body,
            accounts.load(self.state, who.id).nonce,
            fee=Amount(FEE),
            cost_limit=Cost(10_000),
            valid_until_height=Height(self.height + 100),
        )

    def validator(self, who: Person) -> stake.Validator:
        """Return who's validator."""
        found = stake.validator(self.state, who.id)
        assert found is not None
        return found

    def shares(self, who: Person, operator: Person) -> int:
        """Return the shares that who has with a validator."""
        held = stake.delegation(self.state, who.id, operator.id)
        return held.shares if held else 0

    def balance(self, account: AccountId) -> int:
        """Return what an account, or a pool, holds."""
        return accounts.load(self.state, account).balance

    def voting(self) -> dict[bytes, int]:
        """Return the powers of those who CometBFT was told vote."""
        return {each.consensus_key: each.power for each in active_set.load(self.state)}


def with_emission(state: MemoryState) -> MemoryState:
    """Return the same, a block before stakers get EMISSION issued for the day."""
    draft = Draft(state)
    params.REWARDS.save(draft, Rewards(epoch_emission=EMISSION, max_emission=EMISSION))
    return state.after(draft.writes())


def shared_by(draft: Draft, tokens: int) -> bool:
    """Tell whether EMISSION was issued and shared by that much stake."""
    return rewards.totals(draft).per_token == EMISSION * rewards.SCALE // tokens
