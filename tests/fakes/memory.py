"""A state in memory that a draft can stand on, and what most chain tests begin with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from abci_chat import genesis as chat
from abci_currency import genesis as currency
from abci_currency.params import STAKING
from abci_currency.state.stake import POWER_UNIT
from dchat.kernel import accounts, codec, genesis, machine, params, signing, supply, tx
from dchat.kernel.family import TxFamily
from dchat.kernel.ids import AccountId, Amount, ChainId, Cost, EpochMs, Height, Nonce
from dchat.kernel.machine import (
    Block,
    BlockContext,
    BlockResult,
    GenesisContext,
    Machine,
    Outcome,
    ValidatorPower,
)
from dchat.kernel.store import Draft
from genesis import build as builder

CHAIN = ChainId("test-1")
FUNDS = Amount(1_000_000)
START = EpochMs(1_700_000_000_000)
"""Block time, more or less, at which most of these chains begin."""
CONSENSUS_SEED = b"\x09" * 32
VOTER = ValidatorPower(signing.public_key(CONSENSUS_SEED), 1_000_000)
"""The one validator of these chains; on the currency chain the founder operates it."""
STAKE = Amount(VOTER.power * POWER_UNIT)
BEGINNING = GenesisContext(CHAIN, EpochMs(0), (VOTER,))


class MemoryState:
    """Committed entries; `after` gives the next state and leaves this one alone."""

    def __init__(self, entries: Mapping[bytes, bytes] | None = None) -> None:
        self.entries = dict(entries or {})

    def get(self, key: bytes) -> bytes | None:
        return self.entries.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted(e for e in self.entries.items() if e[0].startswith(prefix)))

    def after(self, writes: Mapping[bytes, bytes | None]) -> MemoryState:
        merged: dict[bytes, bytes | None] = {**self.entries, **writes}
        return MemoryState({key: value for key, value in merged.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a key."""

    seed: bytes

    @property
    def public_key(self) -> bytes:
        return signing.public_key(self.seed)

    @property
    def id(self) -> AccountId:
        return accounts.account_id(self.public_key)


ALICE, BOB, CAROL, FOUNDER = (Person(bytes([at]) * 32) for at in (1, 2, 3, 8))


def founded(chain: str, held: bytes, voter: ValidatorPower) -> bytes:
    """Return what a chain begins with on which people hold this and the founder's voter votes.

    `held` is the kernel's genesis. On the chat chain the founder operates the validator, which owes
    no draw anything, and alone may vote on proposals. On the currency chain it has the voter's
    stake besides, and nothing more.
    """
    begun = genesis.SHAPE.decode(held, genesis.MAX_BYTES, genesis.MAX_ALLOCATIONS)
    if chain == "chat":
        return chat.SHAPE.encode(founded_chat(begun, voter))
    stake = Amount(voter.power * POWER_UNIT)
    paid = [*begun.allocations, genesis.Allocation(FOUNDER.id, stake)]
    ordered = tuple(sorted(paid, key=lambda each: each.account))
    least = min(stake, STAKING.default.min_validator_stake)
    rules = currency.Rules(staking=replace(STAKING.default, min_validator_stake=least))
    founder = currency.Founder(
        FOUNDER.id, voter.public_key, "founder", currency.Terms(), Amount(1), stake
    )
    return currency.SHAPE.encode(
        currency.Beginning(replace(begun, allocations=ordered), rules, (founder,))
    )


def founded_chat(held: genesis.Genesis, voter: ValidatorPower) -> chat.Beginning:
    """Return what a chat chain begins with that the founder alone votes on."""
    return chat.Beginning(
        held,
        chat.Rules(),
        (chat.Voter(FOUNDER.id, voter.power),),
        (chat.Validator(voter.public_key, FOUNDER.id),),
        builder.currency_bounds(),
    )


def opened(rules: Machine, **funds: int) -> MemoryState:
    """Return the genesis state of a chain on which alice, bob or carol hold something."""
    people = {"alice": ALICE, "bob": BOB, "carol": CAROL}
    allocations = sorted((people[name].id, Amount(units)) for name, units in funds.items())
    data = genesis.SHAPE.encode(
        genesis.Genesis(params.DEFAULT, tuple(genesis.Allocation(*each) for each in allocations))
    )
    begun, empty = founded(rules.name, data, VOTER), MemoryState()
    return empty.after(machine.init_chain(rules, empty, BEGINNING, begun).writes())


def envelope(who: Person, body: tuple[codec.Raw, ...], nonce: int = 0) -> tx.Envelope:
    """Return an envelope with which nothing is wrong."""
    return tx.Envelope(
        CHAIN,
        who.id,
        who.public_key,
        Nonce(nonce),
        Amount(2000),
        Cost(2000),
        Height(100),
        body,
    )


def signed(who: Person, body: tuple[codec.Raw, ...], nonce: int = 0, **changes: object) -> bytes:
    """Return the transaction that who signed, after the changes to its envelope."""
    return tx.build(replace(envelope(who, body, nonce), **changes), who.seed)


def at_height(height: int = 1) -> BlockContext:
    """Return the context of a block of the test chain."""
    return BlockContext(CHAIN, Height(height), EpochMs(START + height))


def run(rules: Machine, state: MemoryState, *txs: bytes, height: int = 1) -> BlockResult:
    """Return what a block with these transactions does."""
    return machine.run_block(rules, state, Block(at_height(height), txs), {})


def step(rules: Machine, state: MemoryState, raw: bytes) -> tuple[MemoryState, Outcome]:
    """Return the state after a block with one transaction, and its outcome."""
    result = run(rules, state, raw)
    return state.after(result.writes), result.outcomes[0]


def give(draft: Draft, who: AccountId, units: int) -> None:
    """Issue so many base units to an account."""
    accounts.credit(draft, who, Amount(units))
    supply.issue(draft, Amount(units))


def balance(state: MemoryState, who: Person) -> int:
    """Return what who holds."""
    return accounts.load(state, who.id).balance


def family(rules: Machine, name: str) -> TxFamily:
    """Return the family of that name."""
    return next(each for each in rules.families.values() if each.name == name)
