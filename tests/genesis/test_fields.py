from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel.amounts import UNIT
from genesis import fields


def test_a_whole_number_is_tokens_as_text_is() -> None:
    assert fields.amount(5) == fields.amount("5") == 5 * UNIT


@pytest.mark.parametrize(
    ("raw", "points"), [(0, 0), (1, 10_000), (0.05, 500), (0.0001, 1), (0.29, 2900), (1.0, 10_000)]
)
def test_a_fraction_is_exact_basis_points(raw: float, points: int) -> None:
    assert fields.basis_points(raw) == points


@given(st.integers(0, 10_000))
def test_every_basis_point_can_be_written(points: int) -> None:
    assert fields.basis_points(float(f"{points // 10_000}.{points % 10_000:04}")) == points


@given(st.integers() | st.floats() | st.text() | st.booleans() | st.none())
def test_anything_is_a_fraction_or_a_value_error(raw: object) -> None:
    try:
        found = fields.basis_points(raw)
    except ValueError:
        found = 0

    assert 0 <= found <= 10_000


def test_what_is_missing_is_named_with_its_place() -> None:
    with pytest.raises(ValueError, match=r"^here\.name is missing$"):
        fields.get({}, "name", fields.text, "here.")


def test_what_cannot_be_read_is_named_with_its_place() -> None:
    with pytest.raises(ValueError, match=r"^here\.name: 5 is not printable text$"):
        fields.get({"name": 5}, "name", fields.text, "here.")


def test_a_default_stands_for_what_is_missing_and_for_nothing_else() -> None:
    assert fields.either({}, "name", fields.text, "", default="x") == "x"
    with pytest.raises(ValueError, match="not printable"):
        fields.either({"name": 5}, "name", fields.text, "", default="x")
