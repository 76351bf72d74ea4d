from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.node import http
from dchat.node.address import Address
from tests.conftest import Ran
from tests.dchat.operator.networks import Network, network

Dchat = Callable[..., Ran]


@pytest.fixture
def net(tmp_path: Path) -> Network:
    return network(tmp_path)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DCHAT_COMETBFT", raising=False)
    monkeypatch.delenv("DCHAT_LOG", raising=False)


def args(net: Network, *more: object) -> tuple[object, ...]:
    return (
        *("validator", "--identity", net.identity, "--chain-id", "test"),
        *("--data-dir", net.folder / "data", "--network", net.file, *more),
    )


def test_valid_settings_are_said_to_be_valid(net: Network, dchat: Dchat) -> None:
    ran = dchat(*args(net, "--validate"))

    assert (ran.code, ran.out, ran.err) == (0, "the settings are valid\n", "")
    assert not (net.folder / "data").exists()


def test_a_rehearsal_opens_everything_and_writes_nothing(net: Network, dchat: Dchat) -> None:
    ports = ("--listen", "127.0.0.1:0", "--rpc-listen", "127.0.0.1:0")
    more = ("--health-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0", "--dry-run")

    ran = dchat(*args(net, *ports, *more))

    assert (ran.code, ran.out) == (0, "everything opened; the validator would run\n")
    assert not (net.folder / "data").exists()


def test_a_rehearsal_finds_a_port_in_use(net: Network, dchat: Dchat) -> None:
    with http.listen(Address("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"

        ran = dchat(*args(net, "--listen", where, "--dry-run"))

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        f"dchat: error: address {where} is already in use\n"
        "dchat: hint: stop the other process, or choose another address or port\n"
    )


def test_a_file_can_hold_every_setting(net: Network, dchat: Dchat) -> None:
    file = net.folder / "validator.toml"
    file.write_text(
        f'[validator]\nidentity_file = "{net.identity}"\nchain_id = "test"\ndata_dir = "d"\n'
    )

    assert dchat("validator", "--config", file, "--validate").code == 0


@pytest.mark.parametrize(
    ("more", "code", "error"),
    [
        (("--stake", "0"), 2, "--stake: staking.initial_stake: input should be greater than"),
        (("--listen", "here"), 2, "--listen: network.listen_address: 'here' has no port"),
        (("--bootstrap", "v1:1"), 2, "is not /ip4/HOST/tcp/PORT"),
        (("--log-level", "loud"), 2, "must be one of error, warn, info, debug, trace"),
        (("--chain-id", "A B"), 2, "--chain-id: validator.chain_id: string should match"),
        (("--config", "absent.toml"), 2, "absent.toml: No such file or directory"),
        (("--hsm",), 2, "no such option: --hsm"),
        (("--identity", "absent.json"), 1, "absent.json: No such file or directory"),
        (("--chain-id", "other"), 1, "the network file is of test-currency, not of other-currency"),
        (("--network", "absent.toml"), 2, "absent.toml: No such file or directory"),
    ],
)
def test_a_refused_start_writes_nothing(
    net: Network, dchat: Dchat, more: tuple[str, ...], code: int, error: str
) -> None:
    before = sorted(net.folder.rglob("*"))

    ran = dchat(*args(net, *more))

    assert (ran.code, ran.out) == (code, "")
    assert error in ran.err
    assert ran.err.startswith("dchat: error: ")
    assert sorted(net.folder.rglob("*")) == before


def test_a_stake_below_the_networks_minimum_is_refused_with_the_least(
    net: Network, dchat: Dchat
) -> None:
    ran = dchat(*args(net, "--identity", net.folder / "rich.json", "--stake", "9"))

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "dchat: error: a stake of 9 DCHAT is below the network's minimum of 10\n"
        "dchat: hint: give --stake 10 or more, or none to run a full node\n"
    )


def test_a_founder_may_keep_the_flag_with_which_others_join(net: Network, dchat: Dchat) -> None:
    ports = ("--listen", "127.0.0.1:0", "--rpc-listen", "127.0.0.1:0")
    more = ("--health-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0", "--dry-run")

    ran = dchat(*args(net, "--stake", "9", *ports, *more))

    assert (ran.code, ran.err) == (0, "")


def test_another_rule_than_genesis_has_is_refused(net: Network, dchat: Dchat) -> None:
    file = net.folder / "validator.toml"
    file.write_text("[staking]\nunbonding_time = 60\n")

    ran = dchat(*args(net, "--config", file))

    assert (ran.code, ran.out) == (1, "")
    assert "staking.unbonding_time is 60, genesis says 1209600" in ran.err


def test_a_changed_genesis_file_is_refused(net: Network, dchat: Dchat) -> None:
    path = net.folder / "genesis-chat.json"
    path.write_bytes(path.read_bytes() + b" ")

    ran = dchat(*args(net))

    assert ran.code == 2
    assert "genesis-chat.json has sha256" in ran.err
