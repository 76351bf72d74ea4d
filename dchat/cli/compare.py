"""The states of nodes at one height, laid side by side, on the nodes' own word.

Headers come from the network file's nodes, whatever node is looked at: one whose state went wrong
stands still and has no newer ones.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from dchat.cli import checked
from dchat.cli.asking import Asked
from dchat.cli.checked import Checked, NoProof
from dchat.cli.cursor import Cursor
from dchat.cli.show import Value
from dchat.kernel.errors import OperatorError, ProtocolError
from dchat.kernel.ids import Height
from dchat.kernel.light import TrustedBlock
from dchat.kernel.queries import Listing
from dchat.kernel.roots import Root
from dchat.node.chain import OpenChain
from dchat.node.rpc import connect
from dchat.node.stores.roots import ROOTS, Roots
from dchat.node.witness import ForkFound

Row = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Told:
    """What one node says of its state at a height."""

    node: str
    roots: Roots


@dataclass(frozen=True, slots=True)
class Difference:
    """A key at which two states differ; None where one has nothing."""

    key: bytes
    here: bytes | None
    there: bytes | None


@dataclass(frozen=True, slots=True)
class Standing:
    """The height that is looked at, and the header that was signed for it, or why there is none."""

    height: Height
    header: TrustedBlock | None
    why: str = ""

    def checked(self, chain: OpenChain) -> Checked:
        """Return what was checked: the app hash, if there is a header."""
        if self.header is None:
            return NoProof(self.why)
        note = "; fingerprints and differences are the nodes' word"
        return replace(checked.proof(chain, self.header, "header"), note=note)


@asynccontextmanager
async def open_nodes(chain: OpenChain, urls: Sequence[str]) -> AsyncGenerator[list[OpenChain]]:
    """Give the chain as each of these nodes has it."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect((url,))) for url in urls]
        yield [replace(chain, rpc=client) for client in clients]


async def stand(chain: OpenChain, asked: Asked, nodes: Sequence[OpenChain]) -> Standing:
    """Return the height asked for, or the newest that all nodes have and a header proves.

    That no header is to be had is no reason to stop: a chain that has halted is looked at, too.
    """
    if asked.trust:
        return Standing(asked.height or await _newest(nodes), None, checked.TRUSTED)
    if asked.height:
        return await _proved(asked.height, chain.reader.state_at(asked.height))
    newest = await _proved(Height(0), chain.reader.latest())
    height = await _newest(nodes)
    if newest.header is None or newest.header.height == height + 1:
        return replace(newest, height=height)
    height = Height(min(height, newest.header.height - 1))
    return await _proved(height, chain.reader.state_at(height))


async def ask_roots(node: OpenChain, height: Height) -> Told:
    """Return a node's fingerprints. Raises: HeightNotKept, QueryRefused, as Chain.status()."""
    said = await node.ask("/roots", b"", height)
    return Told(node.rpc.url, ROOTS.decode(said.value))


def module_rows(told: Sequence[Told]) -> Iterator[Row]:
    """Yield a row for each module of any node; with two nodes, what the other has beside it."""
    tables = [{root.module: root for root in each.roots.modules} for each in told]
    for module in sorted({name for table in tables for name in table}):
        here, *others = (table.get(module, Root(module, 0, b"")) for table in tables)
        row: Row = {"module": module, "entries": here.entries, "fingerprint": here.fingerprint}
        for there in others:
            row |= {"entries_there": there.entries, "fingerprint_there": there.fingerprint}
            row["same"] = here == there
        yield row


async def differences(
    nodes: Sequence[OpenChain], height: Height, listings: Sequence[Listing], limit: int
) -> list[Difference]:
    """Return up to limit of what differs between two nodes, ascending by key.

    Raises: as ask_roots(), and BadQuery for a page that answers another question.
    """
    here, there = (Cursor(partial(node.page, height=height), listings) for node in nodes)
    one, other = await here.next(), await there.next()
    found: list[Difference] = []
    while (one or other) and len(found) < limit:
        key = min(entry.key for entry in (one, other) if entry)
        left = one.value if one and one.key == key else None
        right = other.value if other and other.key == key else None
        if left != right:
            found.append(Difference(key, left, right))
        if left is not None:
            one = await here.next()
        if right is not None:
            other = await there.next()
    return found


async def _newest(nodes: Sequence[OpenChain]) -> Height:
    """Return the newest height that all of them have."""
    return min([(await node.ask("/roots", b"")).height for node in nodes])


async def _proved(height: Height, header: Awaitable[TrustedBlock]) -> Standing:
    """Return the header, or why there is none. Raises: ForkFound."""
    try:
        return Standing(height, await header)
    except ForkFound:
        raise
    except (OperatorError, ProtocolError) as fault:
        return Standing(height, None, str(fault))
