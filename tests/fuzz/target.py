"""What is fuzzed: a parser's harness with inputs to begin from and ways to change them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

Mutator = Callable[[Random, bytes], bytes]
"""Makes another input out of one; the same generator state makes the same one."""

_SPECIFIC: Final = re.compile(r"'[^']*'|\"[^\"]*\"|\b[0-9a-f]{8,}\b|-?\d+|[^\x20-\x7e]+")
_LONGEST: Final = 60
REFUSED: Final = "refused: "
"""What the outcome of an input begins with that its parser refused with its own error."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser behind its property.

    `judge` returns what became of an input, in words without its particulars, and raises where
    the property does not hold: that is a finding.
    """

    name: str
    property: str
    judge: Callable[[bytes], str]
    seeds: tuple[bytes, ...]
    mutators: tuple[Mutator, ...]
    max_bytes: int = 4096


def named(fault: Exception) -> str:
    """The fault as an outcome: its class and its words, without numbers and quoted input."""
    return f"{REFUSED}{type(fault).__name__}: {_SPECIFIC.sub('#', str(fault)[:400])[:_LONGEST]}"
