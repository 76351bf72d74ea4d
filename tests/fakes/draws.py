"""A chat chain in memory whose proposers owe preimages, and who asks for seeds on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from abci_chat import keys, params
from abci_chat.hooks.draws import SeedDrawn
from abci_chat.machine import MACHINE
from abci_chat.state import beacon, cases
from abci_chat.state.beacon import DUTY, Beacon, Draw, Link, PreimageRevealed
from abci_chat.state.cases import Case, Phase, Reason
from abci_chat.state.targets import Kind, Target
from dchat.kernel import contribution, headers, machine
from dchat.kernel.family import Event
from dchat.kernel.ids import Amount, Height
from dchat.kernel.machine import Block, BlockContext, BlockResult, Machine
from dchat.kernel.store import Draft
from tests.fakes.memory import (
    ALICE,
    BOB,
    CAROL,
    CHAIN,
    FOUNDER,
    FUNDS,
    Person,
    at_height,
    opened,
)

LENGTH = 64
"""Preimages of every chain."""
PREIMAGES = 4
"""What a window takes."""
OPERATORS: Sequence[Person] = (ALICE, BOB, CAROL, FOUNDER)
KEYS = [bytes([0x40 + at]) * 32 for at in range(len(OPERATORS))]
ADDRESSES = [headers.address_of(key) for key in KEYS]
SECRETS = [bytes([0x50 + at]) * 32 for at in range(len(OPERATORS))]
ANNA, BERT, CLEO, DIRK = range(4)
"""The validators; DIRK has no chain."""


def head(who: int, number: int = 1, length: int = LENGTH) -> bytes:
    """Return the head of a validator's chain."""
    return beacon.value(SECRETS[who], CHAIN, number, length)


def preimage(who: int, used: int, number: int = 1, length: int = LENGTH) -> bytes:
    """Return a validator's next preimage once so many were used."""
    return beacon.value(SECRETS[who], CHAIN, number, length - used - 1)


def seed(window: int, number: int, revealed: Sequence[tuple[int, bytes]]) -> bytes:
    """Return what case `number` gets of a window in which these revealed those."""
    digest = bytes(32)
    for who, value in revealed:
        digest = beacon.with_preimage(digest, ADDRESSES[who], value)
    return beacon.seed_of(CHAIN, window, digest, keys.case(number))


@dataclass(frozen=True, slots=True)
class Made:
    """A block: what it did, and what its proposer contributed."""

    result: BlockResult
    contributed: bytes

    @property
    def events(self) -> tuple[Event, ...]:
        first = self.result.outcomes[0].events if self.contributed else ()
        return (*first, *self.result.events)

    @property
    def seeds(self) -> Mapping[bytes, bytes]:
        """The seeds that were handed out, by the key of what waited."""
        drawn = [each for each in self.events if isinstance(each, SeedDrawn)]
        return MappingProxyType({each.entry: each.seed for each in drawn})

    @property
    def revealed(self) -> list[PreimageRevealed]:
        return [each for each in self.events if isinstance(each, PreimageRevealed)]


class Lottery:
    """Makes blocks of whichever validator; cases ask for seeds where its transactions would."""

    def __init__(self, preimages: int = PREIMAGES, length: int = LENGTH) -> None:
        start = opened(MACHINE, alice=FUNDS, bob=FUNDS, carol=FUNDS)
        draft = Draft(start)
        params.MODERATION.save(draft, replace(params.Moderation(), draw_blocks=preimages))
        for at, key in enumerate(KEYS[:DIRK]):
            beacon.begin(draft, key, OPERATORS[at].id, head(at, 1, length), length)
        beacon.begin(draft, KEYS[DIRK], FOUNDER.id, beacon.EMPTY_HEAD, 0)
        self.state = start.after(draft.writes())
        self.height = 0

    @property
    def draw(self) -> Draw:
        return beacon.load_draw(self.state)

    def bound(self, who: int) -> Beacon:
        """Return what a validator is bound to."""
        found = beacon.load(self.state, ADDRESSES[who])
        assert found is not None
        return found

    def owed(self, who: int) -> bytes:
        """Return what a validator contributes to the next block, if that is its."""
        return DUTY.make(self.state, ADDRESSES[who], SECRETS[who])

    def accepts(self, who: int, contributed: bytes) -> bool:
        """Tell whether the others accept that."""
        return DUTY.accepts(self.state, ADDRESSES[who], contributed)

    def block(self, who: int, *txs: bytes, ask: Sequence[int] = ()) -> Made:
        """Make a block of a validator's; these cases ask for a seed in it."""
        owed = self.owed(who)
        assert self.accepts(who, owed)
        self.height += 1
        context = replace(at_height(self.height), proposer=ADDRESSES[who])
        lead = (contribution.build(owed),) if owed else ()
        result = machine.run_block(_asking(ask), self.state, Block(context, (*lead, *txs)), {})
        self.state = self.state.after(result.writes)
        return Made(result, owed)

    def blocks(self, *turns: int) -> list[Made]:
        """Make a block of each of these."""
        return [self.block(who) for who in turns]

    def bind(self, who: int, number: int, length: int = LENGTH) -> int:
        """Bind a validator to its next chain, as a transaction of the last block would."""
        draft = Draft(self.state)
        chain = Link(head(who, number, length), length, number)
        since = beacon.bind(draft, ADDRESSES[who], chain, Height(self.height))
        self.state = self.state.after(draft.writes())
        return since


def _asking(numbers: Sequence[int]) -> Machine:
    def ask(draft: Draft, context: BlockContext) -> tuple[Event, ...]:
        for number in numbers:
            draft.put(keys.case(number), cases.CASE.encode(_case()))
            beacon.request(draft, keys.case(number), context.height)
        return ()

    return replace(MACHINE, end_block=(ask,))


def _case() -> Case:
    """Return a case that needs no jury any more: a seed changes nothing in it."""
    target = Target(Kind.ACCOUNT, BOB.id)
    return Case(ALICE.id, target, BOB.id, Reason.SPAM, bytes(32), Amount(0), phase=Phase.SETTLED)
