from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dchat.node import config, http, identity, network
from dchat.node.address import Address
from dchat.node.config import RelayConfig, ValidatorConfig
from dchat.operator import estate
from dchat.operator.estate import DevnetUnreadable, Estate, NotADevnet, RelayPortTaken
from dchat.operator.plan import plan
from dchat.operator.ports import HOST

NOW_S = 1_795_410_000


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    return estate.create(tmp_path_factory.mktemp("template") / "devnet", NOW_S)


@pytest.fixture
def made(tmp_path: Path, template: Estate) -> Estate:
    root = tmp_path / "devnet"
    shutil.copytree(template.root, root)
    return replace(template, root=root)


def test_everything_in_it_fits_together(made: Estate) -> None:
    validator, relay = estate.write_configs(made)

    planned = plan(config.load(ValidatorConfig, validator, {}, {}).settings)
    settings = config.load(RelayConfig, relay, {}, {}).settings

    found = network.load(made.network)
    assert [each.is_founder for each in planned.chains] == [True, True]
    assert found.chat.rpc == (planned.chains[1].rpc_url,)
    assert found.relays[0].startswith(f"/ip4/127.0.0.1/tcp/{settings.network.listen_address.port}/")
    assert planned.settings.consensus.timeout_commit == 500


def test_users_are_sealed_and_their_passphrases_owner_only(made: Estate) -> None:
    passphrase = identity.read_passphrase(made.passphrase("alice"))

    assert identity.read(made.identity("alice")).seal is not None
    assert identity.load(made.identity("alice"), passphrase).kind == "user"
    assert made.passphrase("alice").stat().st_mode & 0o777 == 0o600


def test_both_users_are_funded_on_both_chains(made: Estate) -> None:
    planned = plan(config.load(ValidatorConfig, estate.write_configs(made)[0], {}, {}).settings)

    assert [each.summary.supply for each in planned.chains] == [2_000_000_000, 2_000_000_000]


def test_a_second_start_finds_the_same_devnet(made: Estate) -> None:
    assert estate.exists(made.root)
    assert estate.load(made.root) == made


def test_taken_ports_are_replaced_and_written_down(made: Estate) -> None:
    with http.listen(Address(HOST, made.ports.rpc)):
        moved = estate.load(made.root)

    assert moved.ports.rpc != made.ports.rpc
    assert network.load(made.network).chat.rpc == (f"http://{HOST}:{moved.ports.rpc}",)
    assert estate.load(made.root) == moved


def test_a_relay_port_that_users_registered_is_not_moved(made: Estate) -> None:
    with http.listen(Address(HOST, made.ports.relay)), pytest.raises(RelayPortTaken) as caught:
        estate.load(made.root)

    assert "--fresh" in caught.value.hint


def test_an_empty_or_absent_directory_is_no_devnet_yet(tmp_path: Path) -> None:
    assert not estate.exists(tmp_path)
    assert not estate.exists(tmp_path / "absent")


STRANGERS: dict[str, Callable[[Path], object]] = {
    "a file": lambda path: path.write_text("mine"),
    "a directory with a file": lambda path: (path.mkdir(), (path / "thesis.txt").write_text("x")),
    "a link": lambda path: path.symlink_to(path.parent),
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_what_is_not_a_devnet_is_left_alone(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "devnet"
    STRANGERS[kind](root)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(NotADevnet):
        estate.exists(root)
    with pytest.raises(NotADevnet):
        estate.create(root, NOW_S)
    with pytest.raises(NotADevnet):
        estate.remove(root)

    assert sorted(tmp_path.rglob("*")) == before


def test_removal_leaves_the_lock_only(made: Estate) -> None:
    (made.root / "lock").touch()

    estate.remove(made.root)

    assert [each.name for each in made.root.iterdir()] == ["lock"]


def test_a_devnet_with_a_strangers_file_is_not_removed(made: Estate) -> None:
    (made.root / "thesis.txt").write_text("mine")

    with pytest.raises(NotADevnet, match=r"also holds thesis\.txt"):
        estate.remove(made.root)

    assert estate.load(made.root) == made


def test_a_cut_off_creation_starts_over(made: Estate) -> None:
    (made.root / estate.BEGUN).touch()
    (made.root / estate.MARKER).unlink()

    again = estate.create(made.root, NOW_S)

    assert again.name != made.name
    assert estate.load(made.root) == again


@pytest.mark.parametrize(
    "content",
    [
        "",
        "format = 1\n",
        "format = 2\n[ports]\n",
        'format = 1\nname = "x"\n[ports]\np2p = "a"\n',
        "[",
    ],
)
def test_a_damaged_marker_is_said_to_be(made: Estate, content: str) -> None:
    (made.root / estate.MARKER).write_text(content)

    with pytest.raises(DevnetUnreadable, match=r"devnet\.toml"):
        estate.load(made.root)
