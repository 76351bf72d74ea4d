"""Audits: what must hold of every state between two blocks, found by walking all of it.

For tests, and for whoever doubts a state. No rule calls it: each keeps its own part true.
"""

from __future__ import annotations

from abci_chat import keys
from abci_chat.state import cases, channels, execution, jury, pools, reputation, weights
from dchat.kernel import supply
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.store import State


def check_invariants(state: State) -> None:
    """Return if every credit is where the records say. Walks everything.

    Raises: InvariantBroken.
    """
    supply.check_invariant(state)
    supply.report(state, pools.NAMES)
    channels.check_deposits(state)
    execution.check_invariant(state)
    weights.check_invariant(state)
    jury.check_invariant(state)
    cases.check_invariant(state)
    check_reputation(state)


def check_reputation(state: State) -> None:
    """Return if every record of deeds is in order and counts something. Raises: InvariantBroken."""
    for key, found in state.scan(keys.REPUTATIONS):
        marks = reputation.RECORD.decode(found).marks
        places = [(each.deed, each.since) for each in marks]
        if places != sorted(set(places)) or not all(each.thousandths for each in marks):
            raise InvariantBroken(f"deeds under {key.hex()} are not in order")
