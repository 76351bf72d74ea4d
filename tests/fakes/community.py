"""A whole chat chain with CometBFT's side of it: its validators, and what proposers owe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from abci_chat import genesis
from abci_chat.genesis import Beginning, Rules, Validator, Voter
from abci_chat.machine import MACHINE
from abci_chat.params import (
    Channels,
    Governance,
    Identities,
    Moderation,
    Reputation,
    Work,
)
from abci_chat.state import beacon, hidden
from abci_chat.state.ballots import Choice
from abci_chat.state.channels import Role
from abci_chat.state.foreign import Bound, ForeignSection
from abci_chat.state.hidden import HiddenProof
from abci_chat.state.post_proofs import Part
from dchat.kernel import contribution, headers, machine, params, signing
from dchat.kernel import genesis as kernel
from dchat.kernel.genesis import Allocation
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.machine import Block, BlockContext, BlockResult, Vote
from tests.fakes.memory import CHAIN, Person
from tests.fakes.world import Deed, Made, World, nothing

FUNDS = Amount(3_000_000)
SPAN_MS = 100_000
"""The longest that anything of these rules takes but a succession."""
PEOPLE = tuple(Person(bytes([at]) * 32) for at in range(1, 9))
POOR = PEOPLE[7]
"""Has nothing, and works."""
VOTERS = PEOPLE[:5]
OPERATORS = PEOPLE[:4]
KEYS = tuple(signing.public_key(bytes([0x40 + at]) * 32) for at in range(len(OPERATORS)))
ADDRESSES = tuple(headers.address_of(key) for key in KEYS)
SECRETS = tuple(bytes([0x50 + at]) * 32 for at in range(len(OPERATORS)))
IDLER = len(OPERATORS) - 1
"""The validator that has no chain at first, and so owes nothing."""
LENGTH = 9
"""Preimages of every chain at the beginning."""
POWERS = dict(zip(KEYS, (40, 30, 20, 10), strict=True))
CURRENCY = (ForeignSection("staking", (Bound("max_validators", 1, 500), Bound("span", 5, 9))),)
"""What this chain knows of the currency chain's parameters."""
RULES = Rules(
    Identities(
        reveal_blocks=12,
        handle_release_ms=60_000,
        max_devices=3,
        guardian_delay_ms=50_000,
        recovery_delay_ms=20_000,
        recovery_window_ms=SPAN_MS,
    ),
    Work(base_bits=2, step=4, cooling_blocks=2, anchor_blocks=3),
    Channels(deposit=Amount(10_000), invite_ms=60_000, bumps_per_hour=12, succession_ms=300_000),
    Governance(
        deposit=Amount(50_000),
        voting_ms=60_000,
        reveal_ms=30_000,
        ballot_bond=Amount(5_000),
        upgrade_notice_blocks=5,
    ),
    Moderation(
        report_bond=Amount(20_000),
        juror_bond=Amount(30_000),
        jury_size=3,
        draw_blocks=3,
        verdict_ms=60_000,
        appeal_ms=60_000,
        unbonding_ms=SPAN_MS,
        max_open_reports=2,
    ),
    Reputation(half_life_blocks=16, trusted_points=60, trusted_limit_factor=2),
)


def beginning() -> Beginning:
    """Return what the chain begins with: four validators, five voters, one who has nothing."""
    held = sorted((who.id, FUNDS) for who in PEOPLE[:-1])
    votes = sorted((who.id, 10 * at) for at, who in enumerate(VOTERS, 1))
    bound = [Validator(KEYS[at], OPERATORS[at].id, head_of(at, 1), LENGTH) for at in range(IDLER)]
    bound.append(Validator(KEYS[IDLER], OPERATORS[IDLER].id))
    return Beginning(
        kernel.Genesis(
            replace(params.DEFAULT, fee_per_1000_cost=Amount(1000)),
            tuple([Allocation(*each) for each in held]),
        ),
        RULES,
        tuple([Voter(*each) for each in votes]),
        tuple(sorted(bound, key=lambda each: each.consensus_key)),
        CURRENCY,
    )


def head_of(at: int, number: int, length: int = LENGTH) -> bytes:
    """Return the head of a validator's chain of that number."""
    return beacon.value(SECRETS[at], CHAIN, number, length)


