"""A verified header compared with what other nodes have at its height.

Whoever holds more than two thirds of the voting power, or did within the trusting period, can sign
a second chain for one victim. One honest node in the network file shows it: then two headers of
one height both verify. CometBFT's light client looks for the same in its detector.

Source: CometBFT v0.40.0 light/detector.go.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import trio

from dchat.kernel.errors import OperatorError, ProtocolError
from dchat.kernel.headers import header_hash
from dchat.kernel.ids import Height
from dchat.kernel.light import LightBlock, TrustedBlock
from dchat.node.follow import Followed, Follower
from dchat.node.rpc import Chain, RpcRefused

MAX_WITNESSES: Final = 2
PATIENCE_S: Final = 3.0
POLL_S: Final = 0.3
REST_S: Final = 60.0

_NO_HEADER: Final = b""


class ForkFound(OperatorError):
    """Two headers of one height both verify. Attributes: height, evidence -- JSON text."""

    exit_code = 12
    hint = (
        "believe neither chain and send nothing; give the evidence to the network's operators:"
        " validators that signed both lose their stake"
    )

    def __init__(self, height: int, evidence: str, message: str) -> None:
        super().__init__(message)
        self.height = height
        self.evidence = evidence


@dataclass(frozen=True, slots=True)
class Witnessed:
    """How many other nodes were asked for a header, and how many have the same one."""

    asked: int = 0
    agreed: int = 0


class Comparison:
    """Compares headers with those of other nodes, each within PATIENCE_S."""

    def __init__(self, follower: Follower, witnesses: Sequence[Chain]) -> None:
        self._follower = follower
        self._witnesses = tuple(witnesses)
        self._rests_until: dict[str, float] = {}

    async def compare(self, base: TrustedBlock, ours: Followed, source: str) -> Witnessed:
        """Return how the witnesses judged a header that follows from base, seen at node source.

        One that is silent, behind, or has a header that does not verify, decides nothing and is
        left alone for REST_S: it may cost a moment, not one at every block. Raises: ForkFound.
        """
        chosen = self._choose(source)
        found: dict[str, bytes] = {}

        async def ask(witness: Chain) -> None:
            with trio.move_on_after(PATIENCE_S):
                found[witness.url] = await _hash_at(witness, ours.trusted.height)

        async with trio.open_nursery() as nursery:
            for witness in chosen:
                nursery.start_soon(ask, witness)
        for witness in chosen:
            hash_ = found.get(witness.url)
            if hash_ == ours.trusted.header_hash:
                continue
            if hash_:
                await self._judge(witness, base, ours, source)
            self._rests_until[witness.url] = trio.current_time() + REST_S
        return Witnessed(len(chosen), list(found.values()).count(ours.trusted.header_hash))

    def _choose(self, source: str) -> list[Chain]:
        now = trio.current_time()
        others = [witness for witness in self._witnesses if witness.url != source]
        awake = [each for each in others if self._rests_until.get(each.url, now) <= now]
        return awake[:MAX_WITNESSES]

    async def _judge(self, witness: Chain, base: TrustedBlock, ours: Followed, source: str) -> None:
        """Return if the witness's header does not verify. Raises: ForkFound."""
        height = ours.trusted.height
        try:
            with trio.fail_after(PATIENCE_S):
                theirs = await self._follower.follow(witness, base, height)
        except (ProtocolError, OperatorError, trio.TooSlowError):
            return
        if theirs.trusted.header_hash == ours.trusted.header_hash:
            return
        raise ForkFound(
            height,
            _evidence({source: ours.block, witness.url: theirs.block}),
            f"{base.chain_id} has forked: {source} and {witness.url} show two headers of height"
            f" {height}, {ours.trusted.header_hash.hex()} and {theirs.trusted.header_hash.hex()},"
            " and both are signed",
        )


async def _hash_at(witness: Chain, height: Height) -> bytes:
    """Return the hash of the witness's header, waited for; _NO_HEADER if it answers nonsense."""
    while True:
        try:
            return header_hash((await witness.light_block(height)).header)
        except RpcRefused:
            await trio.sleep(POLL_S)
        except (ProtocolError, OperatorError):
            return _NO_HEADER


def _evidence(blocks: dict[str, LightBlock]) -> str:
    """Return both blocks, each under its node's address, bytes in hex."""
    plain = {url: asdict(block) for url, block in blocks.items()}
    return json.dumps(plain, default=lambda value: value.hex(), indent=1)
