"""Every way in which CometBFT and the application can be apart when they meet again.

A resting chain is brought there by CometBFT's own fail points, or by putting back what was on disk
earlier. CometBFT's log says which case it found; afterwards the chain must go on, and a replay of
all its blocks must give every app hash that its validator signed.
Source: CometBFT v0.40.0 consensus/replay.go, ReplayBlocks.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dchat.node.storage import Storage
from tests.dchat.operator.networks import network
from tests.e2e.moments import APP, COMETBFT, Moments
from tests.e2e.nodes import Node, high_ports
from tests.fakes.orders import CHAINS
from tests.fakes.replicas import started
from tests.vectors.record import taken
from tests.vectors.replay import play, signed_hashes

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

Triple = tuple[str, str, str]
"""Heights of the application, of CometBFT's blocks and of its state."""

LEFT_ALONE = ""
STRUCK: dict[str, tuple[str, str, Triple]] = {
    # fail point, application's state put back to, what the handshake finds
    "no-block": ("voted", LEFT_ALONE, ("rest", "rest", "rest")),
    "block-stored": ("block_stored", LEFT_ALONE, ("rest", "block", "rest")),
    "block-ended": ("block_ended", LEFT_ALONE, ("rest", "block", "rest")),
    "executed": ("executed", LEFT_ALONE, ("rest", "block", "rest")),
    "response-saved": ("response_saved", LEFT_ALONE, ("rest", "block", "rest")),
    "app-committed": ("app_committed", LEFT_ALONE, ("block", "block", "rest")),
    "equal": ("state_saved", LEFT_ALONE, ("block", "block", "block")),
    "behind-by-one": ("state_saved", "rest", ("rest", "block", "block")),
    "further-behind": ("state_saved", "early", ("early", "block", "block")),
    "further-behind-amid-a-block": ("executed", "early", ("early", "block", "rest")),
    "emptied": ("state_saved", "new", ("none", "block", "block")),
    "emptied-amid-a-block": ("executed", "new", ("none", "block", "rest")),
}
WITHOUT_RESPONSES = ("response-saved", "app-committed", "behind-by-one", "emptied")
NEW = {
    "voted": (0, 0, 0),
    "block_stored": (0, 1, 0),
    "response_saved": (0, 1, 0),
    "app_committed": (1, 1, 0),
    "state_saved": (1, 1, 1),
}


@dataclass
class Lab:
    """A chain at rest, with copies of its disk when it was new, early and at rest."""

    moments: Moments
    heights: dict[str, int]

    def found(self) -> Triple:
        """What the last handshake found, by name."""
        names = {height: name for name, height in self.heights.items()}
        app, blocks, state = (names[height] for height in self.moments.handshakes()[-1])
        return app, blocks, state


