"""What the commands that talk to a chain share: the options, the way in, what was checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeVar

import trio
import typer

from dchat.cli.show import Value
from dchat.kernel.light import TrustedBlock
from dchat.node import network
from dchat.node.chain import OpenChain, open_chain
from dchat.node.clock import SystemClock
from dchat.node.network import ChainEntry
from dchat.node.reader import MemoryTrustStore
from dchat.node.rfc3339 import show_time

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


def with_chain(entry: ChainEntry, task: Callable[[OpenChain], Awaitable[T]]) -> T:
    """Return what task returns, run on the opened chain."""

    async def main() -> T:
        async with open_chain(entry, MemoryTrustStore(), SystemClock()) as chain:
            return await task(chain)

    return trio.run(main)


def show_checked(block: TrustedBlock) -> Value:
    """Return what a proof under this header rests on."""
    return {
        "chain_id": block.chain_id,
        "state_after_block": block.height - 1,
        "header": block.height,
        "header_hash": block.header_hash,
        "header_time": show_time(block.time_ns),
        "signed_power_at_least": block.signed_power,
        "total_power": block.total_power,
    }
