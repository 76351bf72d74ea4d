"""The relay registry: families that register a relay, change it, and let it leave.

Stake that leaves is paid out by `settle_relay`, which anybody may send once it is due, rather than
by a hook: no block then owes work for what others closed, nobody's payout waits in a queue that a
stranger can fill with dust, and who wants the money pays for the work.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_currency import params
from abci_currency.state import multiaddr, relays
from abci_currency.state.relays import PeerKey, Relay
from dchat.kernel import codec, signing
from dchat.kernel import params as kernel_params
from dchat.kernel.errors import TxRejected, ZeroAmount
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Amount, Cost, EpochMs, Height
from dchat.kernel.store import Draft


class BadRelayAddress(TxRejected):
    """A relay has one to eight different addresses, each in its one canonical spelling."""

    code = 150


class WeakPeerKey(TxRejected):
    """The peer key is of small order or not canonical, so it proves nobody's identity."""

    code = 151


class BadPeerProof(TxRejected):
    """The peer has not signed that this account may register it on this chain."""

    code = 152


class PeerProofExpired(TxRejected):
    """The peer's proof is over, or good for too long. Attributes: height, until, most."""

    code = 153

    def __init__(self, height: int, until: int, most: int) -> None:
        super().__init__(f"the proof is good until height {until}, allowed are {height} to {most}")
        self.height = height
        self.until = until
        self.most = most


class RelayTaken(TxRejected):
    """The peer is registered, or its stake of last time is still liable."""

    code = 154


class UnknownRelay(TxRejected):
    """No relay with this peer key is there."""

    code = 155


class NotRelayOwner(TxRejected):
    """The relay belongs to another account."""

    code = 156


class RelayStakeTooLow(TxRejected):
    """A relay bonds more than that. Attributes: have, need -- base units."""

    code = 157

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"stakes {have} base units, needs {need}")
        self.have = have
        self.need = need


class RelayLeaving(TxRejected):
    """The relay unbonds; nothing about it can be changed any more. Attribute: leaves_at -- ms."""

    code = 158

    def __init__(self, leaves_at: int) -> None:
        super().__init__(f"the relay leaves at {leaves_at} ms")
        self.leaves_at = leaves_at


class NothingDue(TxRejected):
    """What is to be settled is not closing, or not due yet. Attributes: now, due -- ms; 0: open."""

    code = 159

    def __init__(self, now: int, due: int) -> None:
        super().__init__(f"due at {due} ms, it is {now}" if due else "it is not closing")
        self.now = now
        self.due = due


@dataclass(frozen=True, slots=True)
class RegisterRelay:
    """Bond the sender's stake for a relay that it runs."""

    peer: PeerKey
    addresses: tuple[str, ...]
    stake: Amount
    proof_until: Height
    """The last height at which the peer's proof counts: it cannot be used again years later."""
    proof: bytes
    """The peer key's signature over relays.statement()."""


@dataclass(frozen=True, slots=True)
class EditRelay:
    """Let the sender's relay be found elsewhere."""

    peer: PeerKey
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnbondRelay:
    """Take the sender's relay off the registry; its stake stays liable for the unbonding time."""

    peer: PeerKey


@dataclass(frozen=True, slots=True)
class TopUpRelay:
    """Add to what the sender's relay has at stake."""

    peer: PeerKey
    amount: Amount


@dataclass(frozen=True, slots=True)
class SettleRelay:
    """Pay out a relay whose unbonding time is over; to its owner, whoever asks."""

    peer: PeerKey


@dataclass(frozen=True, slots=True)
class RelayRegistered(Event):
    """A relay is in the registry."""

    owner: AccountId
    peer: bytes
    stake: Amount


@dataclass(frozen=True, slots=True)
class RelayEdited(Event):
    """A relay is found elsewhere."""

    peer: bytes


@dataclass(frozen=True, slots=True)
class RelayUnbonding(Event):
    """A relay is off the registry; its stake is liable until then."""

    owner: AccountId
    peer: bytes
    leaves_at: EpochMs


@dataclass(frozen=True, slots=True)
class RelayToppedUp(Event):
    """A relay has more at stake."""

    peer: bytes
    amount: Amount


@dataclass(frozen=True, slots=True)
class RelaySettled(Event):
    """A relay that left was paid out."""

    owner: AccountId
    peer: bytes
    amount: Amount


def check_register(tx: RegisterRelay) -> None:
    """Apply the rules that need no state. Raises: BadRelayAddress, WeakPeerKey."""
    _check_addresses(tx.addresses)
    if not signing.is_strong(tx.peer):
        raise WeakPeerKey("the peer key is of small order or not canonical")


def check_edit(tx: EditRelay) -> None:
    """Apply the rules that need no state. Raises: BadRelayAddress."""
    _check_addresses(tx.addresses)


def check_top_up(tx: TopUpRelay) -> None:
    """Apply the rules that need no state. Raises: ZeroAmount."""
    if tx.amount == 0:
        raise ZeroAmount("a top-up adds at least one base unit")


def check_peer(tx: UnbondRelay | SettleRelay) -> None:
    """Accept every key: only the state knows whose it is."""


def _check_addresses(addresses: tuple[str, ...]) -> None:
    odd = next((each for each in addresses if not multiaddr.is_canonical(each)), None)
    if odd is not None or not addresses:
        raise BadRelayAddress(f"{odd!r} is none, such as /ip4/203.0.113.7/tcp/7070")
    if len(frozenset(addresses)) != len(addresses):
        raise BadRelayAddress("one is named twice")


