"""What an operator reads when a validator's files are damaged or its disk is full, and what helps.

That blocks and state do not fit together is in `test_handshake.py`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.dchat.operator.networks import network
from tests.e2e.nodes import CHAINS, Node, Sender, high_ports
from tests.faults.damage import bend_middle, cut, empty, last_written

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BLOCKS = 6
DISK_BYTES = 48 << 20
Hashes = dict[str, dict[int, str]]


@dataclass
class Site:
    """A validator that made some blocks and was stopped."""

    node: Node
    kept: Path
    hashes: Hashes

    @property
    def comet(self) -> Path:
        return self.node.data_dir / "currency"

    @property
    def state(self) -> Path:
        return self.node.data_dir / "state" / "currency"

    def put_back(self) -> None:
        """All is as it was when the validator was stopped."""
        self.node.kill_tree()
        shutil.rmtree(self.node.data_dir)
        shutil.copytree(self.kept, self.node.data_dir)
        self.node.log.unlink(missing_ok=True)

    def refused(self) -> tuple[str, str]:
        """Error and hint of a validator that cannot go on."""
        self.node.start()
        assert self.node.ended() == 1
        return last_words(self.node)

    def goes_on(self) -> bool:
        """Whether both chains make blocks again, on top of those that they had."""
        self.node.start()
        self.node.wait_for_heights({chain: max(self.hashes[chain]) + 3 for chain in CHAINS})
        return self.hashes == hashes_of(self.node, self.hashes)


def last_words(node: Node) -> tuple[str, str]:
    error, hint = node.tail().splitlines()[-2:]
    assert error.startswith("dchat: error: ")
    assert hint.startswith("dchat: hint: ")
    return error.removeprefix("dchat: error: "), hint.removeprefix("dchat: hint: ")


def hashes_of(node: Node, known: Hashes | None = None) -> Hashes:
    """The app hash in every header, or in those of the heights that are known."""
    wanted = known or {chain: range(1, height + 1) for chain, height in node.heights().items()}
    return {chain: node.app_hashes(chain, list(wanted[chain])) for chain in CHAINS}


def new_validator(folder: Path) -> Node:
    place = high_ports()
    net = network(folder, rpc_port=place.rpc)
    return Node(net, "validator", net.identity, place)


@contextmanager
def running(node: Node) -> Generator[Sender]:
    """The validator has made its first blocks and is paid for more; it is killed at the end."""
    node.start()
    sender = Sender(node, node.network.folder / "rich.json")
    try:
        node.wait_for_heights({"chat": 1, "currency": 1})
        sender.start()
        node.wait_for_heights({"chat": BLOCKS, "currency": BLOCKS})
        yield sender
    finally:
        node.kill_tree()
        sender.stop()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    node = new_validator(tmp_path_factory.mktemp("o"))
    with running(node):
        found = hashes_of(node)
        assert node.stop() == 0
    kept = node.network.folder / "kept"
    shutil.copytree(node.data_dir, kept, ignore=shutil.ignore_patterns("*.sock"))
    return Site(node, kept, found)


@pytest.fixture
def site(made: Site) -> Iterator[Site]:
    made.put_back()
    yield made
    made.node.kill_tree()


def obey(hint: str) -> None:
    """Run the command with which a hint begins."""
    subprocess.run(shlex.split(hint.partition(", then start again")[0]), check=True)


def test_a_bent_store_is_named_and_goes_on_after_the_command_of_the_hint(site: Site) -> None:
    bend_middle(last_written(site.state, "*.log"))

    error, hint = site.refused()
    obey(hint)

    assert f"currency-app exited with status 1: the store in {site.state} is damaged: " in error
    assert hint.startswith(f"mv {site.state} {site.state}.damaged, then start again")
    assert site.goes_on()


def test_a_torn_record_of_what_was_signed_is_refused_until_a_height_is_written(site: Site) -> None:
    path = site.comet / "data" / "priv_validator_state.json"
    height = int(json.loads(path.read_text())["height"])
    cut(path)

    error, hint = site.refused()
    path.write_text(json.dumps({"height": str(height - 1), "round": 0, "step": 3}))

    assert error == f"{path} is damaged"
    assert hint.startswith("do not put an older one back: docs/TROUBLESHOOTING.md")
    assert site.goes_on()


def test_a_bent_key_file_is_made_anew_after_the_command_of_the_hint(site: Site) -> None:
    path = site.comet / "config" / "priv_validator_key.json"
    bend_middle(path)

    error, hint = site.refused()
    obey(hint)

    assert (error, hint.partition(",")[0]) == (f"{path} is damaged", f"rm {path}")
    assert site.goes_on()


def test_databases_of_comet_that_do_not_fit_together_are_told_with_what_to_keep(site: Site) -> None:
    empty(last_written(site.comet / "data" / "state.db", "*.log"))

    error, hint = site.refused()

    assert "currency-node exited with status 2: panic: StoreBlockHeight" in error
    assert "keep data/priv_validator_state.json" in hint


@contextmanager
def small_disk(place: Path) -> Generator[None]:
    place.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(file: Path) -> None:
    """Take all space that is left."""
    for size in (1 << 16, 1 << 9):
        with file.open("ab", buffering=0) as taken, suppress(OSError):
            while taken.write(bytes(size)):
                pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize(
    ("full", "words", "remedy"),
    [
        ("state", "no space is left on the disk", "free some space there and start again"),
        ("currency", "no space left on device", "free some space on the disk of the data dir"),
        (".", "no space", "free some space"),
    ],
    ids=["of the application", "of CometBFT", "of both"],
)
def test_a_full_disk_stops_the_validator_with_its_path_and_more_space_lets_it_go_on(
    tmp_path: Path, full: str, words: str, remedy: str
) -> None:
    node = new_validator(tmp_path)
    place = node.data_dir / full

    with small_disk(place), running(node) as sender:
        found = hashes_of(node)
        fill(place / "ballast")
        ended, (error, hint) = node.ended(), last_words(node)
        (place / "ballast").unlink()
        node.start()
        accepted = sender.accepted
        node.wait_for_heights({chain: max(found[chain]) + 3 for chain in CHAINS})
        node.wait_until(lambda: sender.accepted > accepted, "transaction after the outage")
        again = hashes_of(node, found)

    assert (ended, again) == (1, found)
    assert words in error
    assert str(place) in error
    assert remedy in hint
