"""Votes that only ZIP-215 accepts: CometBFT makes blocks with them, and our light client follows.

One that judged by libsodium alone would stop here, and with it every client of such a validator.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import trio
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from abci_currency.machine import MACHINE
from dchat.kernel.headers import vote_sign_bytes
from dchat.kernel.ids import Height
from dchat.kernel.light import (
    MIN_DRIFT_NS,
    LightBlock,
    TrustRoot,
    start,
    verify,
)
from dchat.kernel.wire import NS_PER_SECOND
from dchat.node import rpc
from dchat.node.clock import SystemClock
from tests.e2e.odd_signer import OddSigner
from tests.e2e.solo import Solo
from tests.fakes.consensus import genesis_bytes

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PERIOD_NS = 3600 * NS_PER_SECOND
LAST = 6


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LightBlock, ...]]:
    """The first blocks of a real chain whose one validator signs oddly."""
    home = tmp_path_factory.mktemp("n")
    laddr = {"priv_validator_laddr": f'"unix://{home}/signer.sock"'}
    solo = Solo(home, f"abci_{MACHINE.name}", genesis_bytes(), settings=laddr)
    signer = OddSigner(home, solo.chain_id)
    signer.start()
    solo.start()
    solo.wait_for_height(LAST + 1)
    yield trio.run(fetch, solo)
    solo.stop(signal.SIGKILL)
    signer.join()


async def fetch(solo: Solo) -> tuple[LightBlock, ...]:
    async with rpc.connect([f"http://127.0.0.1:{solo.rpc_port}"]) as client:
        return tuple([await client.light_block(Height(at)) for at in range(1, LAST + 1)])


def is_refused_by_libsodium(block: LightBlock) -> bool:
    """Whether the block's one vote is none by the rules of our transactions."""
    (vote,) = block.commit.signatures
    message = vote_sign_bytes(block.header.chain_id, block.commit, vote)
    try:
        VerifyKey(block.validators.validators[0].public_key).verify(message, vote.signature)
    except BadSignatureError:
        return True
    return False


def test_comet_makes_blocks_whose_every_vote_libsodium_refuses(
    blocks: tuple[LightBlock, ...],
) -> None:
    assert [is_refused_by_libsodium(block) for block in blocks] == [True] * LAST


def test_the_light_client_believes_each_of_them(blocks: tuple[LightBlock, ...]) -> None:
    first, now_ns = blocks[0], SystemClock().now() * 1_000_000
    header = first.header
    root = TrustRoot(header.chain_id, header.height, header.time_ns, header.validators_hash)

    trusted = start(root, first, now_ns, PERIOD_NS, MIN_DRIFT_NS)
    followed = [verify(trusted, each, now_ns, PERIOD_NS, MIN_DRIFT_NS) for each in blocks[1:]]

    assert [each.height for each in followed] == list(range(2, LAST + 1))
