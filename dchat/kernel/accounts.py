"""Accounts, the one record that both chains keep for whoever signs or holds anything.

`("account", id)` holds `[public_key, key_version, nonce, balance]`. The balance counts base units
of DCHAT on the currency chain and postage credits on the chat chain. An account that has only
received so far has an empty public key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from dchat.kernel import amounts, bech32m, codec
from dchat.kernel.errors import InsufficientFunds, OperatorError
from dchat.kernel.ids import AccountId, Amount, Nonce
from dchat.kernel.store import Draft, State, read

ACCOUNT_ID_BYTES: Final = 32
PREFIX: Final = "dchat"
_TAG: Final = b"dchat/account/v1"
_MODULE_TAG: Final = b"dchat/module/v1"
_ED25519: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class Account:
    """What a chain knows of one account."""

    public_key: bytes
    key_version: int
    nonce: Nonce
    """What the next transaction must carry."""
    balance: Amount

    def encode(self) -> bytes:
        """Return the record as the state keeps it."""
        return _SHAPE.encode(self)


EMPTY: Final = Account(b"", 0, Nonce(0), Amount(0))
ACCOUNT_ID: Final = codec.Fixed(ACCOUNT_ID_BYTES)
_SHAPE: Final = codec.Record(
    Account,
    public_key=codec.Blob(32),
    key_version=codec.U64,
    nonce=codec.U64,
    balance=codec.U64,
)
_KEY_HEAD: Final = codec.pack(("account", bytes(ACCOUNT_ID_BYTES)))[:-ACCOUNT_ID_BYTES]
SPACE: Final = _KEY_HEAD
"""What every account's state key begins with."""


class BadAccount(OperatorError):
    """The text is not an account id."""

    hint = "account ids look like dchat1…; see: dchat identity verify --file FILE"


def account_id(public_key: bytes) -> AccountId:
    """Return the id of the account that a 32-byte Ed25519 key opens."""
    return AccountId(hashlib.sha256(_TAG + _ED25519 + public_key).digest())


def module_id(name: str) -> AccountId:
    """Return the id of an account that the chain's own rules hold; no key opens it."""
    return AccountId(hashlib.sha256(_MODULE_TAG + name.encode()).digest())


def show_account(account: AccountId) -> str:
    """Return the id as `dchat1…`."""
    return bech32m.encode(PREFIX, account)


def parse_account(text: str) -> AccountId:
    """Return the id that `dchat1…` stands for. Raises: BadAccount."""
    try:
        payload = bech32m.decode(PREFIX, text)
    except bech32m.BadAddress as fault:
        raise BadAccount(f"{text!r} is not an account id: {fault}") from None
    if len(payload) != ACCOUNT_ID_BYTES:
        raise BadAccount(f"{text!r} is not an account id: {len(payload)} bytes")
    return AccountId(payload)


def key(account: AccountId) -> bytes:
    """Return the state key of an account's record."""
    return _KEY_HEAD + account


def load(state: State, account: AccountId) -> Account:
    """Return the record, an empty one for an account never seen."""
    return read(state, key(account), _SHAPE) or EMPTY


def decode(record: bytes) -> Account:
    """Return the account whose record these bytes are. Raises: CodecError."""
    return _SHAPE.decode(record)


def save(draft: Draft, account: AccountId, record: Account) -> None:
    """Write the record."""
    draft.put(key(account), record)


def credit(draft: Draft, account: AccountId, amount: Amount) -> None:
    """Add amount to the balance. Raises: AmountTooLarge."""
    held = load(draft, account)
    save(draft, account, _holding(held, amounts.add(held.balance, amount)))


def debit(draft: Draft, account: AccountId, amount: Amount) -> None:
    """Take amount from the balance. Raises: InsufficientFunds."""
    held = load(draft, account)
    if held.balance < amount:
        raise InsufficientFunds(have=held.balance, need=amount)
    save(draft, account, _holding(held, Amount(held.balance - amount)))


def _holding(held: Account, balance: Amount) -> Account:
    return Account(held.public_key, held.key_version, held.nonce, balance)
