"""Blocks as books read them: what happened, one after the other, with who brought it about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from abci_chat.hooks.recoveries import IdentityRecovered
from abci_chat.machine import FAMILIES
from dchat.kernel import tx
from dchat.kernel.family import Event, Family
from dchat.kernel.ids import AccountId
from tests.fakes.memory import MemoryState
from tests.fakes.world import Made

NOBODY = AccountId(b"")


@dataclass(frozen=True)
class Act:
    """Something that a block tells; who is nobody where a hook tells it."""

    event: Event
    height: int
    now: int
    rules: MemoryState
    """The state after the block: its parameters are those for the block's transactions."""
    who: AccountId = NOBODY
    key: bytes = b""
    """With which the transaction was signed."""
    nonce: int = 0
    form: Any = None


def acts(made: Made) -> Iterator[Act]:
    """Yield what a block tells: hooks before its transactions, these, hooks behind them."""
    height, now = int(made.context.height), int(made.context.block_time_ms)
    hooks = [Act(each, height, now, made.after) for each in made.result.events]
    yield from [each for each in hooks if not isinstance(each.event, IdentityRecovered)]
    for did in made.did:
        if did.code == 0:
            envelope = tx.decode(did.raw).envelope
            body: Any = envelope.body
            family = cast("Family[Any]", FAMILIES[body[0]])
            form = family.shape.lift(list(body[1:]))
            by = (envelope.sender, envelope.public_key, envelope.nonce, form)
            yield from [Act(each, height, now, made.after, *by) for each in did.events]
    yield from [each for each in hooks if isinstance(each.event, IdentityRecovered)]
