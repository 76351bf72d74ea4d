"""Channels: who owns one, what is allowed there, and the deposit that its owner gets back.

    ("channel", id)  [kind, owner, deposit, policy, gate, successor, offered_to, acted_at, …]

An id is a hash of chain, creator and the nonce of the transaction that created it: no two channels
ever have the same, and nobody chooses one. A closed channel leaves its record, so that its members
learn what became of it. The deposits of all channels add up to the pool CHANNEL_DEPOSITS.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import sha256
from typing import Final

from abci_chat import keys
from abci_chat.state import pools
from dchat.kernel import accounts, codec, holdings
from dchat.kernel.accounts import ACCOUNT_ID, ACCOUNT_ID_BYTES
from dchat.kernel.errors import InvariantBroken, TxRejected
from dchat.kernel.family import TxContext
from dchat.kernel.ids import AccountId, Amount, ChainId, EpochMs
from dchat.kernel.store import Draft, State, read

CHANNEL_ID_BYTES: Final = 32
CHANNEL_ID: Final = codec.Fixed(CHANNEL_ID_BYTES)
NOBODY: Final = AccountId(b"")
_TAG: Final = b"dchat/channel/v1"
_NOTHING: Final = Amount(0)
_NEVER: Final = EpochMs(0)


class UnknownChannel(TxRejected):
    """No channel has this id."""

    code = 250


class ChannelClosed(TxRejected):
    """The channel was closed for good."""

    code = 251


class MembersHidden(TxRejected):
    """The channel lists nobody, so nobody can be named in it."""

    code = 261


class Role(IntEnum):
    """What somebody may do in a channel, and more the higher; the numbers are frozen."""

    MEMBER = 1
    MODERATOR = 2
    """Takes in, removes and bans members, and commits epochs."""
    OWNER = 3
    """Everything. One account at a time, whatever a member tree says."""


class Kind(IntEnum):
    """Who can know and join a channel; the numbers are frozen."""

    PUBLIC = 1
    """Its members are listed."""
    PRIVATE = 2
    """Its members are hidden behind the root of a tree."""
    GATED = 3
    """Its members are listed, and prove what they hold on the currency chain."""


class JoinRule(IntEnum):
    """How somebody without an invitation gets in; the numbers are frozen."""

    OPEN = 1
    REQUEST = 2
    """A moderator answers."""
    INVITE = 3
    """Not at all."""


class Fact(IntEnum):
    """What a gate asks for on the currency chain; the numbers are frozen."""

    NONE = 0
    BALANCE = 1
    """Tokens that the account holds."""
    STAKE = 2
    """Tokens that the account has staked."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What an owner may change at any time."""

    who_may_post: Role
    """The least role."""
    slow_mode_ms: int
    """Time between two posts of one author, 0 for none."""
    retention_ms: int
    """How long posts are kept, 0 for ever."""
    join: JoinRule


@dataclass(frozen=True, slots=True)
class Gate:
    """What who joins must have; fixed when the channel is created."""

    fact: Fact
    least: Amount
    """Base units of the currency chain."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel."""

    kind: Kind
    owner: AccountId
    deposit: Amount
    """What closing it returns; 0 once it is closed."""
    policy: Policy
    gate: Gate
    created_at: EpochMs
    acted_at: EpochMs
    """When the owner last did something in the channel."""
    successor: AccountId = NOBODY
    """Who may take it when the owner is gone."""
    offered_to: AccountId = NOBODY
    """Who may take it now."""
    closed_at: EpochMs = _NEVER
    """Block time, 0 while it is open."""

    @property
    def lists_members(self) -> bool:
        """Whether the state says who the members are."""
        return self.kind is not Kind.PRIVATE

    def encode(self) -> bytes:
        """Return the record as the state keeps it."""
        return CHANNEL.encode(self)


SOMEBODY: Final = codec.Blob(ACCOUNT_ID_BYTES)
"""An account id, or nothing."""
POLICY: Final = codec.Record(
    Policy,
    who_may_post=codec.Choice(Role),
    slow_mode_ms=codec.U64,
    retention_ms=codec.U64,
    join=codec.Choice(JoinRule),
)
GATE: Final = codec.Record(Gate, fact=codec.Choice(Fact), least=codec.U64)
NO_GATE: Final = Gate(Fact.NONE, _NOTHING)
CHANNEL: Final = codec.Record(
    Channel,
    kind=codec.Choice(Kind),
    owner=ACCOUNT_ID,
    deposit=codec.U64,
    policy=POLICY,
    gate=GATE,
    created_at=codec.U64,
    acted_at=codec.U64,
    successor=SOMEBODY,
    offered_to=SOMEBODY,
    closed_at=codec.U64,
)


def id_of(chain_id: ChainId, creator: AccountId, nonce: int) -> bytes:
    """Return the id of the channel that a transaction of that nonce creates."""
    return sha256(_TAG + codec.pack((chain_id, creator, nonce))).digest()


def new_id(ctx: TxContext) -> bytes:
    """Return the id of the channel that this transaction creates."""
    return id_of(ctx.chain_id, ctx.sender, ctx.nonce)


def load(state: State, channel_id: bytes) -> Channel | None:
    """Return the channel, closed or not, None where there never was one."""
    return read(state, keys.channel(channel_id), CHANNEL)


def open_channel(state: State, channel_id: bytes) -> Channel:
    """Return the channel, which is open. Raises: UnknownChannel, ChannelClosed."""
    record = load(state, channel_id)
    if record is None:
        raise UnknownChannel("no channel has this id")
    if record.closed_at:
        raise ChannelClosed(f"the channel was closed at {record.closed_at} ms")
    return record


def listing(state: State, channel_id: bytes) -> Channel:
    """Return the channel, which is open and lists its members.

    Raises: UnknownChannel, ChannelClosed, MembersHidden.
    """
    record = open_channel(state, channel_id)
    if not record.lists_members:
        raise MembersHidden("a private channel names nobody")
    return record


def save(draft: Draft, channel_id: bytes, record: Channel) -> None:
    """Write the channel."""
    draft.put(keys.channel(channel_id), record)


def acted(draft: Draft, channel_id: bytes, who: AccountId, now: EpochMs) -> None:
    """Note that somebody did something in an open channel: an owner who does is not gone.

    Raises: UnknownChannel, ChannelClosed.
    """
    record = open_channel(draft, channel_id)
    if record.owner == who and record.acted_at != now:
        save(draft, channel_id, replace(record, acted_at=now))


def fund(draft: Draft, channel_id: bytes, record: Channel) -> None:
    """Write a new channel, its deposit taken from its owner. Raises: InsufficientFunds."""
    holdings.move(draft, record.owner, pools.CHANNEL_DEPOSITS, record.deposit)
    save(draft, channel_id, record)


def check_deposits(state: State) -> None:
    """Return if the deposits add up to their pool. Walks all channels: for tests and audits.

    Raises: InvariantBroken.
    """
    kept = sum(CHANNEL.decode_own(record).deposit for _, record in state.scan(keys.CHANNELS))
    held = accounts.load(state, pools.CHANNEL_DEPOSITS).balance
    if kept != held:
        raise InvariantBroken(f"channels keep {kept} credits, the pool holds {held}")


def close(draft: Draft, channel_id: bytes, record: Channel, now: EpochMs) -> None:
    """Close a channel for good, and return its deposit to its owner."""
    holdings.move(draft, pools.CHANNEL_DEPOSITS, record.owner, record.deposit)
    closed = replace(
        record, deposit=_NOTHING, successor=NOBODY, offered_to=NOBODY, closed_at=now or EpochMs(1)
    )
    save(draft, channel_id, closed)
