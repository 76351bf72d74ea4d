"""The chat chain's read-only ABCI paths; single keys with proofs go by the path /store."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dchat.kernel import queries
from dchat.kernel.machine import Query

PATHS: Final[Mapping[str, Query]] = MappingProxyType({**queries.PATHS})
