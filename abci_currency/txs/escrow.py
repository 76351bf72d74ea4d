"""Postage escrows: families that set postage aside for a relay, and take back what is left.

What is left is paid back by `settle_escrow`, for the reasons that stand in relay.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_currency import params
from abci_currency.state import escrows, relays
from abci_currency.state.escrows import Escrow, EscrowId
from abci_currency.state.relays import PeerKey
from abci_currency.txs.relay import NothingDue
from dchat.kernel import codec, signing
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import InvariantBroken, TxRejected, ZeroAmount
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Amount, Cost, EpochMs
from dchat.kernel.store import Draft


class RelayNotServing(TxRejected):
    """The relay is not registered, leaves, is in jail, or has too little at stake."""

    code = 160


class WeakChequeKey(TxRejected):
    """The cheque key is of small order or not canonical, so anybody could sign cheques."""

    code = 161


class EscrowTooSmall(TxRejected):
    """An escrow or a bond opens with more than that. Attributes: have, need -- base units."""

    code = 162

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"opens with {have} base units, needs {need}")
        self.have = have
        self.need = need


class UnknownEscrow(TxRejected):
    """The account has no escrow of this number."""

    code = 163


class EscrowClosing(TxRejected):
    """The escrow was closed already. Attribute: closes_at -- ms."""

    code = 164

    def __init__(self, closes_at: int) -> None:
        super().__init__(f"the escrow closes at {closes_at} ms")
        self.closes_at = closes_at


@dataclass(frozen=True, slots=True)
class OpenEscrow:
    """Set postage aside for a relay."""

    relay: PeerKey
    cheque_key: bytes
    """Ed25519 public key that the sender's cheques will be signed with."""
    amount: Amount


@dataclass(frozen=True, slots=True)
class TopUpEscrow:
    """Add to one of the sender's escrows."""

    number: int
    amount: Amount


@dataclass(frozen=True, slots=True)
class CloseEscrow:
    """Begin the delay after which what is left of the sender's escrow goes back."""

    number: int


@dataclass(frozen=True, slots=True)
class SettleEscrow:
    """Pay back what is left of a closed escrow; to its payer, whoever asks."""

    payer: AccountId
    number: int


@dataclass(frozen=True, slots=True)
class EscrowOpened(Event):
    """Postage was set aside."""

    payer: AccountId
    number: int
    relay: bytes
    amount: Amount


@dataclass(frozen=True, slots=True)
class EscrowToppedUp(Event):
    """More postage was set aside."""

    payer: AccountId
    number: int
    amount: Amount


@dataclass(frozen=True, slots=True)
class EscrowClosed(Event):
    """An escrow pays claims until then, and no longer."""

    payer: AccountId
    number: int
    relay: bytes
    closes_at: EpochMs


@dataclass(frozen=True, slots=True)
class EscrowSettled(Event):
    """What was left of an escrow went back."""

    payer: AccountId
    number: int
    amount: Amount


def check_open(tx: OpenEscrow) -> None:
    """Apply the rules that need no state. Raises: WeakChequeKey."""
    if not signing.is_strong(tx.cheque_key):
        raise WeakChequeKey("the cheque key is of small order or not canonical")


def check_top_up(tx: TopUpEscrow) -> None:
    """Apply the rules that need no state. Raises: ZeroAmount."""
    if tx.amount == 0:
        raise ZeroAmount("a top-up adds at least one base unit")


def check_number(tx: CloseEscrow | SettleEscrow) -> None:
    """Accept every number: only the state knows what it stands for."""


def open_(draft: Draft, tx: OpenEscrow, ctx: TxContext) -> tuple[Event, ...]:
    """Set the amount aside. Raises: EscrowTooSmall, RelayNotServing, InsufficientFunds."""
    rules = params.RELAYS.load(draft)
    if tx.amount < rules.min_escrow:
        raise EscrowTooSmall(tx.amount, rules.min_escrow)
    payee = _serving(draft, tx.relay, ctx)
    which = escrows.next_id(draft, ctx.sender)
    if escrows.escrow(draft, which) is not None:
        raise InvariantBroken(f"a nonce was given twice: {which}")
    empty = Escrow(tx.relay, payee, tx.cheque_key, Amount(0))
    escrows.fill(draft, which, empty, tx.amount)
    return (EscrowOpened(ctx.sender, which.number, tx.relay, tx.amount),)


