from __future__ import annotations

from abci_chat.machine import FAMILIES, MACHINE

NAMES = {"register_identity": 1, "update_relays": 2, "update_prekeys": 3, "rotate_key": 4}


def test_every_family_is_found_under_its_own_type() -> None:
    assert {type_: family.type for type_, family in FAMILIES.items()} == {
        type_: type_ for type_ in FAMILIES
    }


def test_types_and_names_are_frozen() -> None:
    assert {family.name: family.type for family in MACHINE.families.values()} == NAMES
