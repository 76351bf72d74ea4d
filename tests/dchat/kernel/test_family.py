from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from dchat.kernel import codec
from dchat.kernel.errors import CostLimitTooLow, MalformedBody
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import Amount, Cost
from dchat.kernel.machine import Checked, Machine, check_body, cost_of
from dchat.kernel.store import Draft
from dchat.kernel.tx import decode
from tests.fakes.memory import ALICE, signed

WORK: list[tuple[int, ...]] = []


@dataclass(frozen=True, slots=True)
class Sums:
    numbers: tuple[int, ...]
    name: str


def check(tx: Sums) -> None:
    WORK.append(tx.numbers)


def apply(_: Draft, __: Sums, ___: TxContext) -> tuple[Event, ...]:
    return ()


FAMILY = Family(
    type=7,
    name="sums",
    shape=codec.Record(Sums, numbers=codec.ListOf(codec.U64, 4), name=codec.Text(4)),
    cost=Cost(10),
    check=check,
    apply=apply,
    spends=lambda tx: Amount(sum(tx.numbers)),
    cost_per_entry=Cost(3),
)
RULES = Machine("test", {7: FAMILY}, lambda _, __, ___: None, {})


def judge(*fields: codec.Raw, cost_limit: int) -> Checked:
    return check_body(RULES, decode(signed(ALICE, (7, *fields), cost_limit=cost_limit)))


@pytest.mark.parametrize(
    ("fields", "price"),
    [
        (([1, 2, 3], "abcd"), 19),
        (([], "abcd"), 10),
        (([[1, 2], [3, 4]], [5]), 19),
        ((7, b"bytes are no entries"), 10),
        ((), 10),
    ],
)
def test_each_entry_of_an_array_has_its_price(fields: tuple[codec.Raw, ...], price: int) -> None:
    assert FAMILY.price(fields) == price


def test_a_family_without_arrays_has_one_price() -> None:
    assert replace(FAMILY, cost_per_entry=Cost(0)).price(([1, 2, 3], "abcd")) == 10


def test_a_body_is_charged_by_its_entries() -> None:
    judged = judge([1, 2, 3], "abc", cost_limit=500)

    assert judged.cost == cost_of(judged.signed.size, Cost(19))
    assert (judged.prepared.spends, judged.prepared.rekeys) == (6, False)


@pytest.mark.parametrize("numbers", [[1, 2, 3], [1] * 200])
def test_what_does_not_pay_for_its_entries_is_not_looked_at(numbers: list[int]) -> None:
    WORK.clear()
    least = cost_of(decode(signed(ALICE, (7, numbers, ""))).size, Cost(10))

    with pytest.raises(CostLimitTooLow) as refusal:
        judge(numbers, "", cost_limit=least)

    assert refusal.value.need >= least + 3 * len(numbers) - 1
    assert WORK == []


@pytest.mark.parametrize(
    "fields",
    [([1], 5), ([1],), ([1, 2, 3, 4, 5], ""), ([1], "abcde"), (["1"], ""), (5, "")],
)
def test_fields_of_another_form_are_malformed(fields: tuple[codec.Raw, ...]) -> None:
    WORK.clear()

    with pytest.raises(MalformedBody):
        judge(*fields, cost_limit=5000)

    assert WORK == []


def test_a_body_comes_back_as_it_was_written() -> None:
    assert FAMILY.body(Sums((1, 2), "ab")) == (7, [1, 2], "ab")
