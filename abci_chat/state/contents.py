"""Contents: what a proposal would do, one record for each kind.

A parameter change names a section and, of its numbers, those that it sets. An upgrade names a
height for each chain and the digest of the binary for each platform; one with both heights 0 and no
digest cancels the plan of its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.ids import AccountId, Amount, Height

MAX_NAME_BYTES: Final = 64
MAX_CHANGES: Final = 32
MAX_PLATFORMS: Final = 16
_DIGEST_BYTES: Final = 32


class Chain(IntEnum):
    """Whose parameters; the numbers are frozen."""

    CHAT = 1
    CURRENCY = 2


@dataclass(frozen=True, slots=True)
class Change:
    """One number of a section."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class ParamsChange:
    """Set some numbers of one section, or all of them."""

    chain: Chain
    section: str
    changes: tuple[Change, ...]
    """Strictly ascending by name."""


@dataclass(frozen=True, slots=True)
class Binary:
    """What nodes of one platform run from the upgrade on."""

    platform: str
    """Such as linux-x86_64."""
    sha256: bytes


@dataclass(frozen=True, slots=True)
class UpgradePlan:
    """Both chains stop before these heights, and go on with these binaries."""

    name: str
    chat_height: Height
    currency_height: Height
    binaries: tuple[Binary, ...]
    """Strictly ascending by platform."""

    @property
    def cancels(self) -> bool:
        """Whether it takes back the plan of its name."""
        return self.chat_height == 0 and self.currency_height == 0


@dataclass(frozen=True, slots=True)
class Spend:
    """Pay somebody from the currency chain's treasury."""

    to: AccountId
    amount: Amount
    """In base units of that chain."""


@dataclass(frozen=True, slots=True)
class Appeal:
    """Overturn what a jury decided."""

    case: int


NAME: Final = codec.Text(MAX_NAME_BYTES)
CHANGES: Final = codec.ListOf(codec.Record(Change, name=NAME, value=codec.U64), MAX_CHANGES)
BINARIES: Final = codec.ListOf(
    codec.Record(Binary, platform=NAME, sha256=codec.Fixed(_DIGEST_BYTES)), MAX_PLATFORMS
)
PARAMS: Final = codec.Record(ParamsChange, chain=codec.Choice(Chain), section=NAME, changes=CHANGES)
UPGRADE: Final = codec.Record(
    UpgradePlan, name=NAME, chat_height=codec.U64, currency_height=codec.U64, binaries=BINARIES
)
SPEND: Final = codec.Record(Spend, to=ACCOUNT_ID, amount=codec.U64)
APPEAL: Final = codec.Record(Appeal, case=codec.U64)
