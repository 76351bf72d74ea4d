"""One account that keeps a chain busy, whatever happens to the chain."""

from __future__ import annotations

import threading
from base64 import b64decode
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from abci_chat.txs import identity
from abci_currency.txs import transfer
from dchat.kernel import accounts, codec, genesis, params, tx
from dchat.kernel.ids import Amount, ChainId, Cost, Height
from tests.e2e.solo import Solo
from tests.fakes.memory import ALICE, BOB, envelope
from tests.fakes.orders import registration

COST = 400
PAUSE_S = 0.02
# Enough for any test's fees.
RICH = Amount(10**12)
Body = tuple[codec.Raw, ...]


def rich_genesis() -> bytes:
    """A genesis in which alice can pay for as long as a test runs."""
    return genesis.SHAPE.encode(
        genesis.Genesis(params.DEFAULT, (genesis.Allocation(ALICE.id, RICH),))
    )


def payment(_nonce: int) -> Body:
    """One base unit to bob."""
    return transfer.FAMILY.body(transfer.Transfer(BOB.id, Amount(1)))


def post(nonce: int) -> Body:
    """A registration at first, then new prekeys again and again."""
    prekeys = nonce.to_bytes(32, "big")
    if nonce:
        return identity.UPDATE_PREKEYS.body(identity.UpdatePrekeys(prekeys))
    return registration(ALICE, prekey_hash=prekeys)


ORDERS: Mapping[str, Callable[[int], Body]] = {"currency": payment, "chat": post}


@dataclass
class Load:
    """Alice's orders, one after the other; what an outage swallowed is signed again."""

    solo: Solo
    order: Callable[[int], Body]
    over: threading.Event = field(default_factory=threading.Event)
    accepted: int = 0

    def run(self) -> None:
        """An order that did not get in may be one that did: what is committed decides."""
        nonce = None
        while not self.over.is_set():
            try:
                nonce = self.committed_nonce() if nonce is None else nonce
                accepted = self.solo.submit(self.signed(nonce))["code"] == 0
            except (OSError, ValueError):
                nonce = None
                self.over.wait(PAUSE_S)
                continue
            self.accepted += accepted
            nonce = nonce + 1 if accepted else None

    def committed_nonce(self) -> int:
        """Alice's next nonce; 0 before genesis."""
        value = b64decode(self.solo.query("/store", accounts.key(ALICE.id))["value"] or "")
        return accounts.decode(value).nonce if value else 0

    def signed(self, nonce: int) -> bytes:
        cheap = replace(
            envelope(ALICE, self.order(nonce), nonce),
            chain_id=ChainId(self.solo.chain_id),
            fee=Amount(COST),
            cost_limit=Cost(COST),
            valid_until_height=Height(9_000),
        )
        return tx.build(cheap, ALICE.seed)


@contextmanager
def load(solo: Solo, chain: str) -> Generator[Load]:
    """Keep the chain busy within the block."""
    running = Load(solo, ORDERS[chain])
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        yield running
    finally:
        running.over.set()
        thread.join()
