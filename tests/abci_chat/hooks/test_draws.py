from __future__ import annotations

import pytest

from abci_chat import keys
from abci_chat.hooks import draws
from abci_chat.hooks.draws import SeedDrawn
from abci_chat.machine import MACHINE
from abci_chat.state import beacon
from dchat.kernel import codec
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.store import Draft
from tests.fakes.draws import ANNA, BERT, PREIMAGES, Lottery, preimage, seed
from tests.fakes.memory import at_height, run


def test_every_seed_is_told_by_its_window_and_entry() -> None:
    chain = Lottery()
    chain.block(ANNA, ask=(7,))

    last = chain.blocks(*[BERT] * PREIMAGES)[-1]

    revealed = [(BERT, preimage(BERT, used)) for used in range(PREIMAGES)]
    assert SeedDrawn(1, keys.case(7), seed(1, 7, revealed)) in last.events


def test_seeds_are_handed_over_before_the_blocks_transactions() -> None:
    """Its proposer knows them, and could decide by them what comes before."""
    first = MACHINE.begin_block[0]

    assert first is draws.hand_over


def test_where_nobody_waits_nothing_is_written() -> None:
    assert run(MACHINE, Lottery().state).writes == {}


@pytest.mark.parametrize("entry", [codec.pack(("stranger", 1)), codec.pack(("handle", 1))])
def test_a_seed_for_what_nobody_draws_stops_the_node(entry: bytes) -> None:
    chain = Lottery(preimages=1)
    draft = Draft(chain.state)
    beacon.request(draft, entry, at_height(1).height)
    chain.state, chain.height = chain.state.after(draft.writes()), 1

    with pytest.raises(InvariantBroken, match="wait for none"):
        chain.block(ANNA)
