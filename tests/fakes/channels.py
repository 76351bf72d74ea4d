"""A chat chain in memory with a clock, on which channels are tried out."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TypeVar

from abci_chat.machine import MACHINE
from abci_chat.state import channels, epochs, hidden, identities, members, pools
from abci_chat.state.channels import (
    NO_GATE,
    Channel,
    Fact,
    Gate,
    JoinRule,
    Kind,
    Policy,
    Role,
)
from abci_chat.state.epochs import Epoch
from abci_chat.state.hidden import HiddenProof
from abci_chat.state.identities import Identity
from abci_chat.txs import channel, epoch, invite, member
from abci_chat.txs.channel import CreateChannel
from abci_chat.txs.epoch import CommitEpoch
from abci_chat.txs.invite import InviteMember
from abci_chat.txs.member import JoinChannel, SetRole
from dchat.kernel import accounts, machine, signing, supply
from dchat.kernel.family import Family, TxContext
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height, Nonce
from dchat.kernel.machine import Block, BlockContext, Outcome
from dchat.kernel.store import Draft
from tests.fakes.memory import (
    ALICE,
    BOB,
    CAROL,
    CHAIN,
    START,
    MemoryState,
    Person,
    give,
    opened,
    signed,
)

T = TypeVar("T")
DAVE = Person(b"\x04" * 32)
STRANGER = Person(b"\x05" * 32)
"""Has credits and no identity."""
PEOPLE = (ALICE, BOB, CAROL, DAVE)
FUNDS = 10_000_000
FEE = 2000
POLICY = Policy(Role.MEMBER, 0, 0, JoinRule.OPEN)
BY_INVITE = replace(POLICY, join=JoinRule.INVITE)
BY_REQUEST = replace(POLICY, join=JoinRule.REQUEST)
GATE = Gate(Fact.STAKE, Amount(5))
PUBLIC = CreateChannel(Kind.PUBLIC, POLICY, NO_GATE, Amount(100_000))
PRIVATE = replace(PUBLIC, kind=Kind.PRIVATE, policy=BY_INVITE)
GATED = replace(PUBLIC, kind=Kind.GATED, gate=GATE)
COMMIT = b"\xcc" * 32
"""Hash of what the members were sent about an epoch."""


def posting_key(number: int) -> bytes:
    """Return the key that signs the posts of an epoch."""
    return signing.public_key(bytes([number]) * 32)


def next_id(who: Person, nonce: int = 0) -> bytes:
    """Return the id of the channel that somebody's transaction of that nonce creates."""
    ctx = TxContext(CHAIN, who.id, who.public_key, Height(1), START, Nonce(nonce))
    return channels.new_id(ctx)


def blind(who: Person) -> bytes:
    """Return the blind of somebody's seat."""
    return who.seed[:1] * 31 + b"b"


class Tree:
    """The members of a private channel, as they know each other."""

    def __init__(self, channel_id: bytes, size: int = 16, **seats: Role) -> None:
        people = {"alice": ALICE, "bob": BOB, "carol": CAROL, "dave": DAVE}
        self.roles = {people[name]: role for name, role in seats.items()}
        self.size = size
        padding = [bytes([at]) * 32 for at in range(100, 100 + size - len(seats))]
        self.leaves = [self.leaf_of(channel_id, who) for who in self.roles] + padding

    def leaf_of(self, channel_id: bytes, who: Person) -> bytes:
        """Return somebody's leaf."""
        return hidden.leaf(channel_id, self.seat_of(who), self.roles[who])

    def seat_of(self, who: Person) -> bytes:
        """Return somebody's seat."""
        return hidden.seat(who.id, blind(who))

    @property
    def root(self) -> bytes:
        """The root of all."""
        return hidden.root_of(self.leaves)

    def proof(self, who: Person) -> HiddenProof:
        """Return what somebody shows."""
        place = list(self.roles).index(who)
        return hidden.prove(self.roles[who], blind(who), place, self.leaves)


