from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from dchat.node import http, network
from dchat.node.address import Address
from dchat.operator import estate
from dchat.operator.estate import (
    DevnetUnreadable,
    NotADevnet,
    OtherSize,
    RelayPortTaken,
    Wanted,
)
from dchat.operator.layout import Estate, Size
from dchat.operator.ports import HOST, Ports

NOW_S = 1_795_410_000
PORTS = "".join(f"{name} = 1\n" for name in asdict(Ports()))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    return estate.create(tmp_path_factory.mktemp("template") / "devnet", NOW_S, Wanted(2, 1))


@pytest.fixture
def made(tmp_path: Path, template: Estate) -> Estate:
    root = tmp_path / "devnet"
    shutil.copytree(template.root, root)
    return replace(template, root=root)


def test_a_second_start_finds_the_same_devnet(made: Estate) -> None:
    assert estate.exists(made.root)
    assert estate.load(made.root) == made


def test_the_number_of_validators_is_kept(made: Estate) -> None:
    with pytest.raises(OtherSize, match="has 2 validators, not 4") as caught:
        estate.load(made.root, Wanted(validators=4))

    assert "--fresh" in caught.value.hint
    assert estate.load(made.root, Wanted(validators=2)) == made


@pytest.mark.parametrize("full_nodes", [0, 2])
def test_full_nodes_come_and_go(made: Estate, full_nodes: int) -> None:
    resized = estate.load(made.root, Wanted(full_nodes=full_nodes))

    assert resized.size == Size(2, full_nodes)
    assert len(network.load(made.network).chat.rpc) == 2 + full_nodes
    assert all(resized.identity(each.name).exists() for each in resized.members)
    assert estate.load(made.root) == resized


def test_a_network_file_left_behind_by_a_kill_is_put_right(made: Estate) -> None:
    right = made.network.read_text()
    made.network.write_text(right.replace(f":{made.ports.rpc}", ":1"))

    estate.load(made.root)

    assert made.network.read_text() == right


def test_taken_ports_are_replaced_and_written_down(made: Estate) -> None:
    with http.listen(Address(HOST, made.ports.rpc)):
        moved = estate.load(made.root)

    assert moved.ports.rpc != made.ports.rpc
    assert network.load(made.network).chat.rpc[0] == f"http://{HOST}:{moved.ports.rpc}"
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


def test_a_devnet_of_the_first_format_can_be_removed(made: Estate) -> None:
    (made.root / estate.MARKER).write_text("format = 1\n")
    (made.root / "validator").mkdir()
    (made.root / "validator.toml").touch()

    estate.remove(made.root)

    assert list(made.root.iterdir()) == []


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
        "format = 2\n",
        "format = 3\n[ports]\n",
        'format = 3\nname = "x"\n[ports]\np2p = "a"\n',
        'format = 3\nname = "x"\nvalidators = 0\nfull_nodes = 0\n[ports]\n' + PORTS,
        'format = 3\nname = "x"\nvalidators = 99\nfull_nodes = 0\n[ports]\n' + PORTS,
        "[",
    ],
)
def test_a_damaged_marker_is_said_to_be(made: Estate, content: str) -> None:
    (made.root / estate.MARKER).write_text(content)

    with pytest.raises(DevnetUnreadable, match=r"devnet\.toml"):
        estate.load(made.root)
