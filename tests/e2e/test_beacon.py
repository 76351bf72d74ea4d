"""Draws on a real network: everybody reveals, one does not, one restarts, one replays."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from abci_chat import keys
from abci_chat.state import beacon
from abci_chat.state.beacon import Phase
from tests.e2e import lots
from tests.e2e.lots import CHAIN, LENGTH, PREIMAGES, Lots

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

WITHHOLDS = 3


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lots, int, int]]:
    """One draw: the last validator has lost its secret, and the second is killed in the window."""
    four = lots.build_four(tmp_path_factory.mktemp("lots"))
    lots.write_secret(four.nodes[WITHHOLDS], b"another secret, of as many bytes")
    try:
        four.start()
        four.register()
        asked = four.report(0)
        four.nodes[1].stop(lots.signal.SIGKILL)
        four.nodes[1].start()
        four.wait_for(lambda: four.draw(0).phase is Phase.IDLE, "seed")
        last = four.nodes[0].height()
        [each.wait_for_height(last) for each in four.nodes]
        yield four, asked, last
    finally:
        four.kill()


def test_the_seed_is_the_same_on_all_and_made_of_what_blocks_show(
    drawn: tuple[Lots, int, int],
) -> None:
    four, asked, last = drawn

    digest = bytes(32)
    for _, proposer, preimage in four.revealed(last):
        digest = beacon.with_preimage(digest, proposer, preimage)

    entry = keys.case(1)
    expected = {entry: (1, beacon.seed_of(CHAIN, 1, digest, entry))}
    assert [four.seeds(at, last) for at in range(4)] == [expected] * 4
    assert {height > asked for height, _, _ in four.revealed(last)} == {True}


def test_nobody_accepts_a_block_of_who_withholds_and_the_chain_goes_on(
    drawn: tuple[Lots, int, int],
) -> None:
    four, asked, last = drawn
    revealed = four.revealed(last)
    over = revealed[-1][0]

    proposers = {proposer for _, proposer, _ in revealed}
    rounds = four.rounds(asked + 1, over)

    assert len(revealed) == PREIMAGES == over - asked
    assert four.address(WITHHOLDS) not in proposers
    assert max(rounds.values()) > 0
    assert "contribution_missed" in (four.nodes[WITHHOLDS].home / "app.log").read_text()


def test_preimages_are_those_to_which_genesis_binds(drawn: tuple[Lots, int, int]) -> None:
    four, _, last = drawn

    shown = [each for _, proposer, each in four.revealed(last) if proposer == four.address(0)]

    chain = [beacon.value(lots.secret(0), CHAIN, 1, LENGTH - used - 1) for used in range(PREIMAGES)]
    assert shown == chain[: len(shown)]


def test_all_agree_on_every_app_hash(drawn: tuple[Lots, int, int]) -> None:
    four, _, last = drawn

    assert [four.app_hashes(at, last) for at in range(1, 4)] == [four.app_hashes(0, last)] * 3


def test_an_application_that_replays_from_genesis_comes_to_the_same_state(
    drawn: tuple[Lots, int, int],
) -> None:
    four, _, last = drawn
    node = four.nodes[2]
    before = four.draw(2)
    node.stop()
    shutil.rmtree(node.home / "state")

    node.start()
    node.wait_for_height(last)

    assert four.draw(2) == before
    assert four.app_hashes(2, last) == four.app_hashes(0, last)


def test_who_has_its_secret_again_proposes_in_the_next_draw(drawn: tuple[Lots, int, int]) -> None:
    four, _, _ = drawn
    node = four.nodes[WITHHOLDS]
    node.stop()
    lots.write_secret(node, lots.secret(WITHHOLDS))
    node.start()

    asked = four.report(1)
    four.wait_for(lambda: four.draw(0).phase is Phase.IDLE, "second seed")

    revealed = [each for each in four.revealed(four.nodes[0].height()) if each[0] > asked]
    assert four.address(WITHHOLDS) in {proposer for _, proposer, _ in revealed}
    assert four.draw(0).window == 2
