"""Listings of records: pages, owners, and totals that show whether any was left out."""

from __future__ import annotations

import pytest
import trio

from abci_currency import keys
from abci_currency.state import pools, stake
from dchat.cli.asking import NotThere, Source
from dchat.cli.records import (
    ALL,
    BadKey,
    Kind,
    LeftOut,
    Paging,
    account_at,
    add_up,
    list_records,
    must_equal,
    owned,
)
from dchat.kernel import accounts
from dchat.kernel.ids import Amount, EpochMs, Height
from tests.dchat.node.test_chain import opened
from tests.fakes.memory import ALICE, BOB, CAROL, Person
from tests.fakes.node import FakeNode

UNBONDINGS = Kind("unbondings", keys.UNBONDINGS, stake.UNBONDING)


def entry(who: Person, number: int, tokens: int) -> dict[bytes, bytes]:
    record = stake.Unbonding(Amount(tokens), Height(1), EpochMs(5))
    return {keys.unbonding(who.id, CAROL.id, number): stake.UNBONDING.encode(record)}


def pool(tokens: int) -> dict[bytes, bytes]:
    record = accounts.Account(b"", 0, accounts.EMPTY.nonce, Amount(tokens))
    return {accounts.key(pools.UNBONDING): record.encode()}


def source(held: int = 12) -> Source:
    entries = {**entry(ALICE, 0, 5), **entry(ALICE, 300, 4), **entry(BOB, 0, 3), **pool(held)}
    return Source(opened(FakeNode({3: entries}, 4)), None)


def test_a_page_names_the_key_behind_which_others_follow() -> None:
    where = source()

    first = trio.run(list_records, where, UNBONDINGS, Paging(limit=2))
    assert first.next_after is not None
    second = trio.run(list_records, where, UNBONDINGS, Paging(first.next_after.hex()))

    assert (len(first.entries), len(second.entries), second.next_after) == (2, 1, None)
    assert (first.is_everything, second.is_everything) == (False, False)


def test_an_owner_has_its_own_records_and_no_others() -> None:
    kind = owned(UNBONDINGS, accounts.show_account(ALICE.id))

    found = trio.run(list_records, source(), kind)

    assert [record.tokens for _, record in found.entries] == [5, 4]
    assert {account_at(key, 1) for key, _ in found.entries} == {accounts.show_account(ALICE.id)}


def test_records_that_add_up_to_their_pool_are_all_there_are() -> None:
    where = source()

    trio.run(_whole, where, ALL)

    assert where.is_whole


def test_records_that_fall_short_of_their_pool_are_not_all() -> None:
    with pytest.raises(LeftOut, match="unbondings add up to 12, the pool holds 13"):
        trio.run(_whole, source(13), ALL)


def test_a_page_is_not_compared_with_a_pool() -> None:
    where = source(13)

    trio.run(_whole, where, Paging(limit=2))

    assert not where.is_whole


async def _whole(where: Source, paging: Paging) -> None:
    found = await list_records(where, UNBONDINGS, paging)
    await add_up(where, found, pools.UNBONDING, lambda record: record.tokens)


def test_no_records_are_not_there() -> None:
    kind = owned(UNBONDINGS, accounts.show_account(CAROL.id))

    with pytest.raises(NotThere):
        trio.run(list_records, source(), kind)


@pytest.mark.parametrize("after", ["x", "00", keys.validator(ALICE.id).hex()])
def test_a_key_of_something_else_is_refused(after: str) -> None:
    with pytest.raises(BadKey):
        trio.run(list_records, source(), UNBONDINGS, Paging(after))


def test_what_is_equal_passes() -> None:
    must_equal("parts", 5, "the whole is", 5)
