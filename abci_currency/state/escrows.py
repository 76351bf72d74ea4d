"""Postage set aside: escrows of payers, bonds of those who issue delivery tokens.

    ("escrow", payer, number)  [relay, payee, cheque_key, held, paid, closes_at]
    ("issuer", owner)          [held, closes_at, [[epoch, exponent, ends_at, key_hash], …]]

`number` is the nonce of the transaction that opened the escrow plus one: the payer knows it before
signing, and no escrow ever has the number of an earlier one, whose cheques are still about. A
cheque names payer, number, the sum of all that was ever promised, and an expiry; so what matters of
many is the last, and `paid` is what was handed over of it. An escrow or bond that closes still pays
until `closes_at`; from then on the rest goes back, and the record goes. What is held adds up to the
pools ESCROWS and ISSUER_BONDS.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from abci_currency import keys
from abci_currency.state import pools
from abci_currency.state.relays import PEER, PeerKey
from dchat.kernel import accounts, amounts, codec, holdings
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import AccountId, Amount, EpochMs
from dchat.kernel.store import Draft, State, read

CHEQUE_KEY: Final = codec.Fixed(32)
KEY_HASH: Final = codec.Fixed(32)
MAX_TOKEN_KEYS: Final = 48
"""Whose tokens may still be claimed, of one issuer."""
_OPEN: Final = EpochMs(0)
_NOTHING: Final = Amount(0)


@dataclass(frozen=True, slots=True)
class EscrowId:
    """What names an escrow, in cheques too."""

    payer: AccountId
    number: int

    @property
    def key(self) -> bytes:
        """Return the state key of the escrow."""
        return keys.escrow(self.payer, self.number)


@dataclass(frozen=True, slots=True)
class Escrow:
    """Postage that a payer set aside for one relay."""

    relay: PeerKey
    payee: AccountId
    """Whom claims pay: the relay's owner when the escrow was opened, whoever runs it since."""
    cheque_key: bytes
    """Ed25519; signs the payer's cheques and nothing else."""
    held: Amount
    paid: Amount = _NOTHING
    """Handed over since it was opened: the sum of the last cheque that was claimed."""
    closes_at: EpochMs = _OPEN
    """When the rest may go back; 0 while it is open."""

    @property
    def is_closing(self) -> bool:
        """Whether the payer has closed it."""
        return self.closes_at != _OPEN


@dataclass(frozen=True, slots=True)
class TokenKey:
    """The key of one epoch and denomination; never replaced, or its users could be told apart."""

    epoch: int
    exponent: int
    """A token is worth ten to this power in base units."""
    ends_at: EpochMs
    """The epoch's end; its tokens are claimed up to escrow_delay_ms later."""
    key_hash: bytes
    """SHA-256 of the key (SPKI in DER), which the issuer hands out itself."""


@dataclass(frozen=True, slots=True)
class IssuerBond:
    """What an issuer of delivery tokens set aside; claims on its tokens are paid from it."""

    held: Amount
    closes_at: EpochMs = _OPEN
    keys: tuple[TokenKey, ...] = ()
    """By ascending epoch and exponent."""

    @property
    def is_closing(self) -> bool:
        """Whether the issuer has closed it."""
        return self.closes_at != _OPEN


ESCROW: Final = codec.Record(
    Escrow,
    relay=PEER,
    payee=ACCOUNT_ID,
    cheque_key=CHEQUE_KEY,
    held=codec.U64,
    paid=codec.U64,
    closes_at=codec.U64,
)
_TOKEN_KEY: Final = codec.Record(
    TokenKey, epoch=codec.U64, exponent=codec.U64, ends_at=codec.U64, key_hash=KEY_HASH
)
ISSUER_BOND: Final = codec.Record(
    IssuerBond,
    held=codec.U64,
    closes_at=codec.U64,
    keys=codec.ListOf(_TOKEN_KEY, MAX_TOKEN_KEYS),
)


def escrow(state: State, which: EscrowId) -> Escrow | None:
    """Return the escrow of that id, None where there is none."""
    return read(state, which.key, ESCROW)


def save(draft: Draft, which: EscrowId, record: Escrow) -> None:
    """Write an escrow."""
    draft.put(which.key, ESCROW.encode(record))


def bond(state: State, owner: AccountId) -> IssuerBond | None:
    """Return an issuer's bond, None where there is none."""
    return read(state, keys.issuer(owner), ISSUER_BOND)


