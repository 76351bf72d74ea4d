"""Pools: the accounts that the chain's own rules hold, so that every credit is in some account.

No key opens them, and no transaction pays into one but for what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dchat.kernel.accounts import module_id
from dchat.kernel.ids import AccountId

CHANNEL_DEPOSITS: Final = module_id("channel-deposits")
"""What the owners of channels get back when they close them."""
PROPOSAL_DEPOSITS: Final = module_id("proposal-deposits")
BALLOT_BONDS: Final = module_id("ballot-bonds")
"""What voters get back when they reveal."""
REPORT_BONDS: Final = module_id("report-bonds")
JUROR_BONDS: Final = module_id("juror-bonds")
NAMES: Final[Mapping[AccountId, str]] = MappingProxyType(
    {
        CHANNEL_DEPOSITS: "channel_deposits",
        PROPOSAL_DEPOSITS: "proposal_deposits",
        BALLOT_BONDS: "ballot_bonds",
        REPORT_BONDS: "report_bonds",
        JUROR_BONDS: "juror_bonds",
    }
)
"""Every pool, and how the supply report calls it."""
