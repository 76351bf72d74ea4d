from __future__ import annotations

from abci_chat.params import VOTED
from abci_chat.state import foreign
from abci_chat.state.foreign import Bound, ForeignSection
from abci_currency import params
from dchat.kernel.store import Draft
from genesis.build import currency_bounds
from tests.fakes.memory import MemoryState


def test_bounds_are_found_by_section_and_name() -> None:
    draft = Draft(MemoryState())

    foreign.begin(draft, (ForeignSection("a", (Bound("x", 1, 2), Bound("y", 0, 0))),))

    assert foreign.bounds(draft, "a") == {"x": (1, 2), "y": (0, 0)}


def test_a_section_that_genesis_did_not_name_has_none() -> None:
    assert foreign.bounds(MemoryState(), "a") is None


def test_a_network_knows_all_bounds_of_its_currency_chain_but_one() -> None:
    draft, slashing = Draft(MemoryState()), dict(params.SLASHING.bounds)
    del slashing["evidence_max_age_ms"]

    foreign.check(currency_bounds())
    foreign.begin(draft, currency_bounds())

    assert foreign.bounds(draft, "staking") == params.STAKING.bounds
    assert foreign.bounds(draft, "rewards") == params.REWARDS.bounds
    assert foreign.bounds(draft, "relays") == params.RELAYS.bounds
    assert foreign.bounds(draft, "slashing") == slashing
    assert foreign.bounds(draft, "kernel") == VOTED["kernel"].bounds