class Chat:
    """A chat chain that makes a block for each transaction, at the time that `now` says."""

    def __init__(self) -> None:
        self.state = _beginning()
        self.now = EpochMs(START)
        self.height = Height(1)

    def send(self, who: Person, family: Family[T], fields: T) -> Outcome:
        """Carry out who's transaction in a block of its own."""
        return self.send_raw(signed(who, family.body(fields), self.nonce(who)))

    def send_raw(self, *raws: bytes) -> Outcome:
        """Carry out transactions in one block; return what became of the last."""
        context = BlockContext(CHAIN, self.height, self.now)
        result = machine.run_block(MACHINE, self.state, Block(context, raws), {})
        self.state = self.state.after(result.writes)
        self.height = Height(self.height + 1)
        return result.outcomes[-1]

    def nonce(self, who: Person) -> int:
        """Return the nonce of somebody's next transaction."""
        return accounts.load(self.state, who.id).nonce

    def create(self, who: Person, form: CreateChannel = PUBLIC) -> bytes:
        """Open a channel; return its id."""
        made = next_id(who, self.nonce(who))
        assert self.send(who, channel.CREATE, form).code == 0
        return made

    def pass_ms(self, span_ms: int) -> None:
        """Let block time go by."""
        self.now = EpochMs(self.now + span_ms)

    def draft(self) -> Draft:
        """Return a draft for what other rules do; keep() makes it the state."""
        return Draft(self.state)

    def keep(self, draft: Draft) -> None:
        """Take over what was done to a draft."""
        self.state = self.state.after(draft.writes())

    def deactivate(self, who: Person) -> None:
        """Let somebody give up the identity."""
        draft = self.draft()
        record = identities.active(draft, who.id)
        identities.save(draft, who.id, replace(record, deactivated_at=self.now))
        self.keep(draft)

    def channel(self, channel_id: bytes) -> Channel:
        """Return a channel that is open."""
        return channels.open_channel(self.state, channel_id)

    def epoch(self, channel_id: bytes) -> Epoch:
        """Return the present epoch."""
        return epochs.load(self.state, channel_id)

    def role(self, channel_id: bytes, who: Person) -> Role | None:
        """Return somebody's role where members are listed."""
        return members.role_of(self.state, channel_id, who.id)

    def balance(self, who: AccountId) -> int:
        """Return what somebody holds."""
        return accounts.load(self.state, who).balance

    @property
    def deposits(self) -> int:
        """What the pool of all deposits holds."""
        return self.balance(pools.CHANNEL_DEPOSITS)

    def audit(self) -> None:
        """Return if every credit is where the records say."""
        supply.check_invariant(self.state)
        channels.check_deposits(self.state)


@cache
def _beginning() -> MemoryState:
    state = opened(MACHINE, alice=FUNDS, bob=FUNDS, carol=FUNDS)
    draft = Draft(state)
    for who in (DAVE, STRANGER):
        give(draft, who.id, FUNDS)
    for who in PEOPLE:
        identities.save(draft, who.id, known(who))
    return state.after(draft.writes())


def known(who: Person) -> Identity:
    """Return somebody's identity, without a handle."""
    return Identity("", who.public_key, who.public_key, ("/ip4/1.2.3.4",), bytes(32), Height(1))


def town() -> tuple[Chat, bytes]:
    """Return a public channel of alice's, with bob a moderator and carol a member."""
    chat = Chat()
    where = chat.create(ALICE)
    chat.send(BOB, member.JOIN, JoinChannel(where))
    chat.send(CAROL, member.JOIN, JoinChannel(where))
    chat.send(ALICE, member.SET_ROLE, SetRole(where, BOB.id, Role.MODERATOR))
    return chat, where


def next_epoch(
    chat: Chat, where: bytes, tree: Tree | None = None, who: Person = ALICE
) -> CommitEpoch:
    """Return the commit of the epoch that follows, with all that is known."""
    now = chat.epoch(where)
    return CommitEpoch(
        channel=where,
        from_epoch=now.number,
        removals=now.removals,
        member_root=tree.root if tree else epochs.NO_ROOT,
        size_class=tree.size if tree else 0,
        posting_key=posting_key(now.number + 1) if tree else epochs.NO_KEY,
        group_commit=COMMIT,
        proof=(tree.proof(who),) if tree and who is not ALICE else (),
    )


def circle() -> tuple[Chat, bytes, Tree]:
    """Return a private channel of alice's: bob and dave moderators, carol a member."""
    chat = Chat()
    where = chat.create(ALICE, PRIVATE)
    tree = Tree(where, bob=Role.MODERATOR, carol=Role.MEMBER, dave=Role.MODERATOR)
    assert chat.send(ALICE, epoch.COMMIT, next_epoch(chat, where, tree)).code == 0
    return chat, where, tree


def asked_in(chat: Chat, where: bytes, who: Person, by: Person = ALICE) -> None:
    """Let somebody have an invitation."""
    assert chat.send(by, invite.INVITE, InviteMember(where, who.id)).code == 0
