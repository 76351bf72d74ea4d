from __future__ import annotations

from dataclasses import replace

import pytest

from abci_chat import keys
from abci_chat.hooks import maturing
from abci_chat.hooks.maturing import MOST_A_BLOCK
from abci_chat.state import cases, proposals
from abci_chat.state.cases import CASE, Case, Phase, Reason
from abci_chat.state.proposals import Status
from abci_chat.state.targets import Kind, Target
from dchat.kernel import codec, due
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.machine import BlockContext
from tests.fakes.memory import ALICE, BOB, CHAIN
from tests.fakes.voting import ENDS_AT, Assembly, opened


def crowded() -> Assembly:
    """A chain on which one more vote ends at one time than a block ends."""
    chain = opened(deposit=0)
    draft = chain.draft()
    record = chain.found()
    numbers = [proposals.add(draft, record) for _ in range(MOST_A_BLOCK)]
    [due.put(draft, ENDS_AT, codec.pack(("proposal", number))) for number in numbers]
    chain.keep(draft)
    return chain


def open_votes(chain: Assembly) -> int:
    numbers = range(1, proposals.opening(chain.state).count + 1)
    return sum(chain.status(number) is Status.OPEN for number in numbers)


def test_a_block_ends_no_more_than_its_bound() -> None:
    chain = crowded()

    told = chain.reach(ENDS_AT)

    assert (len(told), open_votes(chain)) == (MOST_A_BLOCK, 1)


def test_the_rest_ends_with_the_next_block() -> None:
    chain = crowded()
    chain.reach(ENDS_AT)

    told = chain.block()

    assert (len(told), open_votes(chain)) == (1, 0)


def crowd_of_juries(chain: Assembly, jurors: int, count: int) -> None:
    """Let so many cases be over at one time, each judged by as many."""
    draft = chain.draft()
    jury = tuple([AccountId(bytes([at]) * 32) for at in range(jurors)])
    target = Target(Kind.ACCOUNT, ALICE.id)
    over = Case(
        ALICE.id, target, BOB.id, Reason.SPAM, bytes(32), Amount(0), Height(1), Phase.DECIDED
    )
    record = CASE.encode(replace(over, ends_at=ENDS_AT, jurors=jury))
    draft.put(keys.CASE_COUNT, codec.U64.encode(count))
    [draft.put(keys.case(number), record) for number in range(1, count + 1)]
    [due.put(draft, ENDS_AT, keys.case(number)) for number in range(1, count + 1)]
    chain.keep(draft)


def test_a_block_ends_fewer_cases_where_juries_are_large() -> None:
    chain = Assembly()
    crowd_of_juries(chain, cases.MAX_JURORS, 20)

    told = [len(chain.reach(ENDS_AT)), len(chain.block()), len(chain.block())]

    assert told == [7, 7, 6]


def test_where_nothing_is_due_nothing_is_written() -> None:
    chain = opened()
    draft = chain.draft()

    maturing.mature(draft, BlockContext(CHAIN, chain.height, chain.now))

    assert draft.writes() == {}


def test_what_nobody_ends_stops_the_chain_rather_than_being_lost() -> None:
    chain = Assembly()
    draft = chain.draft()
    due.put(draft, chain.now, codec.pack(("odd", 1)))

    with pytest.raises(InvariantBroken):
        maturing.mature(draft, BlockContext(CHAIN, chain.height, EpochMs(chain.now + 1)))
