from __future__ import annotations

from abci_currency.machine import FAMILIES, MACHINE

NAMES = {
    "transfer": 1,
    "multi_transfer": 2,
    "rotate_key": 3,
    "claim_vested": 4,
    "delegate_vested": 5,
    "create_validator": 10,
    "edit_validator": 11,
    "delegate": 12,
    "undelegate": 13,
    "redelegate": 14,
    "rotate_consensus_key": 15,
    "settle_unbonding": 17,
    "unjail": 20,
    "withdraw_rewards": 25,
    "withdraw_commission": 26,
    "set_reward_address": 27,
    "register_relay": 30,
    "edit_relay": 31,
    "unbond_relay": 32,
    "top_up_relay": 33,
    "open_escrow": 35,
    "top_up_escrow": 36,
    "close_escrow": 37,
    "open_issuer_bond": 38,
    "top_up_issuer_bond": 39,
    "close_issuer_bond": 40,
    "settle_relay": 41,
    "settle_escrow": 42,
    "settle_issuer_bond": 43,
    "publish_token_key": 44,
}


def test_every_family_is_found_under_its_own_type() -> None:
    assert {type_: family.type for type_, family in FAMILIES.items()} == {
        type_: type_ for type_ in FAMILIES
    }


def test_types_and_names_are_frozen() -> None:
    assert {family.name: family.type for family in MACHINE.families.values()} == NAMES