@pytest.fixture(scope="module", params=["currency"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    # CometBFT keeps the last block's results for a restart even where it is to discard all.
    discard = {"currency": "false", "chat": "true"}[request.param]
    home = tmp_path_factory.mktemp("h")
    moments = Moments.of(request.param, home, discard_abci_responses=discard)
    moments.save("new")
    moments.start()
    moments.solo.wait_for_height(1)
    early = moments.order()
    moments.solo.stop()
    moments.save("early")
    moments.start()
    moments.solo.wait_for_height(early)
    moments.order()
    rest = moments.order()
    moments.solo.stop()
    moments.save("rest")
    yield Lab(moments, {"none": 0, "early": early, "rest": rest, "block": rest + 1})
    moments.solo.stop(signal.SIGKILL)


@pytest.fixture
def resting(lab: Lab) -> Iterator[Lab]:
    """The lab with everything at rest."""
    lab.moments.put_back("rest", COMETBFT, APP)
    yield lab
    lab.moments.solo.stop(signal.SIGKILL)


@pytest.mark.parametrize(
    ("lab", "case"),
    [*(("currency", case) for case in STRUCK), *(("chat", case) for case in WITHOUT_RESPONSES)],
    indirect=["lab"],
)
def test_the_chain_goes_on(resting: Lab, tmp_path: Path, case: str) -> None:
    point, put_back, expected = STRUCK[case]
    moments = resting.moments
    moments.strike(point)
    moments.put_back(put_back, *([APP] if put_back else []))

    moments.start()
    moments.solo.wait_for_height(resting.heights["block"] + 1)
    rest = moments.order()

    assert resting.found() == expected
    assert_replays(moments, rest, tmp_path)


def assert_replays(moments: Moments, rest: int, folder: Path) -> None:
    """Played into an empty application, the chain gives the hashes that its validator signed."""
    recording = taken(moments.solo, rest - 1)
    played = play(CHAINS[moments.name].machine, recording, folder / "app")
    assert [line[0] for line in played] == signed_hashes(recording)


@pytest.mark.parametrize(("point", "expected"), NEW.items())
def test_a_new_chain_goes_on(
    resting: Lab, tmp_path: Path, point: str, expected: tuple[int, ...]
) -> None:
    moments = resting.moments
    moments.put_back("new", COMETBFT, APP)
    moments.strike_first_block(point)

    moments.start()
    moments.solo.wait_for_height(1)
    rest = moments.order()

    assert moments.handshakes()[-1] == expected
    assert_replays(moments, rest, tmp_path)


def test_an_application_ahead_of_cometbft_is_refused(resting: Lab) -> None:
    moments, heights = resting.moments, resting.heights
    moments.put_back("early", COMETBFT)

    words = moments.refused()

    assert f"app block height ({heights['rest']}) is higher than core ({heights['early']})" in words
    assert height_on_disk(moments) == heights["rest"]


def test_an_emptied_cometbft_is_refused(resting: Lab) -> None:
    resting.moments.put_back("new", COMETBFT)

    words = resting.moments.refused()

    assert "Did you reset CometBFT without resetting your application's data?" in words
    assert height_on_disk(resting.moments) == resting.heights["rest"]


def test_an_application_of_another_genesis_at_the_same_height_is_refused(resting: Lab) -> None:
    grow_elsewhere(resting.moments, resting.heights["rest"])

    words = resting.moments.refused()

    assert "state.AppHash does not match AppHash after replay" in words


def test_an_application_of_another_genesis_that_is_behind_is_refused(resting: Lab) -> None:
    grow_elsewhere(resting.moments, resting.heights["early"])

    words = resting.moments.refused()

    assert "block.AppHash does not match AppHash after replay" in words


def test_an_operator_is_told_what_to_do_and_it_helps(tmp_path: Path) -> None:
    place = high_ports()
    net = network(tmp_path, rpc_port=place.rpc)
    node = Node(net, "validator", net.identity, place)
    blocks, state = node.data_dir / "currency" / COMETBFT, node.data_dir / "state" / "currency"

    with killed_at_the_end(node):
        run_until(node, 3)
        shutil.copytree(blocks, tmp_path / "older")
        run_until(node, 6)
        shutil.rmtree(blocks)
        (tmp_path / "older").rename(blocks)
        node.start()
        refused = (node.ended(), node.tail().splitlines()[-2:])
        state.rename(tmp_path / "away")
        run_until(node, 9)

    assert refused[0] == 1
    assert "is higher than core" in refused[1][0]
    assert "dchat: hint: this state is not of these blocks: move " in refused[1][1]


@contextmanager
def killed_at_the_end(node: Node) -> Generator[None]:
    try:
        yield
    finally:
        node.kill_tree()


def run_until(node: Node, height: int) -> None:
    node.start()
    node.wait_for_heights({"currency": height})
    assert node.stop() == 0


def height_on_disk(moments: Moments) -> int:
    with closing(Storage.open(moments.solo.home / APP)) as storage:
        return storage.height


def grow_elsewhere(moments: Moments, height: int) -> None:
    """The application's state is that of another chain, at this height."""
    moments.put_back("new", APP)
    with closing(Storage.open(moments.solo.home / APP)) as storage:
        node = started(CHAINS[moments.name].machine, storage)
        node.init()
        [node.block() for _ in range(height)]
