"""Issuers of delivery tokens: families that bond an issuer and publish its token keys.

A token is a blind signature under a key that stands for one epoch and one denomination. There is
one such key for everybody: it is never replaced, its epochs begin for all issuers at once, and
denominations are powers of ten. Odd keys, times or amounts would tell users apart.
What is left of a bond is paid back by `settle_issuer_bond`, for the reasons that stand in relay.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_currency import params
from abci_currency.params import Relays
from abci_currency.state import escrows
from abci_currency.state.escrows import IssuerBond, TokenKey
from abci_currency.txs.escrow import EscrowTooSmall
from abci_currency.txs.relay import NothingDue
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import TxRejected, ZeroAmount
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Amount, Cost, EpochMs
from dchat.kernel.store import Draft

MAX_EXPONENT: Final = 12
"""A million tokens."""
EPOCHS_AHEAD: Final = 2
"""How early a key may be published: time for wallets to see it before they need it."""


class IssuerBondExists(TxRejected):
    """The account has an issuer's bond already, perhaps one that closes."""

    code = 165


class UnknownIssuerBond(TxRejected):
    """The account has no issuer's bond."""

    code = 166


class IssuerBondClosing(TxRejected):
    """The bond was closed already. Attribute: closes_at -- ms."""

    code = 167

    def __init__(self, closes_at: int) -> None:
        super().__init__(f"the bond closes at {closes_at} ms")
        self.closes_at = closes_at


class EpochOutOfRange(TxRejected):
    """The epoch is over, or too far ahead. Attributes: have, least, most."""

    code = 168

    def __init__(self, have: int, least: int, most: int) -> None:
        super().__init__(f"epoch {have}, allowed are {least} to {most}")
        self.have = have
        self.least = least
        self.most = most


class BadDenomination(TxRejected):
    """A token is worth 10^0 to 10^12 base units."""

    code = 169


class TokenKeyPublished(TxRejected):
    """The issuer has published the key of this epoch and denomination; it is never replaced."""

    code = 170


class TooManyTokenKeys(TxRejected):
    """As many of the issuer's keys as there may be are still good for claims."""

    code = 171


@dataclass(frozen=True, slots=True)
class OpenIssuerBond:
    """Set an amount aside for claims on the sender's tokens."""

    amount: Amount


@dataclass(frozen=True, slots=True)
class TopUpIssuerBond:
    """Add to the sender's bond."""

    amount: Amount


@dataclass(frozen=True, slots=True)
class CloseIssuerBond:
    """Begin the delay after which what is left of the sender's bond goes back."""


@dataclass(frozen=True, slots=True)
class SettleIssuerBond:
    """Pay back what is left of a closed bond; to its owner, whoever asks."""

    owner: AccountId


@dataclass(frozen=True, slots=True)
class PublishTokenKey:
    """Commit the sender to one key for an epoch and a denomination."""

    epoch: int
    exponent: int
    key_hash: bytes


@dataclass(frozen=True, slots=True)
class IssuerBondOpened(Event):
    """An issuer set an amount aside."""

    owner: AccountId
    amount: Amount


@dataclass(frozen=True, slots=True)
class IssuerBondToppedUp(Event):
    """An issuer set more aside."""

    owner: AccountId
    amount: Amount


@dataclass(frozen=True, slots=True)
class IssuerBondClosed(Event):
    """A bond pays claims until then, and no longer."""

    owner: AccountId
    closes_at: EpochMs


@dataclass(frozen=True, slots=True)
class IssuerBondSettled(Event):
    """What was left of a bond went back."""

    owner: AccountId
    amount: Amount


@dataclass(frozen=True, slots=True)
class TokenKeyAdded(Event):
    """An issuer has a key for an epoch and a denomination."""

    owner: AccountId
    epoch: int
    exponent: int


def check_open(tx: OpenIssuerBond) -> None:
    """Accept every amount: the least one is a parameter."""


def check_top_up(tx: TopUpIssuerBond) -> None:
    """Apply the rules that need no state. Raises: ZeroAmount."""
    if tx.amount == 0:
        raise ZeroAmount("a top-up adds at least one base unit")


def check_close(tx: CloseIssuerBond | SettleIssuerBond) -> None:
    """Accept it: only the state knows whether there is a bond."""


def check_publish(tx: PublishTokenKey) -> None:
    """Apply the rules that need no state. Raises: BadDenomination."""
    if tx.exponent > MAX_EXPONENT:
        raise BadDenomination(f"10^{tx.exponent} base units, most is 10^{MAX_EXPONENT}")


def open_(draft: Draft, tx: OpenIssuerBond, ctx: TxContext) -> tuple[Event, ...]:
    """Set the amount aside. Raises: IssuerBondExists, EscrowTooSmall, InsufficientFunds."""
    if escrows.bond(draft, ctx.sender) is not None:
        raise IssuerBondExists("the account has an issuer's bond already")
    least = params.RELAYS.load(draft).min_escrow
    if tx.amount < least:
        raise EscrowTooSmall(tx.amount, least)
    escrows.fill_bond(draft, ctx.sender, IssuerBond(Amount(0)), tx.amount)
    return (IssuerBondOpened(ctx.sender, tx.amount),)


