"""`dchat validator --stake`: a node that does not validate the currency chain bonds stake, once.

DATA_DIR/stake.json keeps the signed transaction from before it is first sent:
    {"tx": HEX, "done_at": INT}          the height at which the key was seen to validate, 0 before
It is sent again until a block has it, also after a restart; only when it can be in no block any
more another one is signed. So stake is bonded once however often the node is killed, and never
again once it validated. What this node's own application and CometBFT answer is believed here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol, cast

import trio

from abci_currency import keys
from abci_currency.state import stake
from abci_currency.txs.consensus_key import prove
from abci_currency.txs.validator import CREATE, CreateValidator, check_create
from dchat.kernel import accounts, codec, params, signing, tx
from dchat.kernel.accounts import Account, show_account
from dchat.kernel.amounts import show_amount
from dchat.kernel.errors import OperatorError, RemoteProtocolError, TxRejected
from dchat.kernel.ids import Amount, ChainId, Height, TxHash
from dchat.kernel.params import Params
from dchat.kernel.tx import tx_hash
from dchat.node import log, rpc
from dchat.node.chain import Order, Refused, order_of, signed
from dchat.node.files import read_bounded
from dchat.node.identity import Identity
from dchat.node.rpc import ChainUnavailable, Found, Queried, Question, Submitted
from dchat.operator import home
from dchat.operator.pulse import Pulse, is_ready

JOURNAL: Final = "stake.json"
MAX_JOURNAL_BYTES: Final = 1 << 20
EVERY_S: Final = 2.0
_START: Final = Height(0)
_HINT: Final = "change moniker or [staking] in the settings"

logger = log.get(__name__)
Say = Callable[[str], None]


class CannotStake(OperatorError):
    """What the settings ask to stake would be refused by the chain."""


class JournalDamaged(OperatorError):
    """The record of what this node has sent to bond its stake cannot be read."""

    hint = "see with `dchat query validators` whether it validates, then remove the file"


class Phase(StrEnum):
    """How far the node has got, as `/status` shows it."""

    SYNCING = "waits until the node is ready"
    SHORT = "waits for money"
    SENT = "waits for a block"
    DONE = "done"
    REFUSED = "refused"


class Teller(Protocol):
    """What is asked of the node: part of `rpc.Chain`."""

    async def abci_query(self, question: Question) -> Queried:
        """Ask the application."""
        ...

    async def broadcast_sync(self, raw: bytes) -> Submitted:
        """Hand a transaction to the pool."""
        ...

    async def find(self, tx_hash: TxHash) -> Found | None:
        """Return where a transaction is, None if the node knows of none."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What the settings ask for; amounts in base units, shares in basis points."""

    moniker: str
    stake: Amount
    min_self_delegation: Amount
    rate_bp: int
    max_rate_bp: int
    max_change_bp: int


@dataclass(frozen=True, slots=True)
class Bonding:
    """Who stakes what, on which chain, for which key, and where that is remembered."""

    owner: Identity
    chain_id: ChainId
    form: CreateValidator
    journal: Path

    @property
    def order(self) -> Order:
        """What is to be carried out."""
        return order_of(self.owner, CREATE, self.form)


@dataclass(slots=True)
class Progress:
    """What `/status` says of it."""

    phase: Phase = Phase.SYNCING
    why: str = ""

    def show(self) -> str:
        """Return the phase, and what is behind it."""
        return f"{self.phase}: {self.why}" if self.why else str(self.phase)


@dataclass(frozen=True, slots=True)
class Journal:
    """What was sent, and whether that is over."""

    raw: bytes = b""
    done_at: Height = _START


@dataclass(frozen=True, slots=True)
class Seen:
    """What the chain says of the account and the key after a block."""

    height: Height
    account: Account
    validates: bool
    rules: Params


async def run(bonding: Bonding, url: str, pulse: Pulse, told: Progress, say: Say) -> None:
    """Bond the stake once the node at url is ready; return when it is bonded or refused."""
    async with rpc.connect((url,)) as chain:
        await follow(bonding, chain, pulse, told, say)


async def follow(bonding: Bonding, chain: Teller, pulse: Pulse, told: Progress, say: Say) -> None:
    """Bond the stake once the node is ready; return when it is bonded or refused."""
    while told.phase not in (Phase.DONE, Phase.REFUSED):
        if is_ready(pulse):
            await _advance(bonding, chain, told, say)
        await trio.sleep(EVERY_S)


async def _advance(bonding: Bonding, chain: Teller, told: Progress, say: Say) -> None:
    """Do what is next; a node that gives no answer is asked again later."""
    try:
        phase, why = await step(bonding, chain)
    except (ChainUnavailable, RemoteProtocolError) as fault:
        logger.debug("stake_waits", reason=repr(fault))
        return
    except OperatorError as fault:
        phase, why = Phase.REFUSED, f"{fault}; {fault.hint}"
    if phase is not told.phase:
        logger.info("stake", phase=phase.value, why=why)
        say(f"stake: {phase.value}: {why}")
    told.phase, told.why = phase, why


