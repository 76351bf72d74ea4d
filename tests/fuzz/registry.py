"""Every target by its name; a target's room is imported only for it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Final

from tests.fuzz.target import Target

PLACES: Final[Mapping[str, tuple[str, str]]] = {
    "codec": ("codec", "TARGET"),
    "envelope": ("envelope", "TARGET"),
    "order": ("order", "TARGET"),
    "bundle": ("bundle", "TARGET"),
    "contribution": ("contribution", "TARGET"),
    "proof": ("proof", "TARGET"),
    "shown": ("shown", "TARGET"),
    "header": ("header", "TARGET"),
    "frame": ("frame", "TARGET"),
    "request": ("request", "TARGET"),
    "rpc": ("rpc", "TARGET"),
    "stream": ("relay", "STREAM"),
    "message": ("relay", "MESSAGE"),
    "text": ("text", "TARGET"),
    "file": ("file", "TARGET"),
}
"""Name -> module of `targets` and the target's name in it."""


def find(name: str) -> Target:
    """The target of that name. Raises: KeyError."""
    module, attribute = PLACES[name]
    target: Target = getattr(importlib.import_module(f"tests.fuzz.targets.{module}"), attribute)
    return target
