"""Plays a story of the currency chain that a page of the docs tells, one order or offence a line.

    block 9, 1001 s: carol undelegates 400 from alice -> Undelegated
    blocks 13 to 20, 1303 s: bob signs none from 14 to 19 -> Slashed, Jailed

Blocks go through the machine with the votes and the evidence that CometBFT would give them. Times
are seconds since genesis, amounts DCHAT; behind the arrow is what the blocks tell, by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from abci_currency import genesis, params
from abci_currency.genesis import Beginning, Founder, Lock, Rules, Terms
from abci_currency.hooks import active_set
from abci_currency.machine import MACHINE
from abci_currency.params import Rewards, Slashing, Staking
from abci_currency.state import rewards, stake, supply
from abci_currency.txs import consensus_key, delegate, transfer, unjail, vesting
from abci_currency.txs import rewards as rewarding
from dchat.kernel import genesis as kernel
from dchat.kernel import machine
from dchat.kernel.amounts import UNIT
from dchat.kernel.codec import Raw
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.machine import (
    BlockResult,
    GenesisContext,
    Misbehaviour,
    Offence,
    ValidatorPower,
    Vote,
)
from tests.fakes.currency import DAVE, ERIN, Chain, voter
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, START, MemoryState

PEOPLE: Final = {"alice": ALICE, "bob": BOB, "carol": CAROL, "dave": DAVE, "erin": ERIN}
KEYS: Final = {"first": 0, "second": 1}
RULES: Final = Rules(
    staking=Staking(
        min_validator_stake=Amount(100 * UNIT),
        unbonding_ms=1_000_000,
        key_rotation_fee=Amount(5 * UNIT),
    ),
    slashing=Slashing(
        missed_blocks_window=10,
        downtime_slash_bp=100,
        downtime_jail_ms=60_000,
        double_sign_slash_bp=500,
        double_sign_jail_ms=300_000,
        evidence_max_age_ms=1_000_000,
    ),
    rewards=Rewards(
        epoch_ms=600_000,
        epoch_emission=Amount(100 * UNIT),
        emission_treasury_bp=1000,
        max_emission=Amount(150 * UNIT),
    ),
)
HELD: Final = {"alice": 700, "bob": 500, "carol": 1_500, "dave": 10}
FOUNDERS: Final = (("alice", 600, 1000, 100), ("bob", 400, 500, 400))
"""Name, own stake, commission in basis points, and the least own stake promised."""
LOCKS: Final = (
    Lock(
        DAVE.id,
        Amount(200 * UNIT),
        linear=True,
        begins_at=START,
        cliff_at=EpochMs(START + 500_000),
        ends_at=EpochMs(START + 2_000_000),
    ),
)
LINE: Final = re.compile(
    r"blocks? (?P<first>\d+)(?: to (?P<last>\d+))?, (?P<seconds>\d+) s: "
    r"(?P<what>.+?)(?: -> (?P<told>.+))?"
)


@dataclass(frozen=True, slots=True)
class Happening:
    """What a block has in it."""

    orders: tuple[tuple[str, tuple[Raw, ...]], ...] = ()
    """By whom, and the body."""
    offences: tuple[tuple[bytes, int], ...] = ()
    """Whose consensus key signed twice, and at which height."""
    away: tuple[tuple[bytes, range], ...] = ()
    """Whose consensus key signs none of these heights."""


def tokens(count: str) -> Amount:
    return Amount(int(count) * UNIT)


def ordered(body: Callable[..., tuple[Raw, ...]]) -> Callable[..., Happening]:
    return lambda who, *rest: Happening(orders=((who, body(who, *rest)),))


def rotated(who: str) -> tuple[Raw, ...]:
    key = voter(PEOPLE[who], KEYS["second"])
    proof = consensus_key.prove(key.seed, CHAIN, PEOPLE[who].id)
    order = consensus_key.RotateConsensusKey(key.public_key, proof, tokens("5"))
    return consensus_key.FAMILY.body(order)


def nothing() -> Happening:
    return Happening()


def key_of(who: str, which: str = "first") -> bytes:
    return voter(PEOPLE[who], KEYS[which]).public_key


ORDERS: Final[Mapping[str, Callable[..., Happening]]] = {
    r"(\w+) sends (\d+) to (\w+)": ordered(
        lambda _, count, to: transfer.FAMILY.body(transfer.Transfer(PEOPLE[to].id, tokens(count)))
    ),
    r"(\w+) delegates (\d+) to (\w+)": ordered(
        lambda _, count, to: delegate.DELEGATE.body(delegate.Delegate(PEOPLE[to].id, tokens(count)))
    ),
    r"(\w+) undelegates (\d+) from (\w+)": ordered(
        lambda _, count, of: delegate.UNDELEGATE.body(
            delegate.Undelegate(PEOPLE[of].id, tokens(count))
        )
    ),
    r"(\w+) redelegates (\d+) from (\w+) to (\w+)": ordered(
        lambda _, count, of, to: delegate.REDELEGATE.body(
            delegate.Redelegate(PEOPLE[of].id, PEOPLE[to].id, tokens(count))
        )
    ),
    r"(\w+) withdraws from (\w+)": ordered(
        lambda _, of: rewarding.REWARDS.body(rewarding.WithdrawRewards((PEOPLE[of].id,)))
    ),
    r"(\w+) withdraws commission": ordered(
        lambda _: rewarding.COMMISSION.body(rewarding.WithdrawCommission())
    ),
    r"(\w+) has (\w+) paid": ordered(
        lambda _, to: rewarding.ADDRESS.body(rewarding.SetRewardAddress(PEOPLE[to].id))
    ),
    r"(\w+) claims what has vested": ordered(lambda _: vesting.CLAIM.body(vesting.ClaimVested())),
    r"(\w+) unjails": ordered(lambda _: unjail.FAMILY.body(unjail.Unjail())),
    r"(\w+) rotates her key": ordered(rotated),
    r"(\w+)'s (\w+) key signed twice at height (\d+)": lambda who, which, height: Happening(
        offences=((key_of(who, which), int(height)),)
    ),
    r"(\w+) signs none from (\d+) to (\d+)": lambda who, first, last: Happening(
        away=((key_of(who), range(int(first), int(last) + 1)),)
    ),
    r"nothing": nothing,
}
"""Every sentence that a line may have, and what it comes to."""


def read(sentence: str) -> Happening:
    """Return what a sentence comes to. Raises: StopIteration for one that is not known."""
    found = ((re.fullmatch(form, sentence), make) for form, make in ORDERS.items())
    return next(make(*match.groups()) for match, make in found if match)


def beginning() -> Beginning:
    """Return the genesis of the story."""
    held = sorted((PEOPLE[name].id, Amount(count * UNIT)) for name, count in HELD.items())
    founders = [
        Founder(
            PEOPLE[name].id,
            key_of(name),
            name,
            Terms(rate),
            Amount(least * UNIT),
            Amount(own * UNIT),
        )
        for name, own, rate, least in FOUNDERS
    ]
    return Beginning(
        kernel.Genesis(params.DEFAULT, tuple(kernel.Allocation(*each) for each in held)),
        RULES,
        tuple(sorted(founders, key=lambda each: each.operator)),
        locks=LOCKS,
    )


def opened() -> MemoryState:
    """Return the state that the story begins with."""
    made = beginning()
    voters = tuple(ValidatorPower(*each) for each in genesis.powers(made).items())
    context = GenesisContext(CHAIN, START, voters)
    empty = MemoryState()
    draft = machine.init_chain(MACHINE, empty, context, genesis.SHAPE.encode(made))
    return empty.after(draft.writes())


@dataclass
class Story:
    """A chain to which a page's lines happen."""

    chain: Chain = field(default_factory=lambda: Chain(opened()))
    sets: list[dict[bytes, int]] = field(default_factory=list)
    """What CometBFT was told after each block, by height."""
    times: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._note()

    def play(self, line: str) -> str:
        """Let a line happen, and return it with what the blocks tell."""
        match = LINE.fullmatch(line)
        assert match, line
        first, last = int(match["first"]), int(match["last"] or match["first"])
        assert first == self.chain.height + 1, line
        happens, starts = read(match["what"]), int(match["seconds"]) * 1_000
        told = [
            name
            for at in range(last - first + 1)
            for name in names(self._block(happens, START + starts + 1_000 * at))
        ]
        said = line.split(" -> ", maxsplit=1)[0]
        return f"{said} -> {', '.join(told)}" if told else said

    def _block(self, happens: Happening, time: int) -> BlockResult:
        chain = self.chain
        txs = [chain.signed(PEOPLE[who], body) for who, body in happens.orders]
        result = chain.block(
            *txs,
            after_ms=time - chain.time,
            last_commit=self._votes(chain.height, happens),
            misbehaviour=tuple(self._proof(*each) for each in happens.offences),
        )
        self._note()
        return result

    def _note(self) -> None:
        self.sets.append(self.chain.voting())
        self.times.append(self.chain.time)

    def _voting_at(self, height: int) -> dict[bytes, int]:
        """Return the powers that CometBFT goes by at a height: it was told them two blocks ago."""
        return self.sets[max(0, height - 2)]

    def _votes(self, height: int, happens: Happening) -> tuple[Vote, ...]:
        """Return who signed the block of that height; the first one follows none."""
        powers = self._voting_at(height) if height else {}
        away = [key for key, heights in happens.away if height in heights]
        return tuple(
            Vote(stake.address_of(key), power, key not in away) for key, power in powers.items()
        )

    def _proof(self, key: bytes, height: int) -> Misbehaviour:
        power, time = self._voting_at(height)[key], EpochMs(self.times[height])
        address = stake.address_of(key)
        return Misbehaviour(Offence.DUPLICATE_VOTE, address, power, Height(height), time)

    def value(self, what: str) -> int:
        """Return the number that the state has under a name of the page."""
        found = ((re.fullmatch(form, what), look) for form, look in NUMBERS.items())
        return next(look(self.chain, *match.groups()) for match, look in found if match)


