"""A chat chain of any size to measure: who is on it, and what there is.

Everybody has an account, a handle, an identity and the first line of a key log; to ten of them
there is a channel with an owner, four members, an epoch and a post. One channel in four is private.
Some people, evenly among all, have keys and sign: five in each of CHANNELS channels, whatever the
size. All others are numbers hashed. Nobody runs out of credits, and little work is enough.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from random import Random
from typing import Final

from abci_chat import keys, params
from abci_chat.state import (
    beacon,
    channels,
    epochs,
    handles,
    hidden,
    identities,
    jury,
    members,
    pools,
    posts,
    proposals,
    weights,
)
from abci_chat.state.channels import Channel, JoinRule, Kind, Policy, Role
from abci_chat.state.epochs import Epoch
from abci_chat.state.handles import Handle
from abci_chat.state.hidden import HiddenProof
from abci_chat.state.identities import EMPTY_LOG, Identity, LogEntry, LogKind
from abci_chat.state.members import Member
from abci_chat.state.posts import Author, Batch, Sequence
from abci_chat.state.proposals import Opening, Proposal, Terms
from dchat.kernel import accounts, genesis, headers, supply
from dchat.kernel.accounts import Account
from dchat.kernel.ids import AccountId, Amount, Cost, EpochMs, Height, Nonce
from dchat.kernel.inclusion import Path, root_by
from dchat.kernel.store import Draft
from dchat.node.storage import Storage
from tests.fakes.memory import CHAIN, START, MemoryState, Person
from tests.fakes.orders import RELAY

CHANNELS: Final = 1_000
"""Channels whose people sign."""
IN_A_CHANNEL: Final = 5
SIGNERS: Final = IN_A_CHANNEL * CHANNELS
PEOPLE_A_CHANNEL: Final = 10
PROPOSALS: Final = 50
FUNDS: Final = Amount(10**12)
_CONSENSUS_KEY: Final = b"\x0a" * 32
PROPOSER: Final = headers.address_of(_CONSENSUS_KEY)
"""The one validator that draws ask for preimages."""
SECRET: Final = b"\x0b" * 32
AUNTS: Final = tuple([bytes([at]) * 32 for at in range(8)])
"""The way up in the tree of a private channel."""
SIZE_CLASS: Final = 1 << len(AUNTS)
_VERDICT_MS: Final = 10_000
_POLICY: Final = Policy(Role.MEMBER, slow_mode_ms=0, retention_ms=0, join=JoinRule.OPEN)
_FIRST: Final = Height(1)
_NOTHING: Final = bytes(32)


def hashed(word: bytes, number: int) -> bytes:
    """Return 32 bytes that stand for something numbered."""
    return sha256(b"%s %d" % (word, number)).digest()


@cache
def signer(number: int) -> Person:
    """Return one of those who sign; signer 5n owns the n-th channel of theirs, 4 more are in it."""
    return Person(hashed(b"signer", number))


@cache
def account_of(number: int) -> AccountId:
    """Return the account of a signer."""
    return signer(number).id


def newcomer(number: int) -> Person:
    """Return somebody who has credits and no identity."""
    return Person(hashed(b"newcomer", number))


def stranger(number: int) -> Person:
    """Return somebody whom the chain has never seen."""
    return Person(hashed(b"stranger", number))


@dataclass(frozen=True, slots=True)
class Community:
    """A chat chain with so many people."""

    people: int
    newcomers: int

    def signs(self, number: int) -> int | None:
        """Return which of those who sign one of the people is, None for none of them."""
        at, rest = divmod(number, self.people // SIGNERS)
        return None if rest or at >= SIGNERS else at

    def account(self, number: int) -> AccountId:
        """Return the account of one of the people."""
        at = self.signs(number)
        return AccountId(hashed(b"person", number)) if at is None else account_of(at)

    def somebody(self, chance: Random) -> AccountId:
        """Return any of those who do not sign, evenly among all."""
        stride = self.people // SIGNERS
        return self.account(chance.randrange(SIGNERS) * stride + chance.randrange(1, stride))

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return self.people // PEOPLE_A_CHANNEL

    def fill(self, storage: Storage) -> None:
        """Write all of it in one block, as genesis does; a million people take 10 GB meanwhile."""
        gc.disable()
        draft = Draft(MemoryState())
        self._begin(draft)
        self._come(draft)
        self._open(draft)
        storage.commit(storage.stage(1, draft.writes()))
        gc.enable()

    def _begin(self, draft: Draft) -> None:
        roomy = replace(params.DEFAULT, max_block_cost=Cost(10**8))
        held = [genesis.Allocation(newcomer(at).id, FUNDS) for at in range(self.newcomers)]
        genesis.begin(draft, CHAIN, genesis.Genesis(roomy, tuple(held)))
        for name, section in params.SECTIONS.items():
            section.save(draft, _RULES.get(name, section.default))
        for pool in (pools.CHANNEL_DEPOSITS, pools.JUROR_BONDS):
            accounts.credit(draft, pool, FUNDS)
        supply.issue(draft, Amount(FUNDS * (self.people + 2)))
        beacon.begin(draft, _CONSENSUS_KEY, account_of(0), _head(), beacon.MAX_LENGTH)
        self._vote(draft)
        for at in range(IN_A_CHANNEL - 1, SIGNERS, IN_A_CHANNEL):
            accounts.credit(draft, account_of(at), FUNDS)
            jury.bond(draft, account_of(at), params.MODERATION.default.juror_bond, _FIRST)

    def _vote(self, draft: Draft) -> None:
        """Give weights to who signs, and others up to a tenth of all; put it to the vote."""
        for at in range(SIGNERS):
            weights.set_weight(draft, account_of(at), 1_000, Height(0), START)
        for at in range(SIGNERS, self.people // 10):
            weights.set_weight(draft, AccountId(hashed(b"voter", at)), 1_000, Height(0), START)
        total, rules = weights.total_at(draft, Height(2)), params.GOVERNANCE.default
        ends_at = EpochMs(START + 50 * params.DAY_MS)
        terms = Terms(rules.ballot_bond, rules.quorum_bp, rules.threshold_bp, rules.veto_bp)
        for number in range(1, PROPOSALS + 1):
            record = Proposal(
                proposals.Kind.TEXT, account_of(0), "a title", "a text", b"", rules.deposit,
                Height(2), total, terms, ends_at, EpochMs(ends_at + params.DAY_MS),
            )  # fmt: skip
            proposals.save(draft, number, record)
        opened = Opening(PROPOSALS, Height(2))
        draft.put(keys.PROPOSAL_COUNT, proposals.OPENING.encode(opened))

    def _come(self, draft: Draft) -> None:
        entry = LogEntry(LogKind.REGISTERED, _NOTHING, _FIRST, EMPTY_LOG)
        line, head = identities.LOG_ENTRY.encode(entry), identities.entry_hash(entry)
        for at in range(self.people):
            who, name, signs = self.account(at), name_of(at), self.signs(at)
            inbox = hashed(b"key", at)
            key = inbox if signs is None else signer(signs).public_key
            record = Identity(name, key, inbox, (RELAY,), key, _FIRST, log_length=1, log_head=head)
            accounts.save(draft, who, Account(b"", 0, Nonce(0), FUNDS))
            identities.save(draft, who, record)
            draft.put(keys.key_log(who, 0), line)
            draft.put(keys.handle(handles.skeleton(name)), Handle(name, who))

    def _open(self, draft: Draft) -> None:
        stride = self.channels // CHANNELS
        for at in range(self.channels):
            place, rest = divmod(at, stride)
            if rest or place >= CHANNELS:
                people = [self.account(at * PEOPLE_A_CHANNEL + one) for one in range(IN_A_CHANNEL)]
                open_channel(draft, hashed(b"other channel", at), people, is_private=at % 4 == 0)
            else:
                people = [account_of(each) for each in those_in(place)]
                open_channel(draft, channel(place), people, is_private=is_private(place))


def channel(number: int) -> bytes:
    """Return the id of one of the channels whose people sign."""
    return hashed(b"channel", number)


def those_in(number: int) -> range:
    """Return the signers in one of the channels whose people sign, the owner first."""
    return range(number * IN_A_CHANNEL, (number + 1) * IN_A_CHANNEL)


def is_private(number: int) -> bool:
    """Tell whether a channel hides its members."""
    return number % 4 == 0


def open_channel(
    draft: Draft, channel_id: bytes, people: list[AccountId], *, is_private: bool
) -> None:
    """Write a channel, with the first of the people as its owner and the second a moderator."""
    owner, second, *_ = people
    kind = Kind.PRIVATE if is_private else Kind.PUBLIC
    policy = replace(_POLICY, join=JoinRule.INVITE) if is_private else _POLICY
    record = Channel(kind, owner, Amount(5), policy, channels.NO_GATE, START, START)
    channels.save(draft, channel_id, record)
    draft.put(keys.sequence(channel_id), Sequence(next=2))
    post = Batch(1, 1, _NOTHING, START, _FIRST, 1)
    draft.put(keys.post(channel_id, 1), posts.BATCH.encode(post))
    if is_private:
        root = root_of(channel_id, second)
        epochs.save(draft, channel_id, Epoch(1, member_root=root, size_class=SIZE_CLASS))
        return
    epochs.save(draft, channel_id, Epoch(1))
    draft.put(keys.author(channel_id, owner), posts.AUTHOR.encode(Author(1, START)))
    for who in people[1:]:
        members.save(draft, channel_id, who, Member(Role.MEMBER, START))


def proof_of(who: AccountId) -> HiddenProof:
    """Return what the moderator of a private channel shows."""
    return HiddenProof(Role.MODERATOR, sha256(who).digest(), 3, AUNTS)


def root_of(channel_id: bytes, who: AccountId) -> bytes:
    """Return the root to which that proof leads."""
    shown = proof_of(who)
    leaf = hidden.leaf(channel_id, hidden.seat(who, shown.blind), shown.role)
    return root_by(Path(shown.index, SIZE_CLASS, shown.aunts), leaf)


def name_of(number: int) -> str:
    """Return the handle of one of the people."""
    return f"name_{number}"


def _head() -> bytes:
    return beacon.value(SECRET, CHAIN, 1, beacon.MAX_LENGTH)


_RULES: Final = {
    "work": replace(params.WORK.default, base_bits=1, step=10_000),
    "moderation": replace(
        params.MODERATION.default,
        draw_blocks=1,
        verdict_ms=_VERDICT_MS,
        appeal_ms=_VERDICT_MS,
        unbonding_ms=2 * _VERDICT_MS,
    ),
}
