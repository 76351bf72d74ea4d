from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from abci_chat import genesis as chat
from abci_chat.params import Channels
from abci_currency import genesis as currency
from abci_currency.genesis import Beginning, Rules
from abci_currency.params import Staking
from dchat.kernel import accounts, signing
from dchat.kernel.amounts import UNIT
from dchat.kernel.ids import Amount
from dchat.node import network
from genesis import build
from genesis.settings import (
    AccountEntry,
    BadGenesisSettings,
    Community,
    Economy,
    GenesisSettings,
    NetworkSettings,
    ValidatorEntry,
)

KEYS = [signing.public_key(bytes([number]) * 32) for number in range(6)]
PEOPLE = [accounts.account_id(key) for key in KEYS[4:]]
SETTINGS = GenesisSettings(
    "devnet",
    1_795_410_000 * 10**9,
    (
        ValidatorEntry("one", PEOPLE[0], Amount(10 * UNIT), KEYS[0], KEYS[1]),
        ValidatorEntry("två", PEOPLE[1], Amount(5 * UNIT), KEYS[2], KEYS[3]),
    ),
    (
        AccountEntry(PEOPLE[0], Amount(10 * UNIT + 7), Amount(0)),
        AccountEntry(PEOPLE[1], Amount(5 * UNIT + 3), Amount(9)),
    ),
    NetworkSettings("devnet", (), 604_800),
    economy=Economy(Rules(staking=Staking(min_validator_stake=Amount(UNIT)))),
)


def document(name: str) -> dict[str, object]:
    loaded: dict[str, object] = json.loads(build.build(SETTINGS)[name].content)
    return loaded


def begun(settings: GenesisSettings = SETTINGS) -> Beginning:
    """What the currency chain's file of these settings holds."""
    written = json.loads(build.build(settings)["currency"].content)
    return currency.decode(base64.b64decode(written["app_state"]))


def community(settings: GenesisSettings = SETTINGS) -> chat.Beginning:
    """What the chat chain's file of these settings holds."""
    written = json.loads(build.build(settings)["chat"].content)
    return chat.decode(base64.b64decode(written["app_state"]))


def test_the_validators_vote_with_their_stake_where_nobody_else_is_named() -> None:
    voters = {each.account: each.weight for each in community().voters}

    assert voters == {PEOPLE[0]: 10 * UNIT, PEOPLE[1]: 5 * UNIT}


def test_named_voters_vote_in_place_of_the_validators() -> None:
    settings = replace(SETTINGS, community=Community(voters=(chat.Voter(PEOPLE[1], 3),)))

    assert community(settings).voters == (chat.Voter(PEOPLE[1], 3),)


def test_validators_are_those_of_cometbft_in_order_of_their_keys() -> None:
    bound = replace(SETTINGS.validators[1], beacon_head=KEYS[5], beacon_length=7)
    made = [
        chat.Validator(KEYS[0], PEOPLE[0]),
        chat.Validator(KEYS[2], PEOPLE[1], KEYS[5], 7),
    ]

    found = community(replace(SETTINGS, validators=(SETTINGS.validators[0], bound))).validators

    assert found == tuple(sorted(made, key=lambda each: each.consensus_key))


def test_the_chat_chains_parameters_are_those_of_the_settings() -> None:
    rules = chat.Rules(channels=Channels(bumps_per_hour=3))

    found = community(replace(SETTINGS, community=Community(rules))).rules

    assert found.channels.bumps_per_hour == 3


def test_what_the_chat_chain_refuses_builds_nothing() -> None:
    settings = replace(SETTINGS, community=Community(voters=(chat.Voter(PEOPLE[1], 0),)))

    with pytest.raises(BadGenesisSettings, match="has no weight"):
        build.build(settings)


def test_the_chains_have_their_own_ids_keys_and_time() -> None:
    chat, currency = document("chat"), document("currency")

    assert (chat["chain_id"], currency["chain_id"]) == ("devnet", "devnet-currency")
    assert chat["genesis_time"] == currency["genesis_time"] == "2026-11-23T05:00:00Z"
    assert chat["validators"] != currency["validators"]


def test_balances_are_on_one_chain_and_credits_on_the_other() -> None:
    held = begun().kernel.allocations

    assert [each.balance for each in community().kernel.allocations] == [9]
    assert sorted(each.balance for each in held) == [5_000_003, 10_000_007]


def test_cometbft_gets_the_applications_own_limits() -> None:
    params = json.loads(build.build(SETTINGS)["chat"].content)["consensus_params"]

    assert params["block"] == {"max_bytes": "10485760", "max_gas": "1000000"}
    assert params["evidence"]["max_age_duration"] == str(14 * 86_400 * 10**9)


def test_the_order_of_accounts_changes_nothing() -> None:
    turned = replace(SETTINGS, accounts=SETTINGS.accounts[::-1])

    assert build.build(turned) == build.build(SETTINGS)


@pytest.mark.slow
def test_another_process_builds_the_same_bytes() -> None:
    program = (
        "from genesis import build; from tests.genesis.test_build import SETTINGS;"
        "print(*[each.content.hex() for each in build.build(SETTINGS).values()])"
    )

    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            cwd=Path(build.__file__).parent.parent,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(seen) == 1


def test_the_network_file_names_what_was_written(tmp_path: Path) -> None:
    reached = replace(SETTINGS.chat, rpc=("http://127.0.0.1:1",))
    settings = replace(SETTINGS, chat=reached, currency=reached)

    paths = build.write(settings, tmp_path / "net")

    found = network.load(paths[-1])
    assert network.read_genesis(found.chat) == build.build(settings)["chat"].content
    assert found.currency.root == build.build(settings)["currency"].root
    assert found.chat.root.time_ns == SETTINGS.time_ns


def test_without_rpc_addresses_there_is_no_network_file(tmp_path: Path) -> None:
    assert [path.name for path in build.write(SETTINGS, tmp_path)] == [
        "genesis-chat.json",
        "genesis-currency.json",
    ]


def test_writing_twice_is_no_fault(tmp_path: Path) -> None:
    assert build.write(SETTINGS, tmp_path) == build.write(SETTINGS, tmp_path)


def test_a_different_file_is_left_alone(tmp_path: Path) -> None:
    build.write(SETTINGS, tmp_path)
    before = (tmp_path / "genesis-chat.json").read_bytes()

    with pytest.raises(BadGenesisSettings, match="exists and differs"):
        build.write(replace(SETTINGS, time_ns=0), tmp_path)

    assert (tmp_path / "genesis-chat.json").read_bytes() == before


def test_settings_that_cannot_work_build_nothing() -> None:
    with pytest.raises(BadGenesisSettings, match="there is no validator"):
        build.build(replace(SETTINGS, validators=()))
