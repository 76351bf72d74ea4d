"""A whole currency chain with CometBFT's side of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from abci_currency import genesis
from abci_currency.genesis import Beginning, Bond, Founder, Lock, Rules, Terms
from abci_currency.hooks import active_set
from abci_currency.machine import MACHINE
from abci_currency.params import DEFAULT, Relays, Rewards, Slashing, Staking
from abci_currency.state import stake
from abci_currency.state.liability import SET_DELAY
from dchat.kernel import genesis as kernel
from dchat.kernel import machine
from dchat.kernel.amounts import UNIT
from dchat.kernel.genesis import Allocation
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.machine import Block, BlockContext, BlockResult, Misbehaviour, Vote
from tests.fakes.currency import voter
from tests.fakes.memory import CHAIN, START, Person
from tests.fakes.world import Deed, Made, World, nothing

FUNDS = Amount(5_000 * UNIT)
TREASURY = Amount(7 * UNIT)
SPAN_MS = 100_000
"""The unbonding time at the beginning, and how old evidence may be."""
PEOPLE = tuple(Person(bytes([at]) * 32) for at in range(1, 9))
STAKES = (1_000, 800, 800, 300)
RULES = Rules(
    Staking(
        max_validators=4,
        min_validator_stake=Amount(100 * UNIT),
        unbonding_ms=SPAN_MS,
        max_unbondings=3,
        key_rotation_fee=Amount(5 * UNIT),
    ),
    Slashing(
        missed_blocks_window=10,
        downtime_slash_bp=100,
        downtime_jail_ms=5_000,
        double_sign_jail_ms=10_000,
        evidence_max_age_ms=SPAN_MS,
    ),
    Rewards(
        epoch_ms=60_000,
        epoch_emission=Amount(3_000_007),
        emission_treasury_bp=1_000,
        max_emission=Amount(10**9),
    ),
    Relays(
        min_stake=Amount(10 * UNIT),
        unbonding_ms=SPAN_MS // 2,
        min_escrow=Amount(UNIT),
        escrow_delay_ms=SPAN_MS // 2,
        token_epoch_ms=3_600_000,
    ),
)


def beginning() -> Beginning:
    """Return what the chain begins with: four validators, two who delegate, three with a lock."""
    four, others = PEOPLE[: len(STAKES)], PEOPLE[len(STAKES) :]
    founders = [
        Founder(
            who.id,
            voter(who).public_key,
            f"founder {at}",
            Terms(500 * at, 5_000, 1_000),
            Amount(100 * UNIT),
            Amount(STAKES[at] * UNIT),
        )
        for at, who in enumerate(four)
    ]
    bonds = [
        Bond(others[0].id, four[0].id, Amount(250 * UNIT + 7)),
        Bond(others[1].id, four[3].id, Amount(100 * UNIT)),
    ]
    middle, end = EpochMs(START + SPAN_MS), EpochMs(START + 10 * SPAN_MS)
    locks = [
        Lock(four[3].id, Amount(200 * UNIT), True, START, START, end),
        Lock(others[1].id, Amount(300 * UNIT + 1), True, START, middle, end),
        Lock(others[2].id, Amount(50 * UNIT), False, START, middle, middle),
    ]
    allocations = [Allocation(each.id, FUNDS) for each in PEOPLE]
    return Beginning(
        kernel.Genesis(DEFAULT, tuple(sorted(allocations, key=lambda each: each.account))),
        RULES,
        tuple(sorted(founders, key=lambda each: each.operator)),
        tuple(sorted(bonds, key=lambda each: each.delegator)),
        tuple(sorted(locks, key=lambda each: each.account)),
        TREASURY,
    )


class Economy(World):
    """The currency chain; CometBFT's validators are those that the chain told it of."""

    def __init__(self) -> None:
        begun = beginning()
        powers = genesis.powers(begun)
        super().__init__(MACHINE, genesis.SHAPE.encode(begun), powers, PEOPLE)
        self.sets: dict[int, dict[bytes, int]] = dict.fromkeys(range(1, SET_DELAY + 1), powers)
        """Who signs the block of that height, as CometBFT knows it."""
        self.told: dict[bytes, int] = powers
        """Who is to sign two blocks on."""
        self.absent: frozenset[bytes] = frozenset()

    def block(
        self,
        *txs: bytes,
        after_ms: int = 1_000,
        absent: Collection[bytes] = (),
        evidence: Sequence[Misbehaviour] = (),
        deed: Deed = nothing,
    ) -> Made:
        """Run the next block on every replica; `absent` are keys that did not sign the last one."""
        self.pass_time(after_ms, deed)
        self.absent = frozenset(absent)
        votes = self.votes(self.height, absent)
        context = BlockContext(
            CHAIN, Height(self.height), EpochMs(self.time), b"", votes, tuple(evidence)
        )
        made = self.run(context, txs)
        self._tell(made.result)
        return made

    def votes(self, height: int, absent: Collection[bytes]) -> tuple[Vote, ...]:
        """Return the last commit that the block of that height carries, the first none."""
        voters = self.sets.get(height - 1, {})
        return tuple(
            [Vote(stake.address_of(key), voters[key], key not in absent) for key in voters]
        )

    def _tell(self, result: BlockResult) -> None:
        """Let CometBFT take over the updates, as strictly as it does."""
        told = dict(self.told)
        for each in result.validator_updates:
            assert told.get(each.public_key, 0) != each.power
            told[each.public_key] = each.power
        self.told = {key: power for key, power in told.items() if power}
        assert self.told
        assert sum(self.told.values()) < 2**60
        self.sets[self.height + SET_DELAY] = self.told

    def ahead(self, blocks: int) -> Iterator[BlockResult]:
        """Yield what empty blocks would do if nothing happened and no time went by."""
        state, set_ = self.state, self.sets[self.height + 1] if self.height else {}
        for height in range(self.height + 1, self.height + 1 + blocks):
            votes = tuple([Vote(stake.address_of(key), set_[key], True) for key in set_])
            context = BlockContext(CHAIN, Height(height), EpochMs(self.time), b"", votes)
            result = machine.run_block(MACHINE, state, Block(context, ()), {})
            state = state.after(result.writes)
            yield result

    def active(self) -> dict[bytes, int]:
        """Return the powers of those who vote, as the state has it."""
        return {each.consensus_key: each.power for each in active_set.load(self.state)}
