from __future__ import annotations

from abci_chat import keys
from abci_chat.state import decisions
from abci_chat.state.decisions import Decision
from abci_chat.state.proposals import Kind
from dchat.kernel import codec
from dchat.kernel.ids import Height
from dchat.kernel.store import Draft
from tests.fakes.memory import MemoryState

FIRST = Decision(Kind.SPEND, 3, b"to somebody", Height(9))
SECOND = Decision(Kind.PARAMS, 4, b"a number", Height(9))


def test_there_are_none_at_first() -> None:
    draft = Draft(MemoryState())

    assert (decisions.count(draft), decisions.load(draft, 1)) == (0, None)


def test_decisions_are_numbered_from_one_on_without_gaps() -> None:
    draft = Draft(MemoryState())

    numbers = [decisions.add(draft, each) for each in (FIRST, SECOND)]

    assert (numbers, decisions.count(draft)) == ([1, 2], 2)
    assert [decisions.load(draft, number) for number in numbers] == [FIRST, SECOND]


def test_a_decision_stands_where_the_bridge_looks_for_it() -> None:
    draft = Draft(MemoryState())
    decisions.add(draft, FIRST)

    assert codec.unpack(keys.decision(1)) == ["decision", 1]
    assert codec.unpack(draft.get(keys.decision(1)) or b"") == [4, 3, b"to somebody", 9]
