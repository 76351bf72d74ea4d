"""The read-only paths that both chains answer besides /store; answers carry no proof."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dchat.kernel import codec, params
from dchat.kernel.machine import Query
from dchat.kernel.store import State


class BadQuery(codec.CodecError):
    """The query's data is not what its path expects."""


def _params(state: State, data: bytes) -> bytes:
    if data:
        raise BadQuery("/params takes no data")
    return params.SHAPE.encode(params.load(state))


PATHS: Final[Mapping[str, Query]] = MappingProxyType({"/params": _params})
