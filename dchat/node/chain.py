"""One chain opened for somebody who reads and submits: its nodes, its reader, its rules of price.

What a transaction costs is read with a proof, for a lying node could ask for any fee. So is the
nonce: a node that may choose it collects one order under several nonces, refusing each, and has
all of them carried out later.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from dchat.kernel import accounts, codec, params, signing, tx
from dchat.kernel.errors import OperatorError
from dchat.kernel.family import Family
from dchat.kernel.ids import AccountId, Amount, ChainId, Cost, Height, Nonce
from dchat.kernel.machine import cost_of
from dchat.kernel.queries import LISTING, PAGE, Listing, Page, QueryCode, check_page
from dchat.kernel.refusals import REFUSALS
from dchat.kernel.tx import Envelope
from dchat.node import rpc
from dchat.node.clock import Clock
from dchat.node.follow import Trust
from dchat.node.identity import Identity
from dchat.node.network import ChainEntry
from dchat.node.reader import ChainReader, HeightNotKept, QueryRefused, TrustStore
from dchat.node.rpc import LATEST, Chain, Included, Queried, Question, Submitted

T = TypeVar("T")

VALID_BLOCKS: Final = 200
INCLUSION_S: Final = 60.0
MAX_AGE_S: Final = 600
"""Of the newest header: an idle chain still makes one every 10 to 15 s."""
_WIDEST: Final = codec.MAX_U64


class Refused(OperatorError):
    """The chain refused a transaction. Attributes: code, name."""

    def __init__(self, code: int, log: str) -> None:
        refusal = REFUSALS.get(code)
        self.code = code
        self.name = refusal.name if refusal else "unknown refusal"
        numbers = log.removeprefix(f"{self.name}: ").removeprefix(self.name)
        numbers = numbers.removesuffix(f"; {refusal.hint}") if refusal else numbers
        message = f"refused, {self.name} ({code})" + (f": {numbers}" if numbers else "")
        super().__init__(message, refusal.hint if refusal else "upgrade dchat")


@dataclass(frozen=True, slots=True)
class Order:
    """What a sender wants done: an envelope body, its family's cost, and the key that signs."""

    body: tuple[codec.Raw, ...]
    cost: Cost
    seed: bytes = field(repr=False)
    """32 bytes: what signs for the account of an identity."""
    account: AccountId | None = None
    """The sender, where it is not the account that the key opened."""
    is_worked: bool = False
    """Work in the body stands for the fee."""
    nonce: Nonce | None = None
    """The one that the body is bound to; None for whichever is next."""

    @property
    def public_key(self) -> bytes:
        """The key that signs."""
        return signing.public_key(self.seed)

    @property
    def sender(self) -> AccountId:
        """The account that pays and acts."""
        return self.account or accounts.account_id(self.public_key)


def order_of(identity: Identity, family: Family[T], fields: T) -> Order:
    """Return what carries these fields out for an identity, whichever key signs for it now."""
    body = family.body(fields)
    seed, account = identity.account_seed, identity.account_id
    return Order(body, family.price(body[1:]), seed, account)


def signed(
    order: Order, chain_id: ChainId, nonce: Nonce, rules: params.Params, height: Height
) -> bytes:
    """Return the transaction that carries out order for the least fee, soon after height.

    Where work stands for the fee there is none.
    """
    draft = Envelope(
        chain_id=chain_id,
        sender=order.sender,
        public_key=order.public_key,
        nonce=nonce,
        fee=Amount(_WIDEST),
        cost_limit=Cost(_WIDEST),
        valid_until_height=Height(height + min(VALID_BLOCKS, rules.max_validity_blocks - 1)),
        body=order.body,
    )
    cost = cost_of(len(tx.build(draft, order.seed)), order.cost)
    fee = Amount(0) if order.is_worked else params.least_fee(rules, cost)
    priced = replace(draft, cost_limit=cost, fee=fee)
    return tx.build(priced, order.seed)


