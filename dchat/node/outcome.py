"""What became of a transaction, proved by the header of its block and by the next one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import trio

from dchat.kernel.headers import header_hash
from dchat.kernel.ids import TxHash
from dchat.kernel.inclusion import NotProved, carried_result, result_of
from dchat.kernel.light import TrustedBlock
from dchat.kernel.tx import tx_hash as hash_tx
from dchat.node.reader import ChainReader
from dchat.node.rpc import POLL_S, Chain, Found, Included, NotIncluded


@dataclass(frozen=True, slots=True)
class VerifiedOutcome:
    """What a transaction did, and the header after its block's, which proves it.

    Its log is not hashed: that is the node's word.
    """

    included: Included
    block: TrustedBlock


async def prove_outcome(
    reader: ChainReader, chain: Chain, tx_hash: TxHash, timeout_s: float
) -> VerifiedOutcome:
    """Return where a transaction is and what it did, as reader's nodes, `chain`, prove it.

    That it is in no block is the word of those asked. Raises: NotIncluded, as ChainReader.read().
    """

    async def attempt() -> VerifiedOutcome:
        found = await _find(chain, tx_hash, timeout_s)
        height = found.included.height
        newest = await reader.latest()
        if not 0 < height <= newest.height:
            raise NotProved(f"it is said to be in block {height}, the newest is {newest.height}")
        block = await reader.state_at(height)
        return VerifiedOutcome(await _check(chain, found, block), block)

    return await reader.with_any_node(attempt)


async def _check(chain: Chain, found: Found, block: TrustedBlock) -> Included:
    """Return what the transaction did, under the verified header behind its block.

    Raises: NotProved, and as Chain.light_block().
    """
    said = found.included
    own = (await chain.light_block(said.height)).header
    following = (await chain.light_block(block.height)).header
    if header_hash(following) != block.header_hash:
        raise NotProved(f"another header {block.height} than the verified one")
    results = await chain.results(said.height)
    carrier = found.carrier
    holder = hash_tx(carrier) if carrier else said.tx_hash
    did = result_of(holder, found.path, results, own, following)
    did = carried_result(carrier, did, said.tx_hash) if carrier else did
    return replace(said, code=did.code, cost_used=did.cost_used, cost_wanted=did.cost_wanted)


async def _find(chain: Chain, tx_hash: TxHash, timeout_s: float) -> Found:
    """Ask one node after the other. Raises: NotIncluded, and as Chain.find()."""
    deadline = trio.current_time() + timeout_s
    while (found := await chain.find(tx_hash)) is None:
        if trio.current_time() >= deadline:
            raise NotIncluded(f"transaction {tx_hash.hex()} is in no block")
        chain.use_next()
        await trio.sleep(POLL_S)
    return found