def top_up(draft: Draft, tx: TopUpEscrow, ctx: TxContext) -> tuple[Event, ...]:
    """Add to an escrow.

    Raises: UnknownEscrow, EscrowClosing, RelayNotServing, InsufficientFunds.
    """
    which = EscrowId(ctx.sender, tx.number)
    record = _open(draft, which)
    if _serving(draft, record.relay, ctx) != record.payee:
        raise RelayNotServing("another account runs the relay now; open a new escrow")
    escrows.fill(draft, which, record, tx.amount)
    return (EscrowToppedUp(ctx.sender, tx.number, tx.amount),)


def close(draft: Draft, tx: CloseEscrow, ctx: TxContext) -> tuple[Event, ...]:
    """Begin the delay. Raises: UnknownEscrow, EscrowClosing."""
    which = EscrowId(ctx.sender, tx.number)
    record = _open(draft, which)
    closes_at = EpochMs(ctx.block_time_ms + params.RELAYS.load(draft).escrow_delay_ms)
    escrows.save(draft, which, replace(record, closes_at=closes_at))
    return (EscrowClosed(ctx.sender, tx.number, record.relay, closes_at),)


def settle(draft: Draft, tx: SettleEscrow, ctx: TxContext) -> tuple[Event, ...]:
    """Give back what is left of a closed escrow. Raises: UnknownEscrow, NothingDue."""
    which = EscrowId(tx.payer, tx.number)
    record = _known(draft, which)
    if not record.is_closing or record.closes_at > ctx.block_time_ms:
        raise NothingDue(ctx.block_time_ms, record.closes_at)
    escrows.pay_back(draft, which, record)
    return (EscrowSettled(tx.payer, tx.number, record.held),)


def _serving(draft: Draft, peer: PeerKey, ctx: TxContext) -> AccountId:
    """Return the owner of a relay that serves. Raises: RelayNotServing."""
    record = relays.relay(draft, peer)
    least = params.RELAYS.load(draft).min_stake
    if record is None or not record.serves(least, ctx.block_time_ms):
        raise RelayNotServing("not registered, leaving, in jail, or with too little at stake")
    return record.owner


def _known(draft: Draft, which: EscrowId) -> Escrow:
    record = escrows.escrow(draft, which)
    if record is None:
        raise UnknownEscrow(f"the account has no escrow {which.number}")
    return record


def _open(draft: Draft, which: EscrowId) -> Escrow:
    record = _known(draft, which)
    if record.is_closing:
        raise EscrowClosing(record.closes_at)
    return record


OPEN: Final = Family(
    type=35,
    name="open_escrow",
    shape=codec.Record(
        OpenEscrow, relay=relays.PEER, cheque_key=escrows.CHEQUE_KEY, amount=codec.U64
    ),
    cost=Cost(120),
    check=check_open,
    apply=open_,
    spends=lambda tx: tx.amount,
)

TOP_UP: Final = Family(
    type=36,
    name="top_up_escrow",
    shape=codec.Record(TopUpEscrow, number=codec.U64, amount=codec.U64),
    cost=Cost(60),
    check=check_top_up,
    apply=top_up,
    spends=lambda tx: tx.amount,
)

CLOSE: Final = Family(
    type=37,
    name="close_escrow",
    shape=codec.Record(CloseEscrow, number=codec.U64),
    cost=Cost(60),
    check=check_number,
    apply=close,
)

SETTLE: Final = Family(
    type=42,
    name="settle_escrow",
    shape=codec.Record(SettleEscrow, payer=ACCOUNT_ID, number=codec.U64),
    cost=Cost(60),
    check=check_number,
    apply=settle,
)

FAMILIES: Final = (OPEN, TOP_UP, CLOSE, SETTLE)
