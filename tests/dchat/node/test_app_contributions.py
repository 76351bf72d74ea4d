from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from dchat.kernel import bundle, codec, contribution, errors
from dchat.kernel.ids import Amount
from dchat.kernel.proposal import size_in_block
from dchat.node.app import Node
from dchat.node.storage import Storage
from tests.fakes.consensus import PROPOSER, Consensus
from tests.fakes.duty import DUTY, OWED
from tests.fakes.memory import ALICE, BOB, signed

PAY = signed(ALICE, transfer.FAMILY.body(transfer.Transfer(BOB.id, Amount(5))))
BUSY = replace(MACHINE, duty=DUTY)
RIGHT = contribution.build(OWED + PROPOSER)
MAY_BE_RIGHT = st.sampled_from(
    [RIGHT, contribution.build(b"odd"), bundle.build([RIGHT]), RIGHT + b"1", PAY, b"junk"]
)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with closing(Storage.open(tmp_path / "state")) as opened:
        yield opened


@pytest.fixture
def busy(storage: Storage) -> Consensus:
    """A chain at height 0 on which every proposer owes something."""
    consensus = Consensus(Node(BUSY, storage, OWED))
    consensus.init()
    return consensus


def test_a_proposer_that_owes_something_puts_it_first(busy: Consensus) -> None:
    assert busy.prepare(PAY) == [RIGHT, PAY]
    assert busy.accepts(RIGHT, PAY)
    assert [each.code for each in busy.block(RIGHT, PAY).tx_results] == [0, 0]


def test_a_contribution_is_told_as_an_event_and_uses_no_gas(busy: Consensus) -> None:
    result = busy.block(RIGHT).tx_results[0]

    assert [each.type for each in result.events] == ["Took"]
    assert (result.gas_wanted, result.gas_used, result.data) == (0, 0, b"")


def test_a_contribution_counts_in_the_bytes_of_a_proposal(busy: Consensus) -> None:
    room = size_in_block(RIGHT) + size_in_block(PAY)

    assert busy.prepare(PAY, max_tx_bytes=room) == [RIGHT, PAY]
    assert busy.prepare(PAY, max_tx_bytes=room - 1) == [RIGHT]


@pytest.mark.parametrize(
    "txs",
    [
        (),
        (PAY,),
        (PAY, RIGHT),
        (RIGHT, RIGHT),
        (RIGHT, PAY, RIGHT),
        (contribution.build(b"something else"),),
        (contribution.build(OWED + b"\x08" * 20),),
        (bundle.build([RIGHT]),),
        (RIGHT, bundle.build([RIGHT])),
        (RIGHT + b"\x00",),
        (RIGHT[:-1],),
        (codec.pack([2, 2, OWED + PROPOSER]),),
        (codec.pack([2, True, OWED + PROPOSER]),),
        (codec.pack([2, 1, bytes(contribution.MAX_DATA_BYTES + 1)]),),
        (codec.pack([2, 1, b""]),),
    ],
)
def test_a_block_without_what_its_proposer_owes_is_rejected(
    busy: Consensus, txs: tuple[bytes, ...]
) -> None:
    assert not busy.accepts(*txs)


def test_a_contribution_is_owed_by_whom_the_block_names(busy: Consensus) -> None:
    assert not busy.accepts(RIGHT, proposer=b"\x08" * 20)


def test_a_chain_that_asks_for_nothing_rejects_a_contribution(storage: Storage) -> None:
    chain = Consensus(Node(MACHINE, storage, OWED))
    chain.init()

    assert chain.prepare() == []
    assert not chain.accepts(RIGHT)
    assert chain.finalize(RIGHT).tx_results[0].code == errors.NotOwed.code


def test_a_proposer_without_its_secret_proposes_what_everybody_rejects(storage: Storage) -> None:
    consensus = Consensus(Node(BUSY, storage))
    consensus.init()

    assert consensus.prepare() == []
    assert not consensus.accepts()


def test_a_contribution_that_was_not_owed_changes_nothing(busy: Consensus) -> None:
    empty = busy.finalize()

    assert busy.finalize(contribution.build(b"odd")).app_hash == empty.app_hash


def test_no_mempool_takes_a_contribution(busy: Consensus) -> None:
    answers = [busy.check(raw) for raw in (RIGHT, bundle.build([RIGHT]))]

    assert [each.code for each in answers] == [errors.MalformedTransaction.code] * 2
    assert busy.prepare(RIGHT, bundle.build([RIGHT])) == [RIGHT]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(txs=st.lists(MAY_BE_RIGHT, max_size=6), room=st.integers(size_in_block(RIGHT), 2000))
def test_own_proposals_with_what_is_owed_are_always_accepted(
    busy: Consensus, txs: list[bytes], room: int
) -> None:
    chosen = busy.prepare(*txs, max_tx_bytes=room)

    assert sum(map(size_in_block, chosen)) <= room
    assert busy.accepts(*chosen)


def test_a_secret_shows_nowhere(storage: Storage) -> None:
    assert OWED.decode() not in repr(Node(BUSY, storage, OWED))
