from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import accounts, codec, genesis, params, supply
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.genesis import Allocation, Genesis
from dchat.kernel.ids import AccountId, Amount, ChainId
from dchat.kernel.store import Draft
from tests.fakes.memory import BEGINNING, CHAIN, MemoryState

LOW, HIGH = AccountId(bytes(32)), AccountId(b"\xff" * 32)


def encoded(*allocations: Allocation) -> bytes:
    return genesis.SHAPE.encode(Genesis(params.DEFAULT, allocations))


def test_genesis_gives_balances_supply_parameters_and_the_chain_its_name() -> None:
    draft = Draft(MemoryState())

    genesis.init(draft, BEGINNING, encoded(Allocation(LOW, Amount(3)), Allocation(HIGH, Amount(4))))

    supply.check_invariant(draft)
    assert accounts.load(draft, HIGH).balance == 4
    assert (genesis.chain_id(draft), params.load(draft)) == (CHAIN, params.DEFAULT)


@pytest.mark.parametrize("ids", [(HIGH, LOW), (LOW, LOW)])
def test_accounts_out_of_order_or_twice_are_refused(ids: tuple[AccountId, AccountId]) -> None:
    data = encoded(*[Allocation(each, Amount(1)) for each in ids])

    with pytest.raises(codec.CodecError, match="ascending"):
        genesis.init(Draft(MemoryState()), BEGINNING, data)


def test_a_genesis_of_many_accounts_is_read() -> None:
    many = tuple(Allocation(AccountId(n.to_bytes(32, "big")), Amount(1)) for n in range(1000))

    assert genesis.decode(encoded(*many)).allocations == many


def test_a_genesis_that_gives_more_than_64_bits_is_refused() -> None:
    most = Amount(codec.MAX_U64)

    with pytest.raises(codec.CodecError, match="64 bits"):
        genesis.init(
            Draft(MemoryState()), BEGINNING, encoded(Allocation(LOW, most), Allocation(HIGH, most))
        )


def test_an_empty_genesis_is_refused() -> None:
    with pytest.raises(InvariantBroken):
        genesis.init(Draft(MemoryState()), BEGINNING, encoded())


def test_a_chain_id_over_the_bound_is_refused() -> None:
    with pytest.raises(codec.CodecError):
        genesis.init(
            Draft(MemoryState()),
            replace(BEGINNING, chain_id=ChainId("x" * 51)),
            encoded(Allocation(LOW, Amount(1))),
        )


def test_before_genesis_there_is_no_chain_id() -> None:
    assert genesis.chain_id(MemoryState()) is None


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_a_genesis_or_a_codec_error(data: bytes) -> None:
    with suppress(codec.CodecError):
        genesis.decode(data)
