"""What the commands that talk to a chain have in common."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from dchat.cli.chains import entry_of, with_chain
from dchat.node import network
from dchat.node.chain import OpenChain
from dchat.node.witness import ForkFound
from tests.dchat.node.test_network import network as network_of


def test_chain_is_found_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "network.toml"
    network.save(path, network_of(tmp_path))

    ids = [entry_of(str(path), name).chain_id for name in ("chat", "currency")]

    assert ids == ["devnet", "d-currency"]


def test_task_runs_on_the_opened_chain(tmp_path: Path) -> None:
    async def ask(chain: OpenChain) -> str:
        await trio.lowlevel.checkpoint()
        return chain.entry.chain_id

    assert with_chain(network_of(tmp_path).chat, ask) == "devnet"


FORK = ForkFound(7, '{"both": 1}', "two headers of height 7")


async def find_fork(_: OpenChain) -> None:
    await trio.lowlevel.checkpoint()
    raise FORK


def test_evidence_of_a_fork_is_left_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ForkFound, match=r"the evidence is in dchat-fork-devnet-7\.json"):
        with_chain(network_of(tmp_path).chat, find_fork)

    assert (tmp_path / "dchat-fork-devnet-7.json").read_text() == FORK.evidence


def test_evidence_that_is_there_is_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dchat-fork-devnet-7.json").write_text("first")

    with pytest.raises(ForkFound, match="already"):
        with_chain(network_of(tmp_path).chat, find_fork)

    assert (tmp_path / "dchat-fork-devnet-7.json").read_text() == "first"


def test_evidence_that_cannot_be_written_does_not_hide_the_fork(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dchat-fork-devnet-7.json").symlink_to(tmp_path / "no" / "such")

    with pytest.raises(ForkFound, match="two headers of height 7"):
        with_chain(network_of(tmp_path).chat, find_fork)