def blind_of(who: AccountId) -> bytes:
    """Return the blind of somebody's seat in every private channel."""
    return sha256(b"blind" + who).digest()


@dataclass(frozen=True)
class Tree:
    """The members of a private channel's epoch, as they know each other."""

    channel: bytes
    seats: tuple[tuple[AccountId, Role], ...]

    @property
    def leaves(self) -> list[bytes]:
        """The leaves of all, and padding."""
        seats = [
            hidden.leaf(self.channel, hidden.seat(who, blind_of(who)), role)
            for who, role in self.seats
        ]
        return seats + [bytes([at]) * 32 for at in range(100, 116 - len(seats))]

    @property
    def root(self) -> bytes:
        """The root of all."""
        return hidden.root_of(self.leaves)

    def proof(self, who: AccountId) -> HiddenProof:
        """Return what somebody shows; of who is in no seat, the first one's path."""
        place = next((at for at, (each, _) in enumerate(self.seats) if each == who), 0)
        return hidden.prove(self.seats[place][1], blind_of(who), place, self.leaves)


@dataclass
class Known:
    """What people know that the chain does not."""

    salts: dict[bytes, tuple[str, bytes]] = field(default_factory=dict[bytes, tuple[str, bytes]])
    """Handle and salt by commitment."""
    choices: dict[bytes, Choice] = field(default_factory=dict[bytes, Choice])
    """By the commitment of a private ballot."""
    trees: dict[bytes, Tree] = field(default_factory=dict[bytes, Tree])
    """By root."""
    posts: dict[tuple[bytes, int], tuple[Part, ...]] = field(
        default_factory=dict[tuple[bytes, int], tuple[Part, ...]]
    )
    """What records are made of, by channel and first number, as far as it was told."""


class Community(World):
    """The chat chain; its validators stay those of genesis."""

    def __init__(self) -> None:
        super().__init__(MACHINE, genesis.SHAPE.encode(beginning()), POWERS, PEOPLE)
        self.known = Known()

    def block(
        self,
        *txs: bytes,
        after_ms: int = 1_000,
        turn: int = 0,
        withheld: int = 0,
        mask: int = 0,
        deed: Deed = nothing,
    ) -> Made:
        """Run the next block on every replica.

        Validator number `turn` proposes first, and so on in circles; as many as are said withhold
        what they owe, and their proposals are rejected.
        """
        proposer, lead = self._proposed(turn, withheld)
        self.pass_time(after_ms, deed)
        return self.run(self._context(proposer, mask), (*lead, *txs))

    def _proposed(self, turn: int, withheld: int) -> tuple[bytes, tuple[bytes, ...]]:
        """Return whose proposal the first replica accepts, and what it leads with."""
        for at in range(turn, turn + 2 * len(ADDRESSES)):
            address, secret = ADDRESSES[at % len(ADDRESSES)], SECRETS[at % len(ADDRESSES)]
            owed = beacon.DUTY.make(self.state, address, secret)
            if not owed and self.first.accepts(address):
                return address, ()
            assert not self.first.accepts(address)
            if owed and at - turn >= withheld:
                lead = contribution.build(owed)
                assert self.first.accepts(address, lead)
                assert not self.first.accepts(ADDRESSES[(at + 1) % len(ADDRESSES)], lead)
                return address, (lead,)
        raise AssertionError("nobody can propose")

    def _context(self, proposer: bytes, mask: int = 0) -> BlockContext:
        votes = [
            Vote(address, POWERS[KEYS[at]], not mask >> at & 1)
            for at, address in enumerate(ADDRESSES)
        ]
        named = sha256(b"%d %d %s" % (self.height, self.time, proposer)).digest()
        height, time = Height(self.height), EpochMs(self.time)
        return BlockContext(CHAIN, height, time, proposer, tuple(votes), (), named)

    def ahead(self, blocks: int) -> Iterator[BlockResult]:
        """Yield what empty blocks would do if nothing happened and no time went by."""
        state = self.state
        for height in range(self.height + 1, self.height + 1 + blocks):
            context = replace(self._context(bytes(20)), height=Height(height))
            result = machine.run_block(MACHINE, state, Block(context, ()), {})
            state = state.after(result.writes)
            yield result


def named(account: AccountId, people: Sequence[Person] = PEOPLE) -> Person:
    """Return whose account that is."""
    return next(who for who in people if who.id == account)
