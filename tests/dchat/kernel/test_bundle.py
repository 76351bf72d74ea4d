from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.kernel import bundle, codec, errors, tx
from dchat.kernel.bundle import MAX_CARRIED, Did
from dchat.kernel.ids import Amount, Cost
from dchat.kernel.machine import Carried
from tests.fakes.memory import ALICE, BOB, CAROL, FUNDS, MemoryState, balance, opened, run, signed

PAY = transfer.FAMILY.body(Transfer(CAROL.id, Amount(5)))
POOR = transfer.FAMILY.body(Transfer(CAROL.id, Amount(10**9)))
GOOD, NEXT, OTHER = signed(ALICE, PAY), signed(ALICE, PAY, 1), signed(BOB, PAY)
UNDUE, REFUSED = signed(ALICE, PAY, 7), signed(ALICE, POOR, 1)
OFFERS = (GOOD, NEXT, OTHER, UNDUE, REFUSED, signed(ALICE, (99,), 1), b"junk", b"\x93\x01")
offers = st.lists(st.sampled_from(OFFERS), min_size=1, max_size=8)


def start() -> MemoryState:
    return opened(MACHINE, alice=FUNDS, bob=FUNDS)


def test_a_bundle_gives_back_what_it_carries_in_order() -> None:
    assert bundle.carried(bundle.build([NEXT, GOOD])) == (NEXT, GOOD)


@pytest.mark.parametrize("raw", [GOOD, b"", b"junk", b"\x93\x01", b"\x93\x01\x01\x91\xc0"])
def test_anything_else_carries_itself_alone(raw: bytes) -> None:
    assert bundle.carried(raw) == (raw,)


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        ([1, 1, []], errors.MalformedTransaction),
        ([1, 1, [b""]], errors.MalformedTransaction),
        ([1, 1, ["text"]], errors.MalformedTransaction),
        ([1, 1, [[b"nested"]]], errors.MalformedTransaction),
        ([1, 1, b"bytes"], errors.MalformedTransaction),
        ([1, 1, [b"1"] * (MAX_CARRIED + 1)], errors.MalformedTransaction),
        ([1, 1], errors.MalformedTransaction),
        ([1, 1, [b"1"], 0], errors.MalformedTransaction),
        ([0, 1, [b"1"]], errors.MalformedTransaction),
        ([True, 1, [b"1"]], errors.MalformedTransaction),
        ([1, True, [b"1"]], errors.MalformedTransaction),
        ([1, 2, [b"1"]], errors.UnknownVersion),
        ([1, 1, [bytes(tx.MAX_TX_BYTES)]], errors.TransactionTooLarge),
    ],
)
def test_what_is_no_bundle_is_refused(value: codec.Raw, refusal: type[errors.TxRejected]) -> None:
    with pytest.raises(refusal):
        bundle.decode(codec.pack(value))


def test_another_encoding_of_the_same_bundle_is_refused() -> None:
    stretched = b"\x93\x01\x01\xdc\x00\x01" + codec.pack(GOOD)

    with pytest.raises(errors.MalformedTransaction, match="canonical"):
        bundle.decode(stretched)


def test_so_many_fit_and_not_one_more() -> None:
    assert len(bundle.decode(bundle.build([b"1"] * MAX_CARRIED))) == MAX_CARRIED
    with pytest.raises(codec.CodecError):
        bundle.build([b"1"] * (MAX_CARRIED + 1))


@given(st.binary(max_size=300).map(lambda tail: b"\x93\x01" + tail) | st.binary(max_size=300))
def test_arbitrary_bytes_are_a_bundle_with_one_encoding_or_refused(raw: bytes) -> None:
    carried = bundle.carried(raw)

    assert carried == (raw,) or bundle.build(carried) == raw


def test_results_tell_what_became_of_each() -> None:
    results = (Did(0, Cost(80)), Did(9, Cost(0)))

    assert bundle.decode_results(bundle.encode_results(results)) == results


@given(offers)
def test_in_a_bundle_each_does_what_it_would_do_alone(txs: list[bytes]) -> None:
    alone, together = run(MACHINE, start(), *txs), run(MACHINE, start(), bundle.build(txs))

    outcome = together.outcomes[0]
    assert together.writes == alone.writes
    assert bundle.decode_results(outcome.data) == tuple(
        Did(each.code, each.cost_used) for each in alone.outcomes
    )
    assert outcome.events == tuple(
        Carried(tx.tx_hash(raw), each.code, each.cost_used, each.events)
        for raw, each in zip(txs, alone.outcomes, strict=True)
    )
    assert (outcome.code, outcome.cost_used, outcome.cost_wanted) == (
        0,
        sum(each.cost_used for each in alone.outcomes),
        sum(each.cost_wanted for each in alone.outcomes),
    )


def test_a_bundle_says_how_many_of_it_were_refused() -> None:
    outcome = run(MACHINE, start(), bundle.build([GOOD, REFUSED, UNDUE])).outcomes[0]

    assert outcome.reason.startswith("2 of 3 refused, the first with InsufficientFunds")


def test_a_transaction_in_two_bundles_and_alone_is_charged_once() -> None:
    both = [bundle.build([GOOD, OTHER]), bundle.build([OTHER, GOOD, NEXT]), GOOD]

    result = run(MACHINE, start(), *both)

    after = start().after(result.writes)
    assert balance(after, CAROL) == 3 * 5
    assert [did.code for did in bundle.decode_results(result.outcomes[1].data)] == [9, 9, 0]
    assert result.outcomes[2].code == errors.NonceMismatch.code


def test_a_bundle_in_a_bundle_does_nothing() -> None:
    inner = bundle.build([GOOD])

    result = run(MACHINE, start(), bundle.build([inner, GOOD]))

    assert [did.code for did in bundle.decode_results(result.outcomes[0].data)] == [1, 0]


def test_a_malformed_bundle_does_nothing_and_says_why() -> None:
    result = run(MACHINE, start(), codec.pack([1, 1, []]))

    assert (result.writes, result.outcomes[0].code) == ({}, errors.MalformedTransaction.code)
    assert "carries nothing" in result.outcomes[0].reason
