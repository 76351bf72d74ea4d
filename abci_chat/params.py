"""The chat chain's parameters: every number of its rules, with bounds.

Each section stands in the state under `("params", name)`, so that a proof shows what is in force;
genesis sets it and a vote may change it. Fractions are in basis points, durations in milliseconds
of block time, amounts in postage credits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from dchat.kernel import codec
from dchat.kernel import params as kernel
from dchat.kernel.errors import ParameterOutOfBounds
from dchat.kernel.ids import Amount
from dchat.kernel.params import DEFAULT as KERNEL
from dchat.kernel.params import Section, section

DEFAULT: Final = replace(KERNEL, fee_per_1000_cost=Amount(1000))
BASIS_POINTS: Final = 10_000
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
_CREDITS: Final = (0, codec.MAX_U64 // 4)
_SPAN: Final = (1000, 3650 * DAY_MS)
_CHANNEL_DEPOSIT: Final = Amount(100_000)
_PROPOSAL_DEPOSIT: Final = Amount(1_000_000)
_BALLOT_BOND: Final = Amount(10_000)
_REPORT_BOND: Final = Amount(50_000)
_JUROR_BOND: Final = Amount(100_000)


@dataclass(frozen=True, slots=True)
class Identities:
    """How identities come, change and are recovered."""

    reveal_blocks: int = 1_000
    """How long a commitment to a handle is good for."""
    handle_release_ms: int = 90 * DAY_MS
    """How long nobody gets a handle that was given up."""
    max_devices: int = 16
    """Devices that one identity has at a time; revoked ones do not count."""
    guardian_delay_ms: int = 7 * DAY_MS
    """How long before other guardians are in force."""
    recovery_delay_ms: int = 3 * DAY_MS
    """How long the owner can veto a recovery that enough guardians approved."""
    recovery_window_ms: int = 30 * DAY_MS
    """How long approvals count, and an approved recovery can be finished."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a registration without credits takes."""

    base_bits: int = 20
    """Expected hashes when nobody registered lately, as a power of two."""
    step: int = 8
    """Registrations that double it."""
    cooling_blocks: int = 50
    """Blocks that make up for one of them."""
    anchor_blocks: int = 10
    """A new anchor is taken every so many blocks, where there is something in them."""


@dataclass(frozen=True, slots=True)
class Channels:
    """What channels cost and keep."""

    deposit: Amount = _CHANNEL_DEPOSIT
    """Kept while a channel exists, and returned when it is closed."""
    invite_ms: int = 30 * DAY_MS
    """How long an invitation, or a wish to join, stands."""
    bumps_per_hour: int = 20
    """Changes that make an epoch stale, and epochs, that one actor may make in an hour."""
    succession_ms: int = 180 * DAY_MS
    """How long an owner does nothing in a channel before the successor may take it."""


@dataclass(frozen=True, slots=True)
class Governance:
    """How proposals are decided."""

    deposit: Amount = _PROPOSAL_DEPOSIT
    voting_ms: int = 7 * DAY_MS
    reveal_ms: int = 2 * DAY_MS
    """How long private ballots are revealed after voting ended."""
    ballot_bond: Amount = _BALLOT_BOND
    """Burned for a private ballot that is not revealed."""
    quorum_bp: int = 3340
    """Share of all weight that has to vote."""
    threshold_bp: int = 5000
    """More than this share of yes, no and veto has to be yes."""
    veto_bp: int = 3340
    """From this share of all ballots on, vetoes reject the proposal and burn its deposit."""
    upgrade_notice_blocks: int = 1_000
    """How far ahead an upgrade's heights lie at least when it is decided."""


@dataclass(frozen=True, slots=True)
class Moderation:
    """How reports are judged."""

    report_bond: Amount = _REPORT_BOND
    """Burned where the report is dismissed, else returned."""
    juror_bond: Amount = _JUROR_BOND
    """The least that a juror bonds; a juror is drawn in proportion to the bond."""
    jury_size: int = 7
    draw_blocks: int = 16
    """Preimages of proposers that a draw takes, one a block."""
    verdict_ms: int = 2 * DAY_MS
    appeal_ms: int = 7 * DAY_MS
    """How long a verdict can be appealed by a proposal."""
    unbonding_ms: int = 14 * DAY_MS
    """How long a juror's bond stays after the juror left."""
    absence_bp: int = 500
    """Share of the bond that is burned of a juror who gives no verdict in time."""
    max_open_reports: int = 4
    """Reports of one account that wait for a verdict; more where it is trusted."""


