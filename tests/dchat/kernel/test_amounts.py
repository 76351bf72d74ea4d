from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import amounts
from dchat.kernel.amounts import BadAmount
from dchat.kernel.errors import AmountTooLarge
from dchat.kernel.ids import Amount


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("5", 5_000_000),
        ("0.25", 250_000),
        ("0.000001", 1),
        ("5DCHAT", 5_000_000),
        ("250000udchat", 250_000),
        ("0", 0),
        ("18446744073709.551615", 2**64 - 1),
    ],
)
def test_amounts_as_people_write_them(text: str, units: int) -> None:
    assert amounts.parse_amount(text) == units


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-5",
        "5.",
        ".5",
        "1e3",
        "0.0000001",
        "5 DCHAT",
        "5dchat",
        "1_000",
        "٣",
        "5.5udchat",
        "18446744073709.551616",
        "1,5",
        "5\n",
    ],
)
def test_anything_else_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(BadAmount) as refusal:
        amounts.parse_amount(text)

    assert "whole tokens" in refusal.value.hint


@given(st.integers(0, 2**64 - 1))
def test_shown_amounts_parse_to_themselves(units: int) -> None:
    assert amounts.parse_amount(amounts.show_amount(Amount(units))) == units


@given(st.text(max_size=30))
def test_arbitrary_text_is_an_amount_or_refused(text: str) -> None:
    with suppress(BadAmount):
        assert 0 <= amounts.parse_amount(text) < 2**64


def test_a_sum_beyond_64_bits_is_refused() -> None:
    assert amounts.add(Amount(2**64 - 2), Amount(1)) == 2**64 - 1
    with pytest.raises(AmountTooLarge):
        amounts.add(Amount(2**64 - 1), Amount(1))
