"""`dchat query`, as far as it goes without a chain; tests/e2e has the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dchat.kernel import accounts
from dchat.node import network
from tests.conftest import Ran
from tests.dchat.node.test_network import network as network_of
from tests.fakes.memory import BOB

Dchat = Callable[..., Ran]
ACCOUNT = accounts.show_account(BOB.id)
NOBODY = ("http://127.0.0.1:9",)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A network file whose nodes do not listen."""
    path, found = tmp_path / "network.toml", network_of(tmp_path)
    network.save(
        path,
        replace(
            found,
            chat=replace(found.chat, rpc=NOBODY),
            currency=replace(found.currency, rpc=NOBODY),
        ),
    )
    return path


@pytest.mark.parametrize(
    "words",
    [
        ("account", ACCOUNT),
        ("balance", ACCOUNT),
        ("balance", ACCOUNT, "--trust"),
        ("identity", "alice"),
        ("params", "--chain", "chat"),
        ("block",),
        ("block", "5"),
        ("tx", "ab" * 32),
    ],
)
def test_node_that_does_not_answer_is_told_with_its_address(
    dchat: Dchat, file: Path, words: tuple[str, ...]
) -> None:
    ran = dchat("query", *words, "--network", file)

    assert (ran.code, ran.out) == (1, "")
    assert "http://127.0.0.1:9" in ran.err
    assert "dchat: hint: check that the node runs" in ran.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("account", "bob"), 1, "'bob' is not an account id"),
        (("balance", ACCOUNT.upper()[:-1]), 1, "is not an account id"),
        (("tx", "xyz"), 2, "'xyz' is not a transaction hash"),
        (("tx", "ab" * 31), 2, "is not a transaction hash"),
        (("block", "0"), 2, "invalid value"),
        (("block", "two"), 2, "invalid value"),
        (("params", "--chain", "mail"), 2, "invalid value"),
    ],
)
def test_wrong_argument_is_told(
    dchat: Dchat, file: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    ran = dchat("query", *words, "--network", file)

    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def test_network_comes_from_the_environment_too(
    dchat: Dchat, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCHAT_NETWORK", str(file))

    assert "http://127.0.0.1:9" in dchat("query", "block").err


def test_height_below_the_root_of_trust_is_told(dchat: Dchat, file: Path) -> None:
    found = network.load(file)
    root = replace(found.currency.root, height=50)
    network.save(file, replace(found, currency=replace(found.currency, root=root)))

    ran = dchat("query", "block", "49", "--network", file)

    assert (ran.code, ran.out) == (1, "")
    assert "height 49 is below the root of trust's 50" in ran.err
