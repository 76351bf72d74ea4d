"""The chat chain's parameters as a settings file writes them, a table for each section.

[identities]                             # every key may be left out
reveal_blocks = 1000
handle_release = "90d"                   # seconds, or text
max_devices = 16
guardian_delay = "7d"
recovery_delay = "3d"
recovery_window = "30d"

[work]
base_bits = 20
step = 8
cooling_blocks = 50
anchor_blocks = 10

[channels]
deposit = "0.1"                          # credits
invite = "30d"
bumps_per_hour = 20
succession = "180d"

[governance]
deposit = 1
voting = "7d"
reveal = "2d"
ballot_bond = "0.01"
quorum = 0.334                           # fractions, to four decimals
threshold = 0.5
veto = 0.334
upgrade_notice_blocks = 1000

[moderation]
report_bond = "0.05"
juror_bond = "0.1"
jury_size = 7
draw_blocks = 16
verdict = "2d"
appeal = "7d"
unbonding = "14d"

[reputation]
half_life_blocks = 500000
fee_points = 1
vote_points = 20
verdict_points = 20
report_points = 50
trusted_points = 1000
trusted_fee = 0.8
trusted_limit_factor = 4
"""

from __future__ import annotations

from typing import Final

from abci_chat import params
from abci_chat.genesis import Rules
from genesis import sections
from genesis.fields import Fields

NAMES: Final = frozenset(params.SECTIONS)


def read(fields: Fields) -> Rules:
    """Return the parameters in parsed TOML; what is left out has its default.

    Raises: ValueError naming the key that is unknown, unreadable or out of bounds.
    """
    return Rules(
        **{
            name: sections.read(fields, section, sections.by_name(section))
            for name, section in params.SECTIONS.items()
        }
    )
