"""The simplest thing that a chain can ask of a proposer: a word, and its own address."""

from __future__ import annotations

from dataclasses import dataclass

from dchat.kernel.contribution import Duty
from dchat.kernel.family import Event
from dchat.kernel.store import Draft, State

OWED = b"owed by "


@dataclass(frozen=True, slots=True)
class Took(Event):
    """A contribution was applied."""

    what: bytes


def make(_: State, proposer: bytes, secret: bytes) -> bytes:
    return secret + proposer if secret else b""


def accepts(_: State, proposer: bytes, contributed: bytes) -> bool:
    return contributed == OWED + proposer


def apply(draft: Draft, _: bytes, contributed: bytes) -> tuple[Event, ...]:
    draft.put(b"contributed", contributed)
    return (Took(contributed),)


DUTY = Duty(make, accepts, apply)
"""Who knows the word OWED does it."""