def save_bond(draft: Draft, owner: AccountId, record: IssuerBond) -> None:
    """Write an issuer's bond."""
    draft.put(keys.issuer(owner), ISSUER_BOND.encode(record))


def escrows(state: State) -> Iterator[tuple[EscrowId, Escrow]]:
    """Yield every escrow by payer and number. Walks all of them: for queries and audits."""
    for key, record in state.scan(keys.ESCROWS):
        _, payer, number = codec.as_values(codec.unpack(key))
        yield (
            EscrowId(AccountId(ACCOUNT_ID.lift(payer)), codec.U64.lift(number)),
            ESCROW.decode_own(record),
        )


def bonds(state: State) -> Iterator[tuple[AccountId, IssuerBond]]:
    """Yield every issuer's bond by owner. Walks all of them: for queries and audits."""
    for key, record in state.scan(keys.ISSUERS):
        yield AccountId(key[-32:]), ISSUER_BOND.decode_own(record)


def check_invariant(state: State) -> None:
    """Return if the pools hold what was set aside. For audits. Raises: InvariantBroken."""
    in_escrow = sum(record.held for _, record in escrows(state))
    in_bonds = sum(record.held for _, record in bonds(state))
    have = tuple(accounts.load(state, pool).balance for pool in (pools.ESCROWS, pools.ISSUER_BONDS))
    if have != (in_escrow, in_bonds):
        raise InvariantBroken(f"set aside are {in_escrow} and {in_bonds}, the pools hold {have}")


def next_id(state: State, payer: AccountId) -> EscrowId:
    """Return the id of the escrow that the payer opens by the transaction now carried out."""
    return EscrowId(payer, accounts.load(state, payer).nonce)


def fill(draft: Draft, which: EscrowId, record: Escrow, amount: Amount) -> None:
    """Move amount from the payer's balance into the escrow.

    Raises: InsufficientFunds, AmountTooLarge.
    """
    holdings.move(draft, which.payer, pools.ESCROWS, amount)
    save(draft, which, replace(record, held=amounts.add(record.held, amount)))


def fill_bond(draft: Draft, owner: AccountId, record: IssuerBond, amount: Amount) -> None:
    """Move amount from the issuer's balance into its bond.

    Raises: InsufficientFunds, AmountTooLarge.
    """
    holdings.move(draft, owner, pools.ISSUER_BONDS, amount)
    save_bond(draft, owner, replace(record, held=amounts.add(record.held, amount)))


def claim(
    draft: Draft, which: EscrowId, promised: Amount, target: AccountId, now: EpochMs
) -> Amount:
    """Move to target what a cheque over `promised` leaves to pay, as far as the escrow holds it.

    Return what was moved: 0 for a cheque paid already, and where there is no such escrow, or one
    whose time is up. The cheque's signature and expiry are the caller's to check.
    """
    found = escrow(draft, which)
    if found is None or _is_over(found.closes_at, now):
        return _NOTHING
    due = Amount(min(max(0, promised - found.paid), found.held))
    if due:
        holdings.move(draft, pools.ESCROWS, target, due)
        left = replace(found, held=Amount(found.held - due), paid=Amount(found.paid + due))
        save(draft, which, left)
    return due


def claim_bond(
    draft: Draft, owner: AccountId, amount: Amount, target: AccountId, now: EpochMs
) -> Amount:
    """Move up to amount from an issuer's bond to target; return what was moved.

    That is 0 where there is no bond, or one whose time is up. The caller shares out what is there.
    """
    found = bond(draft, owner)
    if found is None or _is_over(found.closes_at, now):
        return _NOTHING
    due = Amount(min(amount, found.held))
    if due:
        holdings.move(draft, pools.ISSUER_BONDS, target, due)
        save_bond(draft, owner, replace(found, held=Amount(found.held - due)))
    return due


def pay_back(draft: Draft, which: EscrowId, record: Escrow) -> None:
    """Give the payer what is left of the escrow, and forget it."""
    holdings.move(draft, pools.ESCROWS, which.payer, record.held)
    draft.delete(which.key)


def pay_back_bond(draft: Draft, owner: AccountId, record: IssuerBond) -> None:
    """Give the issuer what is left of its bond, and forget it and its token keys."""
    holdings.move(draft, pools.ISSUER_BONDS, owner, record.held)
    draft.delete(keys.issuer(owner))


def _is_over(closes_at: EpochMs, now: EpochMs) -> bool:
    return closes_at != _OPEN and closes_at <= now
