"""What is sent for the golden vectors of randomness, and a draw from first block to seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from abci_chat.state.beacon import MAX_LENGTH
from abci_chat.txs.beacon import FAMILY, CommitBeacon
from tests.fakes.draws import ADDRESSES, ANNA, BERT, CLEO, DIRK, LENGTH, Lottery, head
from tests.fakes.memory import ALICE, BOB, MemoryState, Person, signed

SECOND = CommitBeacon(ADDRESSES[ANNA], head(ANNA, 2), LENGTH, 2)
TURNS = (DIRK, ANNA, DIRK, BERT, CLEO, ANNA)
"""Who proposes; in the first block two cases ask for seeds."""

Case = dict[str, object]


def start() -> MemoryState:
    """Return a chain whose validators are bound to chains, all but one."""
    return Lottery().state


def orders() -> list[bytes]:
    """Return one that binds alice's validator, and what is refused with each code."""
    return [
        _order(SECOND, ALICE, 0),
        _order(SECOND, ALICE, 1),
        _order(replace(SECOND, number=3, length=MAX_LENGTH + 1), ALICE, 2),
        _order(replace(SECOND, validator=bytes(20)), ALICE, 3),
        _order(replace(SECOND, number=3), BOB, 0),
        _order(replace(SECOND, number=3, head=head(ANNA, 3)), ALICE, 4),
    ]


def _order(tx: CommitBeacon, who: Person, nonce: int) -> bytes:
    return signed(who, FAMILY.body(tx), nonce)


def draw_cases() -> list[Case]:
    """Return the blocks of a draw, one case each."""
    chain, cases = Lottery(), list[Case]()
    for at, who in enumerate(TURNS):
        before = chain.state
        made = chain.block(who, ask=() if at else (1, 2))
        cases.append(
            {
                "pre": _hex(before.entries),
                "height": chain.height,
                "proposer": ADDRESSES[who].hex(),
                "asked": [] if at else [1, 2],
                "contribution": made.contributed.hex(),
                "seeds": _hex(made.seeds),
                "post": _hex(made.result.writes),
            }
        )
    return cases


def _hex(entries: Mapping[bytes, bytes | None]) -> dict[str, str | None]:
    return {
        key.hex(): None if value is None else value.hex() for key, value in sorted(entries.items())
    }
