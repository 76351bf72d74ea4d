from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.node import config, identity
from dchat.node.address import Address
from dchat.node.config import ValidatorConfig
from dchat.operator import home
from dchat.operator.plan import (
    BlockSizeDiffers,
    NoGenesis,
    ValidatorPlan,
    WrongChain,
    keys_of,
    plan,
)
from genesis import build
from genesis.check import GenesisRefused
from tests.dchat.operator.networks import Network, network


@pytest.fixture
def net(tmp_path: Path) -> Network:
    return network(tmp_path)


def planned(net: Network, **flags: object) -> ValidatorPlan:
    given: dict[str, object] = {
        "validator.identity_file": net.identity,
        "validator.chain_id": "test",
        "validator.data_dir": net.folder / "data",
        "validator.network": net.file,
    }
    given |= {key.replace("__", "."): value for key, value in flags.items()}
    return plan(config.load(ValidatorConfig, None, given, {}).settings)


def test_both_chains_are_planned_in_starting_order(net: Network) -> None:
    currency, chat = planned(net).chains

    assert (currency.chain.chain_id, chat.chain.chain_id) == ("test-currency", "test")
    assert (currency.p2p.port, currency.rpc.port) == (26_666, 26_667)
    assert (chat.p2p.port, chat.rpc_url) == (26_656, "http://127.0.0.1:26657")
    assert (chat.is_founder, currency.is_founder) == (True, True)
    assert chat.keys.node_id != currency.keys.node_id


def test_an_identity_outside_genesis_makes_a_full_node(net: Network) -> None:
    stranger = net.folder / "stranger.json"
    identity.create(stranger, "node")

    assert [each.is_founder for each in planned(net, validator__identity_file=stranger).chains] == [
        False,
        False,
    ]


def test_genesis_files_can_be_given_in_any_order(net: Network) -> None:
    files = [net.folder / name for name in sorted(build.FILES.values(), reverse=True)]

    found = planned(net, validator__network=None, validator__genesis_files=files)

    assert found == planned(net) or found.chains == planned(net).chains


def test_a_second_start_needs_no_genesis_file(net: Network) -> None:
    first = planned(net)
    for each in first.chains:
        (each.home / "config").mkdir(parents=True)
        (each.home / "config" / "genesis.json").write_bytes(each.genesis)

    again = planned(net, validator__network=None)

    assert [each.genesis for each in again.chains] == [each.genesis for each in first.chains]


def test_a_first_start_without_genesis_is_refused(net: Network) -> None:
    with pytest.raises(NoGenesis, match="no genesis file for test-currency was given"):
        planned(net, validator__network=None)


def test_another_chains_network_file_is_refused(net: Network) -> None:
    with pytest.raises(WrongChain, match="is of test-currency, not of other-currency"):
        planned(net, validator__chain_id="other")


def test_a_missing_chains_genesis_is_refused(net: Network) -> None:
    files = [net.folder / build.FILES["chat"]]

    with pytest.raises(WrongChain, match="names test, not test-currency"):
        planned(net, validator__network=None, validator__genesis_files=files)


def test_a_directory_started_with_another_genesis_is_refused(net: Network) -> None:
    place = net.folder / "data" / "currency" / "config"
    place.mkdir(parents=True)
    (place / "genesis.json").write_bytes(b"{}")

    with pytest.raises(home.GenesisDiffers, match="was started with genesis"):
        planned(net)


GENESIS_HARMS: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    "no json": (lambda path: path.write_bytes(b"["), WrongChain),
    "no object": (lambda path: path.write_bytes(b"[]"), WrongChain),
    "no chain id": (lambda path: path.write_bytes(b"{}"), WrongChain),
    "nothing else": (lambda path: path.write_text('{"chain_id": "test-currency"}'), GenesisRefused),
}


@pytest.mark.parametrize("harm", GENESIS_HARMS)
def test_a_file_that_is_no_genesis_is_refused(net: Network, harm: str) -> None:
    do, fault = GENESIS_HARMS[harm]
    files = [net.folder / name for name in build.FILES.values()]
    do(net.folder / build.FILES["currency"])

    with pytest.raises(fault):
        planned(net, validator__network=None, validator__genesis_files=files)


def test_a_block_size_that_genesis_decided_otherwise_is_refused(net: Network) -> None:
    with pytest.raises(BlockSizeDiffers, match="max_block_size is 1048576, genesis says 10485760"):
        planned(net, consensus__max_block_size=1 << 20)


def test_a_block_size_that_agrees_is_fine(net: Network) -> None:
    assert planned(net, consensus__max_block_size="10MiB").chains


def test_the_network_files_seeds_are_known_by_address(net: Network) -> None:
    net.change("seeds = []", f'seeds = ["{"a" * 40}@[::1]:9"]')

    assert dict(planned(net).chains[1].known) == {Address("::1", 9): "a" * 40}


def test_a_node_does_not_dial_itself(net: Network) -> None:
    own = keys_of(identity.load(net.identity), "chat").node_id
    net.change("seeds = []", f'seeds = ["{own}@127.0.0.1:26656"]')

    assert dict(planned(net).chains[1].known) == {}


def test_a_bootstrap_id_counts_on_the_chat_chain_only(net: Network) -> None:
    peer = f"/ip4/v1.dchat.org/tcp/26656/p2p/{'b' * 40}"

    currency, chat = planned(net, network__bootstrap_validators=[peer]).chains

    assert (chat.bootstrap[0].peer_id, chat.bootstrap[0].address.port) == ("b" * 40, 26_656)
    assert (currency.bootstrap[0].peer_id, currency.bootstrap[0].address.port) == (None, 26_666)


def test_the_genesis_that_is_planned_is_the_networks_own(net: Network) -> None:
    assert json.loads(planned(net).chains[1].genesis)["chain_id"] == "test"
