from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from abci_chat import txs
from abci_chat.machine import FAMILIES, MACHINE
from dchat.kernel.family import Family

NAMES = {
    "register_identity": 1,
    "update_relays": 2,
    "update_prekeys": 3,
    "rotate_key": 4,
    "commit_handle": 5,
    "claim_handle": 6,
    "release_handle": 7,
    "transfer_handle": 8,
    "deactivate_identity": 9,
    "add_device": 11,
    "revoke_device": 12,
    "set_guardians": 13,
    "cancel_guardians": 14,
    "approve_recovery": 15,
    "veto_recovery": 16,
    "finish_recovery": 17,
    "create_channel": 20,
    "close_channel": 21,
    "set_channel_policy": 22,
    "join_channel": 23,
    "leave_channel": 24,
    "invite_member": 25,
    "request_join": 26,
    "answer_request": 27,
    "ban_member": 28,
    "unban_member": 29,
    "remove_member": 30,
    "set_role": 31,
    "offer_channel": 32,
    "accept_channel": 33,
    "name_successor": 34,
    "succeed_channel": 35,
    "commit_epoch": 36,
    "remove_leaf": 37,
    "post": 40,
    "post_batch": 41,
    "set_anchor": 42,
    "expire_posts": 43,
    "propose_text": 50,
    "propose_params": 51,
    "propose_upgrade": 52,
    "propose_spend": 53,
    "propose_appeal": 54,
    "cast_ballot": 55,
    "commit_ballot": 56,
    "reveal_ballot": 57,
    "join_jury": 60,
    "leave_jury": 61,
    "report": 62,
    "give_verdict": 63,
    "commit_beacon": 70,
}


def written() -> Iterator[tuple[str, int]]:
    """Every family that a file of txs/ holds."""
    for found in pkgutil.iter_modules(txs.__path__):
        for value in vars(importlib.import_module(f"abci_chat.txs.{found.name}")).values():
            if isinstance(value, Family):
                yield value.name, value.type


def test_every_family_is_found_under_its_own_type() -> None:
    assert {type_: family.type for type_, family in FAMILIES.items()} == {
        type_: type_ for type_ in FAMILIES
    }


def test_types_and_names_are_frozen() -> None:
    assert {family.name: family.type for family in MACHINE.families.values()} == NAMES


def test_what_is_written_is_in_the_machine_and_no_two_share_a_number() -> None:
    assert set(written()) == set(NAMES.items())
