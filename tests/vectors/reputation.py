"""What paying on the chat chain counts and costs: Alice is trusted, Bob known, Carol a stranger."""

from __future__ import annotations

from typing import Final

from abci_chat.machine import MACHINE
from abci_chat.state import identities, reputation
from abci_chat.state.identities import Identity
from abci_chat.state.reputation import Deed
from abci_chat.txs import identity
from dchat.kernel.ids import Amount, Cost, Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, MemoryState, Person, opened, signed

LIMIT: Final = Cost(500)
"""Its least fee is as many credits."""
BODY: Final = identity.UPDATE_PREKEYS.body(identity.UpdatePrekeys(bytes([7]) * 32))


def start() -> MemoryState:
    """Return the state in which the first order is carried out."""
    begun = opened(MACHINE, alice=100_000, bob=100_000, carol=100_000)
    draft = Draft(begun)
    for who in (ALICE, BOB):
        record = Identity("", who.public_key, who.public_key, (), bytes(32), Height(0))
        identities.save(draft, who.id, record)
    reputation.add(draft, ALICE.id, Deed.REPORT_UPHELD, 1000, Height(0))
    return begun.after(draft.writes())


def orders() -> list[bytes]:
    """Return signed orders, some of which are refused."""
    return [
        _paying(ALICE, 400, 0),
        _paying(ALICE, 399, 1),
        _paying(BOB, 400, 0),
        _paying(BOB, 500, 0),
        _paying(BOB, 1250, 1),
        _paying(CAROL, 500, 0),
    ]


def _paying(who: Person, fee: int, nonce: int) -> bytes:
    return signed(who, BODY, nonce, fee=Amount(fee), cost_limit=LIMIT)
