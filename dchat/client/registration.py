"""How an identity gets onto the chat chain: with credits, or by work where it must have none.

A burner pays with nothing that anybody bought: credits come from an account that was funded, and so
would tie the burner to whoever funded it. It works for its registration, and this is the only place
that decides so.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from abci_chat.state import handles
from abci_chat.state.work import Proof
from abci_chat.txs import handle as handle_txs
from abci_chat.txs import identity as identity_txs
from abci_chat.txs.handle import ClaimHandle, CommitHandle
from abci_chat.txs.identity import RegisterIdentity
from dchat.client import work
from dchat.client.ledger import Ledger
from dchat.kernel.errors import OperatorError
from dchat.kernel.family import Family
from dchat.kernel.ids import Nonce
from dchat.node.identity import Identity

Fields = TypeVar("Fields")
WithWork = Callable[[Proof], Fields]


class BurnerPays(OperatorError):
    """A burner was to spend what ties it to whoever funded it."""

    hint = (
        "make a new burner, with the handle or relays that it is to have, or use another identity"
    )


class Registrar:
    """Registers one identity and takes handles for it."""

    def __init__(self, chat: Ledger, identity: Identity) -> None:
        self._chat = chat
        self._identity = identity

    async def register(self, form: RegisterIdentity, name: str = "") -> None:
        """Return once the form's identity is registered, under the handle if one is named.

        The handle is committed to first and revealed in a later block.
        Raises: node.chain.Refused, OperatorError.
        """
        if name:
            form = replace(form, handle=name, salt=await self._commit(name))
        await self._submit(
            identity_txs.REGISTER,
            form,
            identity_txs.registering(form),
            lambda proof: replace(form, work=proof),
        )

    async def promise(self, name: str) -> bytes:
        """Return the salt that reveals the name, which the identity is to claim with credits.

        Raises: BurnerPays, node.chain.Refused, OperatorError.
        """
        self.check_pays()
        return await self._commit(name)

    def check_pays(self) -> None:
        """Return if the identity may spend credits. Raises: BurnerPays."""
        if self._identity.kind == "burner":
            raise BurnerPays("a burner's entry stays as it was registered: it spends no credits")

    async def claim(self, name: str) -> None:
        """Return once the identity, which had none, has the handle. Raises: as promise()."""
        salt = await self.promise(name)
        await self._chat.submit(handle_txs.CLAIM, ClaimHandle(name, salt))

    async def _commit(self, name: str) -> bytes:
        """Return the salt that reveals the name, once a block has the commitment."""
        salt = secrets.token_bytes(handles.SALT_BYTES)
        owner = self._identity.account_id
        order = CommitHandle(handles.commitment(self._chat.chain_id, owner, name, salt))
        await self._submit(
            handle_txs.COMMIT,
            order,
            handle_txs.committing(order),
            lambda proof: replace(order, work=proof),
        )
        return salt

    async def _submit(
        self, family: Family[Fields], order: Fields, body: bytes, with_work: WithWork[Fields]
    ) -> None:
        if self._identity.kind != "burner":
            await self._chat.submit(family, order)
            return

        async def work_for(nonce: Nonce) -> Fields:
            asked = await work.terms(self._chat)
            return with_work(await work.prove(asked, self._identity.account_id, nonce, body))

        await self._chat.submit_worked(family, work_for)
