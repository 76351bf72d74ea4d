"""Decisions: what this chain's votes order on the currency chain, in the order of their numbers.

    ("decision", number)    [kind, proposal, content, decided_at]    from number 1 on, without gaps
    ("decision_count",)     how many there are

The bridge carries them over by presence proof, one after the other; none is ever changed or taken
back. What it carries is an order that was checked against the bounds which genesis wrote here
(`state/foreign.py`), and no more. The currency chain still decides whether it can be carried out:

- Before it puts other parameters in force it must accrue rewards by the old ones
  (`abci_currency.state.rewards.accrue`), or time that has passed would be paid at the new rate.
- The sections must fit together as they will be (`abci_currency.params.check_together`), with what
  earlier decisions changed: only that chain knows its present values.
- A spend takes no more than the treasury has, and pays no account of the chain's own rules.

Where it cannot be carried out, the currency chain records that, and goes on with the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat import keys
from abci_chat.state.proposals import MAX_CONTENT_BYTES, Kind
from dchat.kernel import codec
from dchat.kernel.ids import Height
from dchat.kernel.store import Draft, State, read


@dataclass(frozen=True, slots=True)
class Decision:
    """What a vote has ordered on the currency chain."""

    kind: Kind
    """PARAMS or SPEND."""
    proposal: int
    content: bytes
    """As in the proposal."""
    decided_at: Height


DECISION: Final = codec.Record(
    Decision,
    kind=codec.Choice(Kind),
    proposal=codec.U64,
    content=codec.Blob(MAX_CONTENT_BYTES),
    decided_at=codec.U64,
)


def count(state: State) -> int:
    """Return how many decisions there are, which is the number of the last."""
    found = state.get(keys.DECISION_COUNT)
    return 0 if found is None else codec.U64.decode_own(found)


def load(state: State, number: int) -> Decision | None:
    """Return the decision of that number, None where there is none."""
    return read(state, keys.decision(number), DECISION)


def add(draft: Draft, record: Decision) -> int:
    """Write a decision behind those that there are, and return its number."""
    number = count(draft) + 1
    draft.put(keys.DECISION_COUNT, codec.U64.encode(number))
    draft.put(keys.decision(number), DECISION.encode(record))
    return number
