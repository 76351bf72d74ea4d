"""A founding validator's entry: its terms, signed by the account that operates it and both keys.

{"version": 2, "chain_id": "mynet-1", "moniker": "first", "stake": "1000000",
 "commission": 500, "max_commission": 2000, "max_commission_change": 100,
 "min_self_delegation": "1000000",
 "account_key": HEX32, "chat_key": HEX32, "currency_key": HEX32,
 "beacon_head": HEX32, "beacon_length": 100000,
 "signatures": {"account": HEX64, "chat": HEX64, "currency": HEX64}}

Commissions are basis points, amounts tokens. Each key signs the same bytes: the account that it
will stake, the consensus keys that whoever sent the entry holds them. Signed is, behind the tag,
the canonical encoding of [chain_id, account_key, chat_key, currency_key, moniker,
[commission, max_commission, max_commission_change], min_self_delegation, stake, beacon_head,
beacon_length]: the last two are what the validator owes the chat chain's draws (state/beacon.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from abci_currency.genesis import Terms
from dchat.kernel import accounts, codec, signing
from dchat.kernel.amounts import show_amount
from dchat.kernel.errors import DchatError, OperatorError
from dchat.kernel.ids import AccountId, Amount
from dchat.node.files import read_bounded
from genesis.fields import Fields, amount, get, key, known, table, text, whole

VERSION: Final = 2
DOMAIN: Final = b"dchat/genesis-entry/v2"
MAX_FILE_BYTES: Final = 4096
MAX_ENTRIES: Final = 10_000
SIGNERS: Final = ("account", "chat", "currency")
_KEYS: Final = ("account_key", "chat_key", "currency_key")
_AMOUNTS: Final = ("min_self_delegation", "stake")
_TERMS: Final = ("commission", "max_commission", "max_commission_change")
_BEACON: Final = ("beacon_head", "beacon_length")
_NAMES: Final = frozenset(
    {"version", "chain_id", "moniker", "signatures", *_KEYS, *_AMOUNTS, *_TERMS, *_BEACON}
)


class BadEntry(OperatorError):
    """An entry cannot be taken; the message names the file and the reason."""

    exit_code = 2
    hint = "its sender makes it with `dchat genesis add-validator`; nothing in it may be changed"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a validator begins with, as its operator says."""

    chain_id: str
    moniker: str
    account_key: bytes
    chat_key: bytes
    currency_key: bytes
    terms: Terms
    min_self_delegation: Amount
    stake: Amount
    beacon_head: bytes
    beacon_length: int

    @property
    def account(self) -> AccountId:
        """The account that operates the validator and stakes."""
        return accounts.account_id(self.account_key)

    @property
    def message(self) -> bytes:
        """What is signed."""
        terms = (self.terms.rate_bp, self.terms.max_rate_bp, self.terms.max_change_bp)
        names = (self.chain_id, self.account_key, self.chat_key, self.currency_key, self.moniker)
        held = (self.min_self_delegation, self.stake)
        return codec.pack((*names, terms, *held, self.beacon_head, self.beacon_length))


@dataclass(frozen=True, slots=True)
class Seeds:
    """The three secrets that sign an entry."""

    account: bytes = field(repr=False)
    chat: bytes = field(repr=False)
    currency: bytes = field(repr=False)


class EntryExists(OperatorError):
    """The file is there already; an entry is never overwritten."""

    exit_code = 3
    hint = "choose another --output, or move the old file away yourself"


def save(path: Path, content: bytes) -> None:
    """Write an entry to a new file. Raises: EntryExists, OSError."""
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise EntryExists(f"{path} exists") from None


def encode(offer: Offer, seeds: Seeds) -> bytes:
    """Return the signed entry of an offer whose keys are those of seeds."""
    message = offer.message
    document: dict[str, object] = {
        "version": VERSION,
        "chain_id": offer.chain_id,
        "moniker": offer.moniker,
        "stake": show_amount(offer.stake),
        "commission": offer.terms.rate_bp,
        "max_commission": offer.terms.max_rate_bp,
        "max_commission_change": offer.terms.max_change_bp,
        "min_self_delegation": show_amount(offer.min_self_delegation),
        **{name: getattr(offer, name).hex() for name in _KEYS},
        "beacon_head": offer.beacon_head.hex(),
        "beacon_length": offer.beacon_length,
        "signatures": {
            name: signing.sign(getattr(seeds, name), DOMAIN, message).hex() for name in SIGNERS
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def decode(content: bytes) -> Offer:
    """Return the offer of an entry that is signed by all three keys. Raises: ValueError."""
    fields = table(json.loads(content), "the entry")
    known(fields, _NAMES, "")
    if get(fields, "version", whole, "") != VERSION:
        raise ValueError(f"version {fields['version']}, this release knows {VERSION}")
    offer = _offer(fields)
    signatures = get(fields, "signatures", lambda raw: table(raw, "signatures"), "")
    known(signatures, frozenset(SIGNERS), "signatures.")
    for name in SIGNERS:
        _check_signature(offer, signatures, name)
    return offer


def load_all(folder: Path, chain_id: str) -> tuple[Offer, ...]:
    """Return the offers of a folder's *.json files, all for that chain. Raises: BadEntry."""
    paths = sorted(folder.glob("*.json"))
    if not 1 <= len(paths) <= MAX_ENTRIES:
        raise BadEntry(f"{folder} has {len(paths)} entries (*.json), not 1 to {MAX_ENTRIES}")
    return tuple(_load(path, chain_id) for path in paths)


def _load(path: Path, chain_id: str) -> Offer:
    try:
        offer = decode(read_bounded(path, MAX_FILE_BYTES))
    except OSError as fault:
        raise BadEntry(f"{path}: {fault.strerror}") from None
    except (ValueError, RecursionError, DchatError) as fault:
        raise BadEntry(f"{path}: {fault}") from None
    if offer.chain_id != chain_id:
        raise BadEntry(f"{path}: signed for chain {offer.chain_id}, not for {chain_id}")
    return offer


def _offer(fields: Fields) -> Offer:
    account_key, chat_key, currency_key = (get(fields, name, key, "") for name in _KEYS)
    least, stake = (get(fields, name, amount, "") for name in _AMOUNTS)
    return Offer(
        chain_id=get(fields, "chain_id", text, ""),
        moniker=get(fields, "moniker", text, ""),
        account_key=account_key,
        chat_key=chat_key,
        currency_key=currency_key,
        terms=Terms(*(get(fields, name, whole, "") for name in _TERMS)),
        min_self_delegation=least,
        stake=stake,
        beacon_head=get(fields, "beacon_head", key, ""),
        beacon_length=get(fields, "beacon_length", whole, ""),
    )


def _check_signature(offer: Offer, signatures: Fields, name: str) -> None:
    signature = get(signatures, name, _signature, "signatures.")
    signer = getattr(offer, f"{name}_key")
    try:
        signing.verify(signer, DOMAIN, offer.message, signature)
    except signing.SignatureInvalid:
        raise ValueError(f"signatures.{name} is not {name}_key's over this entry") from None


def _signature(raw: object) -> bytes:
    if not isinstance(raw, str) or len(raw) != 2 * signing.SIGNATURE_BYTES:
        raise ValueError("not 128 hexadecimal digits")
    return bytes.fromhex(raw)
