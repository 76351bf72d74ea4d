"""One chain as its user sees it: proved reads, and transactions that carry the right nonce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

import trio

from dchat.kernel import accounts, params, tx
from dchat.kernel.accounts import Account
from dchat.kernel.errors import REFUSALS, NonceMismatch, OperatorError
from dchat.kernel.ids import AccountId, Amount, Cost, Height, Nonce, TxHash
from dchat.kernel.light import TrustedBlock
from dchat.kernel.machine import Family, cost_of
from dchat.kernel.tx import Envelope
from dchat.node.identity import Identity
from dchat.node.network import ChainEntry
from dchat.node.reader import ChainReader, VerifiedValue
from dchat.node.rpc import Chain

VALIDITY_BLOCKS: Final = 600
INCLUSION_TIMEOUT_S: Final = 60.0
MAX_ATTEMPTS: Final = 3
_ROOM: Final = 2**40
"""Stands in for a fee or cost while a transaction is measured: no real one takes more bytes."""

Fields = TypeVar("Fields")


class TransactionRefused(OperatorError):
    """The chain refused a transaction. Attribute: code -- see kernel.errors.REFUSALS."""

    def __init__(self, chain: str, code: int, reason: str) -> None:
        known = REFUSALS.get(code)
        name = known.name if known else f"code {code}"
        super().__init__(f"{chain} refused it: {name}: {reason}", known.hint if known else "")
        self.code = code


@dataclass(frozen=True, slots=True)
class Settled:
    """A transaction in a block; a header verified after it proves that its nonce was used."""

    tx_hash: TxHash
    height: Height
    fee: Amount


@dataclass(frozen=True, slots=True)
class Holding:
    """What an account holds, and the header that proves it."""

    account: Account
    block: TrustedBlock


class Ledger:
    """Reads and writes one chain for one identity."""

    def __init__(
        self, entry: ChainEntry, chain: Chain, reader: ChainReader, identity: Identity
    ) -> None:
        self.chain_id = entry.chain_id
        self._chain = chain
        self._reader = reader
        self._identity = identity
        self._settled = Height(0)
        self._turn = trio.Lock()

    async def read(self, key: bytes) -> VerifiedValue:
        """Return the proved value at a state key, never older than our own last transaction.

        Raises: OperatorError.
        """
        return await self._reader.read(key, at_least=self._settled)

    async def read_at(self, block: TrustedBlock, key: bytes) -> VerifiedValue:
        """Return the proved value at a state key under one header. Raises: OperatorError."""
        return await self._reader.read_at(block, key)

    async def holding(self, owner: AccountId) -> Holding:
        """Return an account with its proof, an empty one where the chain proves it has none.

        Raises: OperatorError.
        """
        found = await self.read(accounts.key(owner))
        return Holding(_account(found), found.block)

    async def submit(self, family: Family[Fields], fields: Fields) -> Settled:
        """Return once the transaction is in a block and did what it says.

        Raises: TransactionRefused, OperatorError.
        """
        async with self._turn:
            for _ in range(MAX_ATTEMPTS - 1):
                try:
                    return await self._submit(family, fields)
                except TransactionRefused as refused:
                    # Another process of the same identity was faster
                    if refused.code != NonceMismatch.code:
                        raise
            return await self._submit(family, fields)

    async def _submit(self, family: Family[Fields], fields: Fields) -> Settled:
        envelope = await self._envelope(family, fields)
        raw = tx.build(envelope, self._identity.child("account"))
        submitted = await self._chain.broadcast_sync(raw)
        self._check(submitted.code, submitted.log)
        included = await self._chain.wait_for(submitted.tx_hash, INCLUSION_TIMEOUT_S)
        self._settled = included.height
        self._check(included.code, included.log)
        return Settled(submitted.tx_hash, included.height, envelope.fee)

    def _check(self, code: int, reason: str) -> None:
        if code:
            raise TransactionRefused(self.chain_id, code, reason)

    async def _envelope(self, family: Family[Fields], fields: Fields) -> Envelope:
        owner = self._identity.account_id
        found = await self.read(accounts.key(owner))
        rules = await self.read_at(found.block, params.KEY)
        prices = params.DEFAULT if rules.value is None else params.SHAPE.decode(rules.value)

        def priced(cost: int, fee: int) -> Envelope:
            return Envelope(
                chain_id=self.chain_id,
                sender=owner,
                public_key=self._identity.public_key,
                nonce=Nonce(_account(found).nonce),
                fee=Amount(fee),
                cost_limit=Cost(cost),
                valid_until_height=Height(found.block.height + VALIDITY_BLOCKS),
                body=family.body(fields),
            )

        measured = tx.build(priced(_ROOM, _ROOM), bytes(32))
        cost = cost_of(len(measured), family.cost)
        return priced(cost, params.least_fee(prices, cost))


def _account(found: VerifiedValue) -> Account:
    return accounts.EMPTY if found.value is None else accounts.decode(found.value)