def top_up(draft: Draft, tx: TopUpIssuerBond, ctx: TxContext) -> tuple[Event, ...]:
    """Add to the bond. Raises: UnknownIssuerBond, IssuerBondClosing, InsufficientFunds."""
    escrows.fill_bond(draft, ctx.sender, _open(draft, ctx.sender), tx.amount)
    return (IssuerBondToppedUp(ctx.sender, tx.amount),)


def close(draft: Draft, _: CloseIssuerBond, ctx: TxContext) -> tuple[Event, ...]:
    """Begin the delay, once the last epoch with a key is over.

    Raises: UnknownIssuerBond, IssuerBondClosing.
    """
    record = _open(draft, ctx.sender)
    last = max((key.ends_at for key in record.keys), default=ctx.block_time_ms)
    delay = params.RELAYS.load(draft).escrow_delay_ms
    closes_at = EpochMs(max(last, ctx.block_time_ms) + delay)
    escrows.save_bond(draft, ctx.sender, replace(record, closes_at=closes_at))
    return (IssuerBondClosed(ctx.sender, closes_at),)


def settle(draft: Draft, tx: SettleIssuerBond, ctx: TxContext) -> tuple[Event, ...]:
    """Give back what is left of a closed bond. Raises: UnknownIssuerBond, NothingDue."""
    record = _known(draft, tx.owner)
    if not record.is_closing or record.closes_at > ctx.block_time_ms:
        raise NothingDue(ctx.block_time_ms, record.closes_at)
    escrows.pay_back_bond(draft, tx.owner, record)
    return (IssuerBondSettled(tx.owner, record.held),)


def publish(draft: Draft, tx: PublishTokenKey, ctx: TxContext) -> tuple[Event, ...]:
    """Add a key; those whose tokens can be claimed no longer make room.

    Raises: UnknownIssuerBond, IssuerBondClosing, EpochOutOfRange, TokenKeyPublished,
    TooManyTokenKeys.
    """
    record, rules = _open(draft, ctx.sender), params.RELAYS.load(draft)
    now = ctx.block_time_ms // rules.token_epoch_ms
    if not now <= tx.epoch <= now + EPOCHS_AHEAD:
        raise EpochOutOfRange(tx.epoch, now, now + EPOCHS_AHEAD)
    held = _still_claimable(record, rules, ctx.block_time_ms)
    if any((key.epoch, key.exponent) == (tx.epoch, tx.exponent) for key in held):
        raise TokenKeyPublished(f"epoch {tx.epoch}, 10^{tx.exponent} base units")
    if len(held) == escrows.MAX_TOKEN_KEYS:
        raise TooManyTokenKeys(f"{len(held)} keys are good for claims")
    ends_at = EpochMs((tx.epoch + 1) * rules.token_epoch_ms)
    added = TokenKey(tx.epoch, tx.exponent, ends_at, tx.key_hash)
    keys = tuple(sorted((*held, added), key=lambda key: (key.epoch, key.exponent)))
    escrows.save_bond(draft, ctx.sender, replace(record, keys=keys))
    return (TokenKeyAdded(ctx.sender, tx.epoch, tx.exponent),)


def _still_claimable(record: IssuerBond, rules: Relays, now: EpochMs) -> tuple[TokenKey, ...]:
    return tuple(key for key in record.keys if key.ends_at + rules.escrow_delay_ms > now)


def _known(draft: Draft, owner: AccountId) -> IssuerBond:
    record = escrows.bond(draft, owner)
    if record is None:
        raise UnknownIssuerBond("the account has no issuer's bond")
    return record


def _open(draft: Draft, owner: AccountId) -> IssuerBond:
    record = _known(draft, owner)
    if record.is_closing:
        raise IssuerBondClosing(record.closes_at)
    return record


OPEN: Final = Family(
    type=38,
    name="open_issuer_bond",
    shape=codec.Record(OpenIssuerBond, amount=codec.U64),
    cost=Cost(60),
    check=check_open,
    apply=open_,
    spends=lambda tx: tx.amount,
)

TOP_UP: Final = Family(
    type=39,
    name="top_up_issuer_bond",
    shape=codec.Record(TopUpIssuerBond, amount=codec.U64),
    cost=Cost(160),
    check=check_top_up,
    apply=top_up,
    spends=lambda tx: tx.amount,
)

CLOSE: Final = Family(
    type=40,
    name="close_issuer_bond",
    shape=codec.Record(CloseIssuerBond),
    cost=Cost(160),
    check=check_close,
    apply=close,
)

SETTLE: Final = Family(
    type=43,
    name="settle_issuer_bond",
    shape=codec.Record(SettleIssuerBond, owner=ACCOUNT_ID),
    cost=Cost(160),
    check=check_close,
    apply=settle,
)

PUBLISH: Final = Family(
    type=44,
    name="publish_token_key",
    shape=codec.Record(
        PublishTokenKey, epoch=codec.U64, exponent=codec.U64, key_hash=escrows.KEY_HASH
    ),
    cost=Cost(200),
    check=check_publish,
    apply=publish,
)

FAMILIES: Final = (OPEN, TOP_UP, CLOSE, SETTLE, PUBLISH)