@dataclass(frozen=True, slots=True)
class OpenChain:
    """A chain in use; made by `open_chain`."""

    entry: ChainEntry
    rpc: Chain
    reader: ChainReader

    async def sign(self, order: Order, nonce: Nonce | None = None) -> bytes:
        """Return the transaction that carries out order, priced by the rules in force.

        nonce None: the order's, else the account's next one. Raises: as ChainReader.read().
        """
        proved = await self.reader.read(params.KEY)
        rules = params.SHAPE.decode(proved.value) if proved.value else params.DEFAULT
        due = order.nonce if nonce is None else nonce
        if due is None:
            due = await self.next_nonce(order.sender)
        return signed(order, self.entry.chain_id, due, rules, proved.block.height)

    async def submit(self, raw: bytes) -> Submitted:
        """Hand a signed transaction to a node's pool.

        Raises: Refused, NodeUnreachable, RpcRefused.
        """
        submitted = await self.rpc.broadcast_sync(raw)
        if submitted.code != 0:
            raise Refused(submitted.code, submitted.log)
        return submitted

    async def execute(self, order: Order, timeout_s: float = INCLUSION_S) -> Included:
        """Sign, submit, and return once a block has carried the order out.

        Raises: Refused (its fee may be spent), NotIncluded, and as sign() and submit().
        """
        submitted = await self.submit(await self.sign(order))
        included = await self.rpc.wait_for(submitted.tx_hash, timeout_s)
        if included.code != 0:
            raise Refused(included.code, included.log)
        return included

    async def next_nonce(self, account: AccountId) -> Nonce:
        """Return the account's next nonce, proved. Raises: as ChainReader.read().

        Where the node knows a later one, the header that would prove it is waited for.
        """
        key = accounts.key(account)
        proved = _nonce((await self.reader.read(key)).value)
        said = await self.ask("/store", key)
        if _nonce(said.value) > proved:
            proved = _nonce((await self.reader.read(key, at_least=said.height)).value)
        return proved

    async def ask(self, path: str, key: bytes, height: Height = LATEST) -> Queried:
        """Return what the node in use answers, unproved.

        Raises: HeightNotKept, QueryRefused, CodecError, and as Chain.status().
        """
        said = await self.rpc.abci_query(Question(path, key, height))
        if said.code == QueryCode.HEIGHT_UNAVAILABLE:
            raise HeightNotKept(said.log)
        if said.code != 0:
            raise QueryRefused(said.code, said.log)
        return said

    async def page(self, listing: Listing, height: Height = LATEST) -> Page:
        """Return a page of entries as the node in use has it, unproved. Raises: as ask()."""
        found = PAGE.decode((await self.ask("/entries", LISTING.encode(listing), height)).value)
        check_page(listing, found)
        return found


def _nonce(record: bytes | None) -> Nonce:
    return accounts.decode(record).nonce if record else Nonce(0)


@dataclass(frozen=True, slots=True)
class Asking:
    """Whom to ask, and how old their newest header may be."""

    nodes: tuple[str, ...] = ()
    """Addresses in place of the network file's; those stay witnesses."""
    max_age_s: int = MAX_AGE_S
    """Seconds; 0 for any age."""


USUAL: Final = Asking()


@asynccontextmanager
async def open_chain(
    entry: ChainEntry, store: TrustStore, clock: Clock, asking: Asking = USUAL
) -> AsyncGenerator[OpenChain]:
    """Give the chain that a network file describes; headers verified are kept in store.

    Each is compared with those that the network file's other nodes have.
    """
    trust = Trust(entry.root, entry.trusting_period_s, max_age_s=asking.max_age_s)
    async with rpc.connect(entry.rpc) as everyone:
        client = everyone.only(asking.nodes) if asking.nodes else everyone
        reader = ChainReader(client, trust, clock, store, everyone.each())
        yield OpenChain(entry, client, reader)
