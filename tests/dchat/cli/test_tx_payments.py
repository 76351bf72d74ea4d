"""`dchat tx` payments: what is told before anything is sent, and what is told after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.kernel import accounts
from dchat.node import identity, network
from tests.conftest import Ran
from tests.dchat.node.test_network import network as network_of
from tests.fakes.memory import BOB

Dchat = Callable[..., Ran]
TO = accounts.show_account(BOB.id)


@pytest.fixture
def send(tmp_path: Path, dchat: Dchat) -> Callable[..., Ran]:
    """`dchat tx send` from a node identity, with what the test changes."""
    identity.create(tmp_path / "alice.json", "node")
    network.save(tmp_path / "network.toml", network_of(tmp_path))

    def run(**changes: object) -> Ran:
        options = {
            "identity": tmp_path / "alice.json",
            "network": tmp_path / "network.toml",
            "to": TO,
            "amount": "5",
            **changes,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return dchat("tx", "send", *words)

    return run


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"to": "bob"}, 1, "dchat: error: 'bob' is not an account id"),
        ({"to": TO[:-1]}, 1, "is not an account id"),
        ({"amount": "five"}, 1, "dchat: error: 'five' is not an amount"),
        ({"amount": "0.1234567"}, 1, "is not an amount"),
        ({"amount": "-5"}, 1, "is not an amount"),
        ({"amount": "1e3"}, 1, "is not an amount"),
        ({"network": "nowhere.toml"}, 2, "dchat: error: 'nowhere.toml' is no network file"),
        ({"identity": "nobody.json"}, 1, "nobody.json"),
        ({"memo": "x" * 257}, 1, "over 256 bytes"),
    ],
)
def test_wrong_option_is_told_before_anything_is_sent(
    send: Callable[..., Ran], changes: dict[str, str], code: int, said: str
) -> None:
    ran = send(**changes)

    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def test_passphrase_file_that_is_missing_is_told(send: Callable[..., Ran], tmp_path: Path) -> None:
    ran = send(**{"passphrase-file": tmp_path / "none"})

    assert (ran.code, ran.out) == (1, "")
    assert "none" in ran.err
