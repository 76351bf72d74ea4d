"""`dchat user`, as far as it goes without a network; tests/e2e has the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.node import identity, network
from tests.conftest import Ran
from tests.dchat.node.test_network import network as network_of

Dchat = Callable[..., Ran]


@pytest.fixture
def user(tmp_path: Path, dchat: Dchat) -> Callable[..., Ran]:
    """`dchat user` with a node identity and a network that nobody runs."""
    identity.create(tmp_path / "me.json", "node")
    network.save(tmp_path / "network.toml", network_of(tmp_path))

    def run(*more: object, me: str = "me.json", net: str = "network.toml") -> Ran:
        words = ("--identity", tmp_path / me, "--network", tmp_path / net, *more)
        return dchat("user", *words)

    return run


def test_a_window_is_refused_with_what_to_do_instead(user: Callable[..., Ran]) -> None:
    ran = user("--gui")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "dchat: error: there is no window in this release\n"
        "dchat: hint: leave --gui out: the same commands work in the terminal\n"
    )


def test_an_identity_that_is_not_there_is_named(user: Callable[..., Ran]) -> None:
    ran = user(me="nobody.json")

    assert ran.code == 1
    assert "nobody.json" in ran.err


def test_a_network_that_is_not_there_is_named(user: Callable[..., Ran]) -> None:
    ran = user(net="nowhere.toml")

    assert ran.code == 2
    assert "nowhere.toml" in ran.err


def test_a_sealed_identity_without_terminal_needs_a_passphrase_file(
    user: Callable[..., Ran], tmp_path: Path
) -> None:
    identity.create(tmp_path / "sealed.json", "user", b"correct horse")

    ran = user(me="sealed.json")

    assert ran.code == 6
    assert "--passphrase-file" in ran.err


def test_a_bootstrap_address_without_peer_is_no_relay(user: Callable[..., Ran]) -> None:
    ran = user("--bootstrap", "/ip4/127.0.0.1/tcp/7070")

    assert ran.code == 1
    assert "no relay is known" in ran.err


def test_nothing_is_made_where_nothing_can_start(user: Callable[..., Ran], tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())

    user("--bootstrap", "/ip4/127.0.0.1/tcp/7070")

    assert sorted(tmp_path.iterdir()) == before


def test_both_files_are_required(dchat: Dchat) -> None:
    ran = dchat("user")

    assert ran.code == 2
    assert "--identity" in ran.err
