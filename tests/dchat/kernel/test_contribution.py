from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.kernel import bundle, codec, contribution, errors, machine
from dchat.kernel.contribution import MAX_DATA_BYTES
from dchat.kernel.ids import Amount
from dchat.kernel.machine import Block, BlockContext, BlockResult
from dchat.kernel.pool import Pool
from dchat.kernel.store import Draft
from tests.fakes.duty import DUTY, OWED, Took
from tests.fakes.memory import ALICE, BOB, FUNDS, MemoryState, at_height, opened, signed

PAY = signed(ALICE, transfer.FAMILY.body(Transfer(BOB.id, Amount(5))))
BUSY = replace(MACHINE, duty=DUTY)
PROPOSER = b"p" * 20
RIGHT = contribution.build(OWED + PROPOSER)
WRONG = contribution.build(b"something else")
ODD = (
    codec.pack([2, 1, b""]),
    codec.pack([2, 1, bytes(MAX_DATA_BYTES + 1)]),
    codec.pack([2, 1, "text"]),
    codec.pack([2, 1, [b"nested"]]),
    codec.pack([2, 1]),
    codec.pack([2, 1, b"data", 0]),
    codec.pack([2, 2, b"data"]),
    codec.pack([2, True, b"data"]),
    codec.pack([0, 1, b"data"]),
    codec.pack([1, 1, b"data"]),
    codec.pack([3, 1, b"data"]),
    b"\x93\x02\xcb" + b"\x3f\xf0" + bytes(6) + codec.pack(b"data"),
    b"\x93\x02\x01\xc5\x00\x04data",
    RIGHT + b"\x00",
    RIGHT[:-1],
    b"\x93\x02",
)


def start() -> MemoryState:
    return opened(MACHINE, alice=FUNDS, bob=FUNDS)


def ran(*txs: bytes, rules: machine.Machine = BUSY) -> BlockResult:
    context = replace(at_height(), proposer=PROPOSER)
    return machine.run_block(rules, start(), Block(context, txs), {})


@pytest.mark.parametrize("size", [1, MAX_DATA_BYTES])
def test_a_contribution_comes_out_of_the_block_as_it_was_built(size: int) -> None:
    raw = contribution.build(bytes(size))

    assert contribution.split([raw, PAY]) == (bytes(size), [PAY])
    assert contribution.split([raw]) == (bytes(size), [])


@pytest.mark.parametrize("size", [0, MAX_DATA_BYTES + 1])
def test_a_contribution_of_another_size_cannot_be_built(size: int) -> None:
    with pytest.raises(codec.CodecError):
        contribution.build(bytes(size))


@pytest.mark.parametrize("raw", ODD)
def test_what_only_looks_like_a_contribution_is_a_malformed_transaction(raw: bytes) -> None:
    lead, txs = contribution.split([raw, PAY])
    result = ran(raw)

    assert (lead, list(txs)) == (b"", [raw, PAY])
    assert result.outcomes[0].code in {
        errors.MalformedTransaction.code,
        errors.UnknownKind.code,
        errors.UnknownVersion.code,
    }
    assert result.writes == {}


def test_a_block_without_transactions_has_no_contribution() -> None:
    assert contribution.split([]) == (b"", [])


@given(st.binary(max_size=40))
def test_there_is_one_encoding_of_each_contribution(tail: bytes) -> None:
    raw = RIGHT[:2] + tail

    lead, _ = contribution.split([raw])

    assert lead == b"" or contribution.build(lead) == raw


def test_what_is_owed_is_applied_before_the_transactions_and_the_hooks() -> None:
    seen: list[bytes | None] = []

    def look(draft: Draft, _: BlockContext) -> tuple[machine.Event, ...]:
        seen.append(draft.get(b"contributed"))
        return ()

    result = ran(RIGHT, PAY, rules=replace(BUSY, begin_block=(look,)))

    assert [each.code for each in result.outcomes] == [0, 0]
    assert result.outcomes[0].events == (Took(OWED + PROPOSER),)
    assert seen == [OWED + PROPOSER]


def test_a_contribution_costs_nobody_anything() -> None:
    outcome = ran(RIGHT).outcomes[0]

    assert (outcome.cost_wanted, outcome.cost_used, outcome.data) == (0, 0, b"")


@pytest.mark.parametrize(("rules", "raw"), [(BUSY, WRONG), (MACHINE, RIGHT)])
def test_what_is_not_owed_leaves_no_trace_and_the_transactions_run(
    rules: machine.Machine, raw: bytes
) -> None:
    without = ran(PAY, rules=rules)

    result = ran(raw, PAY, rules=rules)

    assert [each.code for each in result.outcomes] == [errors.NotOwed.code, 0]
    assert result.writes == without.writes


@pytest.mark.parametrize("txs", [(PAY, RIGHT), (RIGHT, RIGHT), (bundle.build([RIGHT]),)])
def test_only_the_first_place_of_a_block_is_one_for_a_contribution(txs: tuple[bytes, ...]) -> None:
    """Or a bundle, or whoever comes second, could add what the proposer has not."""
    alone = ran(*txs[:-1])

    result = ran(*txs)

    assert result.writes == alone.writes


def test_no_mempool_takes_a_contribution() -> None:
    pool = Pool(BUSY)

    codes = [pool.check(start(), raw, at_height()).code for raw in (RIGHT, bundle.build([RIGHT]))]

    assert codes == [errors.MalformedTransaction.code] * 2
    assert pool.propose(start(), [RIGHT, PAY], 10**6, at_height()) == (PAY,)
