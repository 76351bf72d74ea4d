"""What the vectors of multi-transfers, rotations and locked tokens begin with, and what is sent."""

from __future__ import annotations

from dataclasses import replace

from abci_chat.txs import rotate_key as chat
from abci_chat.txs.identity import REGISTER, RegisterIdentity
from abci_currency.machine import MACHINE
from abci_currency.state import pools, vesting
from abci_currency.state.vesting import Vesting
from abci_currency.txs import rotate_key as currency
from abci_currency.txs.multi_transfer import FAMILY as MULTI
from abci_currency.txs.transfer import FAMILY as TRANSFER
from abci_currency.txs.transfer import Transfer
from abci_currency.txs.vesting import CLAIM, DELEGATE, ClaimVested, DelegateVested
from dchat.kernel import codec, signing, tx
from dchat.kernel.ids import Amount, EpochMs
from dchat.kernel.rotation import prove
from dchat.kernel.store import Draft
from tests.fakes.memory import (
    ALICE,
    BOB,
    CAROL,
    CHAIN,
    FOUNDER,
    MemoryState,
    at_height,
    envelope,
    opened,
    signed,
)

NEXT = b"n" * 32
"""The seed of alice's second key."""
NOW = at_height(0).block_time_ms
PEER = "12D3KooWGRUvh9kLTZ5ekLEo3yTVmNdsjKLNJGJ6ZT2kFuLxXy9B"
HOME = (f"/ip4/192.0.2.1/tcp/7070/p2p/{PEER}",)


def start() -> MemoryState:
    """Return a state in which half of alice's lock has vested, and nothing of bob's."""
    state = opened(MACHINE, alice=100_000, bob=100_000, carol=10_000)
    begins, ends, later = EpochMs(NOW - 1000), EpochMs(NOW + 1000), EpochMs(NOW + 10**9)
    locks = [
        (ALICE.id, Vesting(Amount(10**6), True, begins, begins, ends)),
        (BOB.id, Vesting(Amount(10**6), False, begins, later, later)),
    ]
    draft = Draft(state)
    vesting.begin(draft, locks)
    return state.after(draft.writes())


def orders() -> list[bytes]:
    """Return what is sent, one a block, refusals among it."""
    return [
        signed(ALICE, _pay((BOB.id, 4), (CAROL.id, 6), (BOB.id, 1)), 0),
        signed(ALICE, _pay(), 1),
        signed(ALICE, _pay((BOB.id, 0)), 2),
        signed(ALICE, _pay((pools.STAKED, 1)), 3),
        signed(ALICE, _pay((BOB.id, 2**64 - 1), (CAROL.id, 1)), 4),
        signed(ALICE, _pay((BOB.id, 2**63)), 5),
        signed(ALICE, _pay((BOB.id, 1)), 6, cost_limit=90),
        signed(ALICE, CLAIM.body(ClaimVested()), 7),
        signed(ALICE, DELEGATE.body(DelegateVested(FOUNDER.id, Amount(300_000))), 8),
        signed(ALICE, DELEGATE.body(DelegateVested(FOUNDER.id, Amount(300_000))), 9),
        signed(BOB, CLAIM.body(ClaimVested()), 0),
        signed(BOB, DELEGATE.body(DelegateVested(FOUNDER.id, Amount(10**6))), 1),
        signed(CAROL, CLAIM.body(ClaimVested()), 0),
        signed(ALICE, currency.FAMILY.body(prove(NEXT, CHAIN, ALICE.id, 2)), 10),
        signed(ALICE, currency.FAMILY.body(prove(ALICE.seed, CHAIN, ALICE.id, 1)), 11),
        signed(ALICE, currency.FAMILY.body(prove(NEXT, CHAIN, ALICE.id, 1)), 12),
        signed(ALICE, TRANSFER.body(Transfer(BOB.id, Amount(1))), 13),
        _by_next(TRANSFER.body(Transfer(BOB.id, Amount(1))), 13),
    ]


def chat_orders() -> list[bytes]:
    """Return what is sent on the chat chain: an identity follows its account's key."""
    form = RegisterIdentity("", b"", signing.public_key(b"i" * 32), HOME, b"h" * 32)
    return [
        signed(ALICE, REGISTER.body(form), 0),
        signed(ALICE, chat.FAMILY.body(prove(NEXT, CHAIN, ALICE.id, 1)), 1),
        _by_next(chat.FAMILY.body(prove(ALICE.seed, CHAIN, ALICE.id, 2)), 2),
        signed(BOB, chat.FAMILY.body(prove(NEXT, CHAIN, BOB.id, 1)), 0),
    ]


def _pay(*outputs: tuple[bytes, int]) -> tuple[codec.Raw, ...]:
    return (MULTI.type, [[to, amount] for to, amount in outputs], "wages")


def _by_next(body: tuple[codec.Raw, ...], nonce: int) -> bytes:
    draft = envelope(ALICE, body, nonce)
    return tx.build(replace(draft, public_key=signing.public_key(NEXT)), NEXT)
