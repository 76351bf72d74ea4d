"""A chat chain in memory with a clock, on which alice, bob and carol post in channels."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from abci_chat.machine import MACHINE
from abci_chat.state import channels, devices, epochs, identities, members, posts
from abci_chat.state.channels import Channel, JoinRule, Kind, Policy, Role
from abci_chat.state.epochs import Epoch
from abci_chat.state.identities import Identity
from abci_chat.state.members import Member
from abci_chat.state.post_proofs import NOBODY, Part
from abci_chat.state.posts import Batch, Sequence
from abci_chat.txs import post as families
from abci_chat.txs.post import Post, PostBatch, SignedPart
from dchat.kernel import accounts, machine, params, signing, supply
from dchat.kernel.family import Family
from dchat.kernel.headers import merkle_root
from dchat.kernel.ids import Amount, Cost, EpochMs, Height
from dchat.kernel.machine import Block, BlockContext, Outcome
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, START, MemoryState, Person, give, signed

T = TypeVar("T")
PUBLIC, PRIVATE = b"\x0a" * 32, b"\x0b" * 32
EPOCH = 3
DEVICE_SEED = b"\x41" * 32
"""Of bob's device."""
DEVICE = signing.public_key(DEVICE_SEED)
POSTING_SEED = b"\x42" * 32
POSTING_KEY = signing.public_key(POSTING_SEED)
HOUR_MS = 3_600_000
OPEN = Policy(Role.MEMBER, slow_mode_ms=0, retention_ms=HOUR_MS, join=JoinRule.OPEN)
FUNDS = 10**9


def commitment(number: int) -> bytes:
    """Return what stands for a post's content."""
    return number.to_bytes(32, "big")


def commitments(count: int, first: int = 0) -> tuple[bytes, ...]:
    """Return so many of them, none twice."""
    return tuple([commitment(first + at) for at in range(count)])


def part_of(who: bytes, device: bytes, counter: int, leaves: tuple[bytes, ...]) -> Part:
    """Return the part of these commitments."""
    return Part(who, device, counter, len(leaves), merkle_root(leaves))


class Room:
    """A chain with a public and a private channel that makes a block for each transaction.

    Alice owns both, bob moderates the public one, carol is its member.
    """

    def __init__(self, policy: Policy = OPEN) -> None:
        self.now, self.height = START, Height(1)
        self.nonces: dict[Person, int] = {}
        draft = Draft(MemoryState())
        params.save(draft, replace(params.DEFAULT, max_block_cost=Cost(10**7)))
        for who in (ALICE, BOB, CAROL):
            give(draft, who.id, FUNDS)
            identities.save(draft, who.id, identity_of(who))
        devices.add(draft, BOB.id, DEVICE, Height(0))
        _open(draft, PUBLIC, Kind.PUBLIC, policy)
        _open(draft, PRIVATE, Kind.PRIVATE, policy)
        members.save(draft, PUBLIC, BOB.id, Member(Role.MODERATOR, START))
        members.save(draft, PUBLIC, CAROL.id, Member(Role.MEMBER, START))
        self.state = MemoryState().after(draft.writes())

    def send(self, who: Person, family: Family[T], fields: T) -> Outcome:
        """Carry out who's transaction and return its outcome."""
        return self.send_raw(self.signed(who, family, fields), who)

    def signed(self, who: Person, family: Family[T], fields: T) -> bytes:
        """Return who's next transaction, which pays for the largest of all."""
        many = {"fee": Amount(20_000), "cost_limit": Cost(20_000)}
        until = Height(self.height + 50)
        return signed(
            who, family.body(fields), self.nonces.get(who, 0), valid_until_height=until, **many
        )

    def send_raw(self, raw: bytes, who: Person = ALICE) -> Outcome:
        """Carry out a transaction in a block of its own."""
        context = BlockContext(CHAIN, self.height, self.now)
        result = machine.run_block(MACHINE, self.state, Block(context, (raw,)), {})
        self.state = self.state.after(result.writes)
        self.height = Height(self.height + 1)
        self.nonces[who] = accounts.load(self.state, who.id).nonce
        return result.outcomes[0]

    def post(self, who: Person, number: int = 7, counter: int | None = None) -> Outcome:
        """Send one post by itself."""
        at = self.counter(who) if counter is None else counter
        return self.send(who, families.POST, Post(PUBLIC, EPOCH, at, commitment(number)))

    def batch(self, who: Person, *parts: SignedPart, channel: bytes = PUBLIC) -> Outcome:
        """Send a batch."""
        return self.send(who, families.BATCH, PostBatch(channel, EPOCH, parts))

    def part(self, who: Person, count: int, first: int = 0) -> SignedPart:
        """Return the next posts of somebody, signed with the account's key."""
        part = part_of(who.id, who.public_key, self.counter(who), commitments(count, first))
        return families.sign(who.seed, CHAIN, PUBLIC, EPOCH, part)

    def hidden(self, sender: Person, count: int, nonce: int | None = None) -> SignedPart:
        """Return posts of the private channel for somebody to send."""
        at = self.nonces.get(sender, 0) if nonce is None else nonce
        part = part_of(sender.id, NOBODY, at, commitments(count))
        signed_part = families.sign(POSTING_SEED, CHAIN, PRIVATE, EPOCH, part)
        return families.unnamed(signed_part)

    def counter(self, who: Person) -> int:
        """Return how many posts the chain has of somebody."""
        return posts.author(self.state, PUBLIC, who.id).counter

    def sequence(self, channel: bytes = PUBLIC) -> Sequence:
        """Return how far a channel's posts go."""
        return posts.sequence(self.state, channel)

    def record(self, first: int, channel: bytes = PUBLIC) -> Batch:
        """Return the record that begins with that number, which is there."""
        found = posts.batch(self.state, channel, first)
        assert found is not None
        return found

    def set(self, channel: bytes, record: Channel) -> None:
        """Let a channel be another one."""
        draft = Draft(self.state)
        channels.save(draft, channel, record)
        self.keep(draft)

    def keep(self, draft: Draft) -> None:
        """Take over what was done to a draft."""
        self.state = self.state.after(draft.writes())

    def channel(self, channel: bytes = PUBLIC) -> Channel:
        """Return a channel."""
        return channels.open_channel(self.state, channel)

    def pass_ms(self, span_ms: int) -> None:
        """Let block time go by."""
        self.now = EpochMs(self.now + span_ms)


def identity_of(who: Person) -> Identity:
    """Return the identity of somebody without a handle."""
    return Identity("", who.public_key, who.public_key, ("/x",), bytes(32), Height(1))


def _open(draft: Draft, channel_id: bytes, kind: Kind, policy: Policy) -> None:
    record = Channel(kind, ALICE.id, Amount(5), policy, channels.NO_GATE, START, START)
    supply.issue(draft, record.deposit)
    accounts.credit(draft, channels.pools.CHANNEL_DEPOSITS, record.deposit)
    channels.save(draft, channel_id, record)
    key = POSTING_KEY if kind is Kind.PRIVATE else b""
    epochs.save(draft, channel_id, Epoch(EPOCH, posting_key=key))
