from __future__ import annotations

from dataclasses import dataclass

import pytest

from dchat.kernel.ids import Amount
from dchat.kernel.params import section
from genesis import sections

NONE = Amount(0)


@dataclass(frozen=True, slots=True)
class Weather:
    """What a section may hold: one number of each kind."""

    wait_ms: int = 1000
    share_bp: int = 1
    deposit: Amount = NONE
    most: int = 3


WEATHER = section(
    "weather",
    Weather(),
    {
        "wait_ms": (1000, 10**9),
        "share_bp": (0, 9000),
        "deposit": (0, 10**9),
        "most": (1, 5),
    },
)
KEYS = sections.by_name(WEATHER)


def test_a_key_is_the_parameters_name_without_its_unit() -> None:
    assert {name: key.parameter for name, key in KEYS.items()} == {
        "wait": "wait_ms",
        "share": "share_bp",
        "deposit": "deposit",
        "most": "most",
    }


def test_every_kind_is_read_in_the_units_that_people_use() -> None:
    chosen = {"wait": "2h", "share": 0.25, "deposit": "0.5", "most": 4}

    found = sections.read({"weather": chosen}, WEATHER, KEYS)

    assert found == Weather(7_200_000, 2500, Amount(500_000), 4)


def test_what_is_left_out_has_its_default() -> None:
    assert sections.read({}, WEATHER, KEYS) == Weather()
    assert sections.read({"weather": {"most": 1}}, WEATHER, KEYS) == Weather(most=1)


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ({"rain": 1}, "weather.rain is no known key; known are deposit, most, share, wait"),
        ({"most": 6}, "weather.most: most would be 6, not 1 to 5"),
        ({"most": "6"}, "weather.most: '6' is not a whole number"),
        ({"share": 0.91}, "weather.share: share_bp would be 9100, not 0 to 9000"),
        ({"wait": 0}, "weather.wait: wait_ms would be 0, not 1000 to 1000000000"),
    ],
)
def test_a_wrong_number_is_named(chosen: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        sections.read({"weather": chosen}, WEATHER, KEYS)