async def step(bonding: Bonding, chain: Teller) -> tuple[Phase, str]:
    """Look at the chain, send what is to be sent, and return where that leaves us.

    Raises: Refused, JournalDamaged, ChainUnavailable, RemoteProtocolError.
    """
    journal = load(bonding.journal)
    if journal.done_at:
        return Phase.DONE, f"it validated at block {journal.done_at}; stake more with `dchat tx`"
    seen = await look(bonding, chain)
    if seen.validates:
        save(bonding.journal, Journal(journal.raw, seen.height))
        return Phase.DONE, _congratulate(bonding, seen)
    if journal.raw and not await _is_lost(journal.raw, seen, chain):
        return await _send(journal.raw, chain)
    if seen.account.balance < bonding.form.stake:
        return Phase.SHORT, _beg(bonding, seen)
    raw = signed(bonding.order, bonding.chain_id, seen.account.nonce, seen.rules, seen.height)
    save(bonding.journal, Journal(raw))
    return await _send(raw, chain)


async def look(bonding: Bonding, chain: Teller) -> Seen:
    """Return what the chain says now. Raises: ChainUnavailable, RemoteProtocolError."""

    async def read(key: bytes) -> bytes:
        return (await chain.abci_query(Question("/store", key, height))).value

    height = (await chain.abci_query(Question("/store", params.KEY))).height
    record = await read(accounts.key(bonding.owner.account_id))
    rules = await read(params.KEY)
    named = await read(keys.consensus_key(stake.address_of(bonding.form.consensus_key)))
    operated = await read(keys.validator(bonding.owner.account_id))
    return Seen(
        height=height,
        account=accounts.decode(record) if record else accounts.EMPTY,
        validates=bool(named or operated),
        rules=params.SHAPE.decode(rules) if rules else params.DEFAULT,
    )


async def _is_lost(raw: bytes, seen: Seen, chain: Teller) -> bool:
    """Whether no block can have the transaction any more. Raises: Refused where one has it."""
    found = await chain.find(tx_hash(raw))
    if found is not None:
        included = found.included
        if included.code != 0:
            raise Refused(included.code, included.log)
        return False
    sent = tx.decode(raw).envelope
    return seen.account.nonce > sent.nonce or seen.height > sent.valid_until_height


async def _send(raw: bytes, chain: Teller) -> tuple[Phase, str]:
    said = await chain.broadcast_sync(raw)
    name = f"create_validator {tx_hash(raw).hex()}"
    return Phase.SENT, f"{name}, not taken yet: {said.log}" if said.code else name


def _beg(bonding: Bonding, seen: Seen) -> str:
    have, need = show_amount(seen.account.balance), show_amount(bonding.form.stake)
    account = show_account(bonding.owner.account_id)
    return f"send {account} DCHAT; it has {have} and is to stake {need}, fee not counted"


def _congratulate(bonding: Bonding, seen: Seen) -> str:
    account = show_account(bonding.owner.account_id)
    return (
        f"at block {seen.height} of {bonding.chain_id} the key validates for {account}, if it is "
        "among the strongest; the chat chain's validators stay those of its genesis"
    )


def load(path: Path) -> Journal:
    """Return what was sent. Raises: JournalDamaged."""
    try:
        found = cast("object", json.loads(read_bounded(path, MAX_JOURNAL_BYTES)))
        match found:
            case {"tx": str() as raw, "done_at": int() as height}:
                return _checked(Journal(bytes.fromhex(raw), Height(height)))
            case _:
                raise JournalDamaged(f"{path} is not a record of sent stake")
    except FileNotFoundError:
        return Journal()
    except (OSError, ValueError, RecursionError, TxRejected) as fault:
        raise JournalDamaged(f"{path}: {fault}") from None


def _checked(journal: Journal) -> Journal:
    if journal.raw:
        tx.decode(journal.raw)
    return journal


def save(path: Path, journal: Journal) -> None:
    """Keep what is about to be sent, on disk when this returns."""
    document = {"tx": journal.raw.hex(), "done_at": journal.done_at}
    home.replace_file(path, json.dumps(document).encode() + b"\n", 0o600)


def form(owner: Identity, consensus_seed: bytes, chain_id: ChainId, wish: Wish) -> CreateValidator:
    """Return the order that makes the identity's account a validator. Raises: CannotStake."""
    order = CreateValidator(
        consensus_key=signing.public_key(consensus_seed),
        proof=prove(consensus_seed, chain_id, owner.account_id),
        moniker=wish.moniker,
        rate_bp=wish.rate_bp,
        max_rate_bp=wish.max_rate_bp,
        max_change_bp=wish.max_change_bp,
        min_self_delegation=wish.min_self_delegation,
        stake=wish.stake,
    )
    try:
        check_create(order)
        CREATE.body(order)
    except (TxRejected, codec.CodecError) as fault:
        raise CannotStake(f"{type(fault).__name__}: {fault}", _HINT) from None
    return order
