"""What the commands that talk to a chain share: the options, the way in, a fork's evidence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import trio
import typer

from dchat.node import network
from dchat.node.chain import USUAL, Asking, OpenChain, open_chain
from dchat.node.clock import SystemClock
from dchat.node.network import ChainEntry
from dchat.node.reader import MemoryTrustStore
from dchat.node.witness import ForkFound

T = TypeVar("T")

ChainName = Literal["chat", "currency"]
Network = Annotated[
    str,
    typer.Option(
        envvar="DCHAT_NETWORK", help="Network file: chains, nodes to ask, roots of trust."
    ),
]
Chain = Annotated[ChainName, typer.Option(help="Which of the two chains.")]


def entry_of(name: str, chain: ChainName) -> ChainEntry:
    """Return a chain's entry in the network file. Raises: NetworkMalformed."""
    found = network.load_named(name)
    return found.chat if chain == "chat" else found.currency


def with_chain(
    entry: ChainEntry, task: Callable[[OpenChain], Awaitable[T]], asking: Asking = USUAL
) -> T:
    """Return what task returns, run on the opened chain.

    Where it finds a fork, the evidence is left in the working directory. Raises: as task.
    """

    async def main() -> T:
        async with open_chain(entry, MemoryTrustStore(), SystemClock(), asking) as chain:
            return await task(chain)

    try:
        return trio.run(main)
    except ForkFound as fork:
        path = Path(f"dchat-fork-{entry.chain_id}-{fork.height}.json")
        raise ForkFound(fork.height, fork.evidence, f"{fork}; {_keep(path, fork)}") from None


def _keep(path: Path, fork: ForkFound) -> str:
    """Write the evidence unless it is there already; say where it is."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(fork.evidence)
    except FileExistsError:
        return f"evidence of that height is in {path} already"
    except OSError as fault:
        return f"the evidence could not be written to {path}: {fault.strerror}"
    return f"the evidence is in {path}"
