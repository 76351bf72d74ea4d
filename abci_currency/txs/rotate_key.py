"""Rotations of an account's key on the currency chain, where nothing else names it."""

from __future__ import annotations

from typing import Final

from dchat.kernel import rotation
from dchat.kernel.family import TxContext
from dchat.kernel.store import Draft


def _nothing(_: Draft, __: bytes, ___: TxContext) -> None:
    pass


FAMILY: Final = rotation.family(3, _nothing)