def names(result: BlockResult) -> list[str]:
    """Return what a block tells, by name; of what is refused, the refusal's."""
    outcomes = [outcome for outcome in result.outcomes if outcome.code]
    told = [*result.events, *(event for each in result.outcomes for event in each.events)]
    return [
        *(each.reason.split(":")[0] for each in outcomes),
        *(type(each).__name__ for each in told),
    ]


def validator_of(chain: Chain, who: str) -> stake.Validator:
    return chain.validator(PEOPLE[who])


def shares(chain: Chain, who: str, operator: str) -> int:
    return chain.shares(PEOPLE[who], PEOPLE[operator])


def worth(chain: Chain, who: str, operator: str) -> int:
    return stake.tokens_for(validator_of(chain, operator), shares(chain, who, operator))


def earned(chain: Chain, operator: str) -> rewards.ValidatorRewards:
    before = rewards.of_validator(chain.state, PEOPLE[operator].id)
    return rewards.caught_up(rewards.totals(chain.state), validator_of(chain, operator), before)


def due(chain: Chain, who: str, operator: str) -> int:
    held = stake.delegation(chain.state, PEOPLE[who].id, PEOPLE[operator].id)
    return rewards.due(held, earned(chain, operator)) if held else 0


def commission(chain: Chain, who: str) -> int:
    return earned(chain, who).commission // rewards.SCALE


def power(chain: Chain, who: str) -> int:
    members = active_set.load(chain.state)
    return sum(each.power for each in members if each.operator == PEOPLE[who].id)


NUMBERS: Final[Mapping[str, Callable[..., int]]] = {
    r"(\w+)'s balance": lambda chain, who: chain.balance(PEOPLE[who].id),
    r"(\w+)'s stake": lambda chain, who: validator_of(chain, who).tokens,
    r"(\w+)'s stake with (\w+)": worth,
    r"shares of (\w+)'s validator": lambda chain, who: validator_of(chain, who).shares,
    r"(\w+)'s shares with (\w+)": shares,
    r"(\w+)'s rewards with (\w+)": due,
    r"(\w+)'s commission": commission,
    r"(\w+)'s power": power,
    r"power of (\w+)'s (\w+) key": lambda chain, who, which: chain.voting().get(
        key_of(who, which), 0
    ),
    r"(\w+)": lambda chain, line: getattr(supply.of_state(chain.state), line),
}
"""Every name that a table of the page may have, and where the state has its number."""
