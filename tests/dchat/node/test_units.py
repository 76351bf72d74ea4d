from __future__ import annotations

import pytest

from dchat.node import units


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("3000ms", 3000), ("3s", 3000), ("5m", 300_000), ("2 h", 7_200_000), ("1w", 604_800_000)],
)
def test_a_duration_is_read_as_milliseconds(text: str, milliseconds: int) -> None:
    assert units.parse_milliseconds(text) == milliseconds


def test_a_duration_is_read_as_seconds() -> None:
    assert units.parse_seconds("30d") == 2_592_000


def test_a_fraction_of_a_second_is_no_number_of_seconds() -> None:
    with pytest.raises(ValueError, match="whole seconds"):
        units.parse_seconds("1500ms")


@pytest.mark.parametrize(("text", "size"), [("10MiB", 10_485_760), ("10MB", 10_000_000), ("1B", 1)])
def test_a_size_is_read_as_bytes(text: str, size: int) -> None:
    assert units.parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "3", "s", "-3s", "3.5s", "3 parsecs", "9" * 19 + "s", "٣s"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a number"):
        units.parse_milliseconds(text)


@pytest.mark.parametrize("value", [5, 5.5, None, True])
def test_other_values_are_left_to_the_model(value: object) -> None:
    assert units.parse_seconds(value) is value
