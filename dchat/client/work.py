"""Work that the chat chain takes in place of a fee: how much, for what, and the search for it.

The search runs in a thread, a few hundred milliseconds at a time, so that it ends soon after nobody
wants it any more.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import trio

from abci_chat import keys
from abci_chat.params import WORK
from abci_chat.state import work
from abci_chat.state.work import Bucket, Proof
from dchat.client.ledger import Ledger
from dchat.kernel.ids import AccountId, ChainId, Height, Nonce

_SALT_BYTES: Final = 8
_STRETCH: Final = 1 << 17
"""Hashes between two looks whether anybody still waits."""
_BLOCKS_AHEAD: Final = 2
_HEADROOM: Final = 2
"""We work for so many times what it takes: others use it up while we search."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the chain asks for, as it proves it."""

    chain_id: ChainId
    anchor: bytes
    need: int
    """Hashes, as an expectation."""


async def terms(ledger: Ledger) -> Terms:
    """Return what work takes now. Raises: as Ledger.read()."""
    kept = await ledger.read(keys.WORK)
    rules = await ledger.read(WORK.key)
    bucket = work.BUCKET.decode(kept.value) if kept.value else Bucket()
    in_force = WORK.shape.decode(rules.value) if rules.value else WORK.default
    height = Height(kept.block.height + _BLOCKS_AHEAD)
    need = work.takes(in_force, bucket, height) * _HEADROOM
    return Terms(ledger.chain_id, work.anchors(bucket, ledger.chain_id)[0], need)


async def in_place_of_fee(ledger: Ledger, account: AccountId, body: bytes) -> tuple[Nonce, Proof]:
    """Return the account's next nonce, and work for an order under it.

    body: the order, encoded without work. Raises: as Ledger.read().
    """
    nonce = (await ledger.holding(account)).account.nonce
    return nonce, await prove(await terms(ledger), account, nonce, body)


async def prove(asked: Terms, account: AccountId, nonce: Nonce, body: bytes) -> Proof:
    """Return work for an order, encoded without any; it takes a second or more."""
    bound_to = work.statement(asked.chain_id, account, nonce, asked.anchor)
    problem = work.task(bound_to, body)
    at = secrets.randbits(48)
    while True:
        salt = await trio.to_thread.run_sync(search, problem, asked.need, at)
        if salt is not None:
            return Proof(asked.anchor, salt)
        at += _STRETCH


def search(problem: bytes, need: int, at: int) -> bytes | None:
    """Return a salt that is worth so many hashes, None if there is none in this stretch."""
    most = ((1 << 256) // max(need, 2)).to_bytes(32, "big")
    for number in range(at, at + _STRETCH):
        salt = number.to_bytes(_SALT_BYTES, "big")
        if sha256(problem + salt).digest() < most:
            return salt
    return None
