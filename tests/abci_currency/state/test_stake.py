from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency.state import stake, staking
from abci_currency.state.stake import Delegation
from dchat.kernel.codec import MAX_U64
from dchat.kernel.ids import Amount, EpochMs
from dchat.kernel.store import Draft
from tests.fakes.currency import STAKE, Chain, begun, voter
from tests.fakes.memory import ALICE, BOB, CAROL, MemoryState

RECORD = stake.Validator(
    consensus_key=voter(ALICE).public_key,
    key_changed_at=EpochMs(0),
    moniker="alice",
    commission=stake.Commission(1000, 2000, 100, EpochMs(7)),
    min_self_delegation=Amount(1),
    tokens=Amount(50),
    shares=100,
    jailed=False,
    jailed_until=EpochMs(0),
    tombstoned=False,
    active=True,
)


def test_a_validator_is_read_as_it_was_written() -> None:
    draft = Draft(MemoryState())

    stake.save_validator(draft, ALICE.id, RECORD)

    assert stake.validator(draft, ALICE.id) == RECORD
    assert stake.validator(draft, BOB.id) is None


def test_a_delegation_without_shares_is_none() -> None:
    draft = Draft(MemoryState())
    stake.save_delegation(draft, CAROL.id, ALICE.id, Delegation(5, 7, 3))
    assert stake.delegation(draft, CAROL.id, ALICE.id) == Delegation(5, 7, 3)

    stake.save_delegation(draft, CAROL.id, ALICE.id, Delegation(0, 7, 0))

    assert stake.delegation(draft, CAROL.id, ALICE.id) is None


def test_an_address_is_the_one_that_cometbft_shows() -> None:
    """Source: RFC 8032, first test key; its SHA-256 by coreutils' sha256sum, cut to 20 bytes."""
    key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")

    assert stake.address_of(key).hex() == "21fe31dfa154a261626bf854046fd2271b7bed4b"


def test_a_strangers_address_names_nobody() -> None:
    assert stake.operator_of(MemoryState(), bytes(20)) is None


@pytest.mark.parametrize(("tokens", "shares"), [(1, 2), (3, 6), (50, 100)])
def test_tokens_and_shares_are_at_the_rate_of_the_validator(tokens: int, shares: int) -> None:
    assert stake.shares_for(RECORD, Amount(tokens)) == shares
    assert stake.tokens_for(RECORD, shares) == tokens


def test_a_share_that_is_worth_half_a_unit_is_worth_nothing() -> None:
    assert stake.tokens_for(RECORD, 1) == 0


def test_the_first_shares_are_one_for_one() -> None:
    empty = replace(RECORD, tokens=Amount(0), shares=0)

    assert stake.shares_for(empty, Amount(7)) == 7
    assert stake.tokens_for(empty, 7) == 0


rates = st.tuples(st.integers(1, MAX_U64), st.integers(0, MAX_U64)).map(
    lambda each: replace(RECORD, tokens=Amount(each[0]), shares=each[0] + each[1])
)


@given(rates, st.integers(1, MAX_U64))
def test_buying_and_selling_at_once_never_gains(record: stake.Validator, tokens: int) -> None:
    shares = stake.shares_for(record, Amount(tokens))
    after = replace(record, tokens=Amount(record.tokens + tokens), shares=record.shares + shares)

    assert tokens - 1 <= stake.tokens_for(after, shares) <= tokens
    assert after.tokens <= after.shares


@given(rates, st.integers(0, MAX_U64))
def test_a_share_is_never_worth_more_than_a_unit(record: stake.Validator, sold: int) -> None:
    shares = min(sold, record.shares)
    tokens = stake.tokens_for(record, shares)

    assert record.tokens - tokens <= record.shares - shares


@given(rates, st.integers(1, MAX_U64), st.integers(1, MAX_U64))
def test_what_is_asked_for_is_what_its_shares_are_worth(
    record: stake.Validator, held: int, tokens: int
) -> None:
    held = min(held, record.shares)
    worth = stake.tokens_for(record, held)
    tokens = min(tokens, worth)

    shares = staking.shares_worth(record, held, Amount(tokens))

    assert shares <= held
    assert stake.tokens_for(record, shares) == tokens


def test_the_operators_own_stake_is_what_its_shares_are_worth() -> None:
    chain = Chain(begun())

    assert stake.self_stake(chain.state, ALICE.id) == STAKE
    assert stake.self_stake(chain.state, CAROL.id) == 0