@dataclass(frozen=True, slots=True)
class Reputation:
    """What deeds count, and what they are good for."""

    half_life_blocks: int = 500_000
    fee_points: int = 1
    """For a thousand credits that were paid as fees."""
    vote_points: int = 20
    """For a ballot that counted."""
    verdict_points: int = 20
    """For a verdict in time."""
    report_points: int = 50
    """For a report that was upheld."""
    trusted_points: int = 1_000
    """From here on fees are lower and limits wider."""
    trusted_fee_bp: int = 8000
    """What a trusted sender owes of the fee."""
    trusted_limit_factor: int = 4
    """How many times as often a trusted actor may do what is limited."""


IDENTITIES: Final = section(
    "identities",
    Identities(),
    {
        "reveal_blocks": (2, 100_000),
        "handle_release_ms": _SPAN,
        "max_devices": (1, 64),
        "guardian_delay_ms": _SPAN,
        "recovery_delay_ms": _SPAN,
        "recovery_window_ms": _SPAN,
    },
)
WORK: Final = section(
    "work",
    Work(),
    {
        "base_bits": (1, 48),
        "step": (1, 10_000),
        "cooling_blocks": (1, 100_000),
        "anchor_blocks": (1, 1_000),
    },
)
CHANNELS: Final = section(
    "channels",
    Channels(),
    {
        "deposit": _CREDITS,
        "invite_ms": _SPAN,
        "bumps_per_hour": (1, 1_000),
        "succession_ms": _SPAN,
    },
)
GOVERNANCE: Final = section(
    "governance",
    Governance(),
    {
        "deposit": _CREDITS,
        "voting_ms": (1000, 60 * DAY_MS),
        "reveal_ms": (1000, 30 * DAY_MS),
        "ballot_bond": _CREDITS,
        "quorum_bp": (1, 6700),
        "threshold_bp": (5000, 8000),
        "veto_bp": (2000, BASIS_POINTS),
        "upgrade_notice_blocks": (1, 1_000_000),
    },
)
MODERATION: Final = section(
    "moderation",
    Moderation(),
    {
        "report_bond": _CREDITS,
        "juror_bond": (1, codec.MAX_U64 // 4),
        "jury_size": (1, 63),
        "draw_blocks": (1, 100),
        "verdict_ms": _SPAN,
        "appeal_ms": _SPAN,
        "unbonding_ms": _SPAN,
        "absence_bp": (0, 5000),
        "max_open_reports": (1, 1_000),
    },
)
REPUTATION: Final = section(
    "reputation",
    Reputation(),
    {
        "half_life_blocks": (16, 100_000_000),
        "fee_points": (0, 1_000_000),
        "vote_points": (0, 1_000_000),
        "verdict_points": (0, 1_000_000),
        "report_points": (0, 1_000_000),
        "trusted_points": (1, codec.MAX_U64 // 4),
        "trusted_fee_bp": (1000, BASIS_POINTS),
        "trusted_limit_factor": (1, 1_000),
    },
)
SECTIONS: Final[Mapping[str, Section[Any]]] = MappingProxyType(
    {each.name: each for each in (IDENTITIES, WORK, CHANNELS, GOVERNANCE, MODERATION, REPUTATION)}
)
"""All of them, by name; the kernel's own section stands beside them."""
_KERNEL: Final = Section(
    "kernel",
    kernel.SHAPE,
    DEFAULT,
    MappingProxyType(
        {
            "fee_per_1000_cost": (0, 1_000_000),
            "max_block_cost": (100_000, 100_000_000),
            "max_block_bytes": (1024 * 1024, kernel.MAX_BLOCK_BYTES),
            "max_validity_blocks": (100, 1_000_000),
        }
    ),
)
VOTED: Final[Mapping[str, Section[Any]]] = MappingProxyType({**SECTIONS, _KERNEL.name: _KERNEL})
"""What a vote may set: every section, and the kernel's numbers as far as the chain lives on."""


def check_together(identities: Identities, governance: Governance, moderation: Moderation) -> None:
    """Return if the sections, each within its bounds, fit together. Raises: ParameterOutOfBounds.

    A recovery that was approved can be finished; who stole a key cannot put other guardians in
    force before the old ones had their time to recover the identity; a private ballot is worth its
    bond to reveal, but no more than a proposal; who judged badly is still there to answer.
    """
    delay = identities.recovery_delay_ms
    _above("recovery_window_ms", identities.recovery_window_ms, delay)
    _above("guardian_delay_ms", identities.guardian_delay_ms, delay)
    bond = governance.ballot_bond
    if bond > governance.deposit:
        raise ParameterOutOfBounds("ballot_bond", bond, 0, governance.deposit)
    _above("unbonding_ms", moderation.unbonding_ms, moderation.verdict_ms)


def _above(name: str, have: int, least: int) -> None:
    if have <= least:
        raise ParameterOutOfBounds(name, have, least + 1, codec.MAX_U64)
