"""Bad requests by the thousand: blocks keep coming, and what was accepted beside them gets in."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.bad_requests import BAD, Flood, funded_genesis
from tests.e2e.load import load
from tests.e2e.solo import Solo

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

COUNT = 3000
CHAINS = ("chat", "currency")


@pytest.mark.parametrize("chain", CHAINS)
def test_blocks_and_accepted_transactions_survive_a_flood_of_bad_requests(
    tmp_path_factory: pytest.TempPathFactory, chain: str
) -> None:
    solo = Solo(tmp_path_factory.mktemp("n"), f"abci_{chain}", funded_genesis())
    solo.start()
    solo.wait_for_height(2)
    flood = Flood(solo.rpc_port, COUNT)

    with load(solo, chain) as good:
        before = solo.height()
        flood.run()
        after = solo.height()
        solo.wait_for_height(after + 2)
    solo.wait_for_height(solo.height() + 2)

    assert flood.took.total() == COUNT
    assert len({name.partition(":")[0] for name in flood.took}) == len(BAD)
    assert after > before + 2
    assert good.committed_nonce() == good.accepted > 0
    assert resident_mib(solo) < 600
    assert solo.stop(signal.SIGTERM) == [0, 0]


def resident_mib(solo: Solo) -> int:
    """What the application holds in memory."""
    assert solo.app is not None
    return int(Path(f"/proc/{solo.app.pid}/statm").read_text().split()[1]) * 4 >> 10
