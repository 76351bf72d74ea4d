"""No room stands outside the import contracts or the wheel (L2, L4, L5)."""

from __future__ import annotations

import pytest

from tests.house.rooms import HOUSE, PACKAGES, PROJECT, modules, shown

CONTRACTS = PROJECT["tool"]["importlinter"]
LAYERS = CONTRACTS["contracts"][0]["layers"]
NAMED = {name.strip(" ()") for layer in LAYERS for name in layer.split("|")}
ROOMS = [
    ".".join(file.parent.relative_to(HOUSE).parts)
    for file in sorted([*HOUSE.glob("*/__init__.py"), *HOUSE.glob("dchat/*/__init__.py")])
]
NO_ROOM = {"utils", "helpers", "common", "manager", "misc", "util", "base"}


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "dchat"])
def test_every_room_has_its_floor(room: str) -> None:
    assert room in NAMED


def test_the_wheel_and_the_contracts_name_the_same_packages() -> None:
    tops = [room for room in ROOMS if "." not in room]

    assert sorted(PACKAGES) == sorted(CONTRACTS["root_packages"]) == tops


def test_no_file_is_named_after_nothing() -> None:
    assert [shown(f) for f in modules(*PACKAGES, "tests") if f.stem in NO_ROOM] == []
