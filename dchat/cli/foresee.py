"""What the chain's own rules would do on proved state, worked out here: no node is asked to.

The rules run on a draft that knows what was proved so far. A key they want beyond that is read with
its proof, and they run again, until they have all they need; what they write goes nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

from dchat.cli.asking import Source
from dchat.kernel.codec import CodecError
from dchat.kernel.errors import InvariantBroken, LocalProtocolError
from dchat.kernel.ids import EpochMs
from dchat.kernel.store import Draft
from dchat.node.rpc import ChainUnavailable

MAX_READS: Final = 10_000
MS: Final = 1_000_000
"""Nanoseconds in a millisecond."""
MISLED: Final = (
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
    *(CodecError, InvariantBroken),
)
"""What the rules may run into on records that they have not written themselves."""
NOWHERE: Final[Mapping[bytes, Sequence[bytes]]] = MappingProxyType({})

T = TypeVar("T")


class Contradiction(ChainUnavailable):
    """What a node shows as records of the chain are none, or contradict each other."""

    hint = "ask again without --trust, or ask another node with --rpc URL"


class _NotRead(Exception):
    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, slots=True)
class _Read:
    """A state of which only some keys are known."""

    known: dict[bytes, bytes | None]
    spaces: Mapping[bytes, Sequence[bytes]]

    def get(self, key: bytes) -> bytes | None:
        if key not in self.known:
            raise _NotRead(key)
        return self.known[key]

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        if prefix not in self.spaces:
            raise LocalProtocolError(f"that nothing else begins with {prefix.hex()} has no proof")
        for key in self.spaces[prefix]:
            value = self.get(key)
            if value is not None:
                yield key, value


async def foresee(
    source: Source, rules: Callable[[Draft], T], spaces: Mapping[bytes, Sequence[bytes]] = NOWHERE
) -> T:
    """Return what rules return on the state that source reads.

    They may be run many times, so they change nothing but the draft. Raises: Contradiction where
    nothing was proved and the rules cannot make sense of it, and as rules.
    spaces: all keys that there can be under a prefix, ascending; rules scan nothing else.
    """
    known = source.known
    for _ in range(MAX_READS):
        try:
            return rules(Draft(_Read(known, spaces)))
        except _NotRead as missing:
            key = missing.key
        except MISLED as fault:
            if source.block is not None:
                raise
            raise Contradiction(f"the node's records make no sense: {fault}") from fault
        known[key] = await source.value(key)
    raise LocalProtocolError(f"rules that read more than {MAX_READS} keys")


async def block_time(source: Source) -> EpochMs:
    """Return the earliest block time that the next transaction can see: the newest header's."""
    block = source.block
    time_ns = block.time_ns if block else (await source.chain.rpc.status()).time_ns
    return EpochMs(time_ns // MS)
