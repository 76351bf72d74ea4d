"""One chain as its user sees it: what it reads is never older than what it has written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import trio

from abci_chat.state.work import TooLittleWork, UnknownAnchor
from dchat.kernel import accounts
from dchat.kernel.accounts import Account
from dchat.kernel.errors import NonceMismatch
from dchat.kernel.family import Family
from dchat.kernel.ids import AccountId, ChainId, Height, Nonce
from dchat.kernel.light import TrustedBlock
from dchat.node.chain import OpenChain, Order, Refused, order_of
from dchat.node.identity import Identity
from dchat.node.reader import VerifiedValue
from dchat.node.rpc import Included

MAX_ATTEMPTS: Final = 3
"""Tries where another process of the same identity keeps taking the nonce, or others work as well.
"""
_ANEW: Final = frozenset({NonceMismatch.code, TooLittleWork.code, UnknownAnchor.code})
"""Refusals that another try may get past: nothing was charged."""

Fields = TypeVar("Fields")


@dataclass(frozen=True, slots=True)
class Holding:
    """What an account holds, and the header that proves it."""

    account: Account
    block: TrustedBlock


class Ledger:
    """Reads and writes one chain for one identity."""

    def __init__(self, chain: OpenChain, identity: Identity) -> None:
        self._chain = chain
        self._identity = identity
        self._settled = Height(0)
        self._turn = trio.Lock()

    @property
    def chain_id(self) -> ChainId:
        """Return the chain's name, which signatures and commitments are bound to."""
        return self._chain.entry.chain_id

    async def read(self, key: bytes) -> VerifiedValue:
        """Return the proved value at a state key, after our own last transaction.

        Raises: as ChainReader.read().
        """
        return await self._chain.reader.read(key, at_least=self._settled)

    async def read_at(self, block: TrustedBlock, key: bytes) -> VerifiedValue:
        """Return the proved value at a state key under one header. Raises: as read()."""
        return await self._chain.reader.read_at(block, key)

    async def holding(self, owner: AccountId) -> Holding:
        """Return an account with its proof, an empty one where the chain proves it has none.

        Raises: as read().
        """
        found = await self.read(accounts.key(owner))
        record = accounts.EMPTY if found.value is None else accounts.decode(found.value)
        return Holding(record, found.block)

    async def submit(self, family: Family[Fields], fields: Fields) -> Included:
        """Return once a block has carried the transaction out.

        Raises: as OpenChain.execute().
        """
        order = order_of(self._identity, family, fields)
        async with self._turn:
            included = await self._execute(order, MAX_ATTEMPTS)
            self._settled = included.height
        return included

    async def submit_worked(
        self, family: Family[Fields], work_for: Callable[[Nonce], Awaitable[Fields]]
    ) -> Included:
        """Return once a block has carried out an order that work, bound to its nonce, pays for.

        It is worked for anew where that was too little in the end. Raises: as submit(), work_for().
        """
        async with self._turn:
            for _ in range(MAX_ATTEMPTS - 1):
                try:
                    return await self._work_once(family, work_for)
                except Refused as refused:
                    if refused.code not in _ANEW:
                        raise
            return await self._work_once(family, work_for)

    async def _work_once(
        self, family: Family[Fields], work_for: Callable[[Nonce], Awaitable[Fields]]
    ) -> Included:
        await self.holding(self._identity.account_id)  # once a header proves what we did last
        nonce = await self._chain.next_nonce(self._identity.account_id)
        order = order_of(self._identity, family, await work_for(nonce))
        included = await self._chain.execute(replace(order, is_worked=True, nonce=nonce))
        self._settled = included.height
        return included

    async def _execute(self, order: Order, attempts: int) -> Included:
        try:
            return await self._chain.execute(order)
        except Refused as refused:
            # It may have been refused in a block, which took its fee: read nothing older than that
            self._settled = (await self._chain.rpc.status()).height
            if refused.code != NonceMismatch.code or attempts <= 1:
                raise
        return await self._execute(order, attempts - 1)