def register(draft: Draft, tx: RegisterRelay, ctx: TxContext) -> tuple[Event, ...]:
    """Put the relay into the registry, its stake into the pool.

    Raises: RelayTaken, RelayStakeTooLow, PeerProofExpired, BadPeerProof, InsufficientFunds.
    """
    if relays.relay(draft, tx.peer) is not None:
        raise RelayTaken("the peer is registered, or its last stake is still liable")
    least = params.RELAYS.load(draft).min_stake
    if tx.stake < least:
        raise RelayStakeTooLow(tx.stake, least)
    _check_proof(draft, tx, ctx)
    empty = Relay(ctx.sender, tx.addresses, Amount(0), ctx.height)
    relays.add_stake(draft, tx.peer, empty, tx.stake)
    return (RelayRegistered(ctx.sender, tx.peer, tx.stake),)


def _check_proof(draft: Draft, tx: RegisterRelay, ctx: TxContext) -> None:
    most = Height(ctx.height + kernel_params.load(draft).max_validity_blocks)
    if not ctx.height <= tx.proof_until <= most:
        raise PeerProofExpired(ctx.height, tx.proof_until, most)
    said = relays.statement(ctx.chain_id, ctx.sender, tx.peer, tx.proof_until)
    try:
        signing.verify(tx.peer, relays.PROOF_DOMAIN, said, tx.proof)
    except signing.SignatureInvalid:
        raise BadPeerProof("the peer has not signed for this account and chain") from None


def edit(draft: Draft, tx: EditRelay, ctx: TxContext) -> tuple[Event, ...]:
    """Replace the relay's addresses. Raises: UnknownRelay, NotRelayOwner, RelayLeaving."""
    record = _own(draft, tx.peer, ctx)
    relays.save(draft, tx.peer, replace(record, addresses=tx.addresses))
    return (RelayEdited(tx.peer),)


def unbond(draft: Draft, tx: UnbondRelay, ctx: TxContext) -> tuple[Event, ...]:
    """Take the relay off the registry. Raises: UnknownRelay, NotRelayOwner, RelayLeaving."""
    record = _own(draft, tx.peer, ctx)
    leaves_at = EpochMs(ctx.block_time_ms + params.RELAYS.load(draft).unbonding_ms)
    relays.save(draft, tx.peer, replace(record, leaves_at=leaves_at))
    return (RelayUnbonding(ctx.sender, tx.peer, leaves_at),)


def top_up(draft: Draft, tx: TopUpRelay, ctx: TxContext) -> tuple[Event, ...]:
    """Add to the relay's stake.

    Raises: UnknownRelay, NotRelayOwner, RelayLeaving, InsufficientFunds.
    """
    relays.add_stake(draft, tx.peer, _own(draft, tx.peer, ctx), tx.amount)
    return (RelayToppedUp(tx.peer, tx.amount),)


def settle(draft: Draft, tx: SettleRelay, ctx: TxContext) -> tuple[Event, ...]:
    """Pay out a relay that left. Raises: UnknownRelay, NothingDue."""
    record = _known(draft, tx.peer)
    if not record.is_leaving or record.leaves_at > ctx.block_time_ms:
        raise NothingDue(ctx.block_time_ms, record.leaves_at)
    relays.pay_out(draft, tx.peer, record)
    return (RelaySettled(record.owner, tx.peer, record.stake),)


def _known(draft: Draft, peer: PeerKey) -> Relay:
    record = relays.relay(draft, peer)
    if record is None:
        raise UnknownRelay("no relay with this peer key")
    return record


def _own(draft: Draft, peer: PeerKey, ctx: TxContext) -> Relay:
    record = _known(draft, peer)
    if record.owner != ctx.sender:
        raise NotRelayOwner("the relay belongs to another account")
    if record.is_leaving:
        raise RelayLeaving(record.leaves_at)
    return record


REGISTER: Final = Family(
    type=30,
    name="register_relay",
    shape=codec.Record(
        RegisterRelay,
        peer=relays.PEER,
        addresses=relays.ADDRESSES,
        stake=codec.U64,
        proof_until=codec.U64,
        proof=codec.Fixed(signing.SIGNATURE_BYTES),
    ),
    cost=Cost(150),
    cost_per_entry=Cost(10),
    check=check_register,
    apply=register,
    spends=lambda tx: tx.stake,
)

EDIT: Final = Family(
    type=31,
    name="edit_relay",
    shape=codec.Record(EditRelay, peer=relays.PEER, addresses=relays.ADDRESSES),
    cost=Cost(60),
    cost_per_entry=Cost(10),
    check=check_edit,
    apply=edit,
)

UNBOND: Final = Family(
    type=32,
    name="unbond_relay",
    shape=codec.Record(UnbondRelay, peer=relays.PEER),
    cost=Cost(60),
    check=check_peer,
    apply=unbond,
)

TOP_UP: Final = Family(
    type=33,
    name="top_up_relay",
    shape=codec.Record(TopUpRelay, peer=relays.PEER, amount=codec.U64),
    cost=Cost(60),
    check=check_top_up,
    apply=top_up,
    spends=lambda tx: tx.amount,
)

SETTLE: Final = Family(
    type=41,
    name="settle_relay",
    shape=codec.Record(SettleRelay, peer=relays.PEER),
    cost=Cost(60),
    check=check_peer,
    apply=settle,
)

FAMILIES: Final = (REGISTER, EDIT, UNBOND, TOP_UP, SETTLE)
