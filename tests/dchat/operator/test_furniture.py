from __future__ import annotations

import json
from pathlib import Path

import pytest

from dchat.kernel.amounts import UNIT
from dchat.node import config, identity, network
from dchat.node.config import RelayConfig, ValidatorConfig
from dchat.operator import chains, estate, furniture
from dchat.operator.estate import Wanted
from dchat.operator.layout import Estate
from dchat.operator.plan import ValidatorPlan, plan

NOW_S = 1_795_410_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    return estate.create(tmp_path_factory.mktemp("made") / "devnet", NOW_S, Wanted(3, 1))


@pytest.fixture(scope="module")
def plans(made: Estate) -> list[ValidatorPlan]:
    files = furniture.write_settings(made)
    return [
        plan(config.load(ValidatorConfig, files[member.name], {}, {}).settings)
        for member in made.members
    ]


def test_validators_are_founders_of_both_chains_and_full_nodes_are_not(
    plans: list[ValidatorPlan],
) -> None:
    founders = [[each.is_founder for each in planned.chains] for planned in plans]

    assert founders == [[True, True]] * 3 + [[False, False]]


def test_all_nodes_begin_from_the_same_genesis(plans: list[ValidatorPlan]) -> None:
    assert len({planned.chains[0].genesis for planned in plans}) == 1
    assert len({planned.chains[1].genesis for planned in plans}) == 1


def test_the_network_file_names_every_nodes_rpc(made: Estate, plans: list[ValidatorPlan]) -> None:
    found = network.load(made.network)

    assert found.currency.rpc == tuple(planned.chains[0].rpc_url for planned in plans)
    assert found.chat.rpc == tuple(planned.chains[1].rpc_url for planned in plans)


def test_a_node_knows_every_other_validator_by_its_id(
    made: Estate, plans: list[ValidatorPlan]
) -> None:
    first, full = plans[0].chains[1], plans[3].chains[1]

    assert sorted(full.known.values()) == sorted(
        furniture.node_id(made, member, chains.both(made.name)[1]) for member in made.validators
    )
    assert first.keys.node_id not in first.known.values()
    assert len(first.known) == 2


def test_genesis_names_the_validators_as_the_devnet_does(plans: list[ValidatorPlan]) -> None:
    names = sorted(plans[0].chains[0].names.values())

    assert names == ["validator-1", "validator-2", "validator-3"]


def test_the_relay_listens_where_the_network_file_says(made: Estate) -> None:
    relay = furniture.write_settings(made)["relay"]

    settings = config.load(RelayConfig, relay, {}, {}).settings

    listed = network.load(made.network).relays[0]
    assert listed.startswith(f"/ip4/127.0.0.1/tcp/{settings.network.listen_address.port}/")


def test_no_two_processes_share_a_port(made: Estate, plans: list[ValidatorPlan]) -> None:
    used = [
        str(place)
        for planned in plans
        for place in (
            *(each.p2p for each in planned.chains),
            *(each.rpc for each in planned.chains),
            planned.settings.observability.health,
            planned.settings.observability.metrics,
        )
    ]

    assert len(set(used)) == len(used) == 6 * len(plans)
    assert plans[0].settings.consensus.timeout_commit == 500


def test_users_are_sealed_and_their_passphrases_owner_only(made: Estate) -> None:
    passphrase = identity.read_passphrase(made.passphrase("alice"))

    assert identity.read(made.identity("alice")).seal is not None
    assert identity.load(made.identity("alice"), passphrase).kind == "user"
    assert made.passphrase("alice").stat().st_mode & 0o777 == 0o600


def test_users_founders_and_the_relay_are_funded_on_both_chains(
    plans: list[ValidatorPlan],
) -> None:
    currency, chat = (each.summary for each in plans[0].chains)

    assert currency.supply == (2 * 1000 + 3 * 1100 + 200) * UNIT
    assert chat.supply == 6 * 1000 * UNIT
    assert currency.staked == 3 * 1000 * UNIT


def test_founders_vote_by_their_stake_on_both_chains(plans: list[ValidatorPlan]) -> None:
    members = [json.loads(each.genesis)["validators"] for each in plans[0].chains]

    assert [[member["power"] for member in each] for each in members] == [["1000"] * 3] * 2


def test_an_identity_that_is_there_is_kept(made: Estate) -> None:
    before = made.identity("validator-1").read_bytes()

    furniture.ensure_nodes(made)

    assert made.identity("validator-1").read_bytes() == before


def test_settings_name_absolute_paths(made: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.root.parent)
    near = Estate(Path(made.root.name), made.name, made.ports, made.size)

    text = furniture.write_settings(near)["validator-1"].read_text()

    assert f'data_dir = "{made.root.resolve() / "validator-1"}"' in text
