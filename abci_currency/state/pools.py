"""Pools: the accounts that the chain's own rules hold, so that every unit is in some account.

No key opens them. The supply report is their balances, read with proof like any other account's.
All but the treasury hold exactly what records elsewhere say they do, hence nobody may pay into one
(`check_payee`): a stray unit would belong to nobody, and no audit could tell it from a fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dchat.kernel.accounts import module_id
from dchat.kernel.errors import TxRejected
from dchat.kernel.ids import AccountId

STAKED: Final = module_id("staked")
"""What validators' tokens add up to, voting or not."""
UNBONDING: Final = module_id("unbonding")
"""Stake that left a validator, slashes still to be taken off when it is paid out."""
REWARDS: Final = module_id("rewards")
"""Rewards not yet withdrawn, commission and rounding dust included."""
TREASURY: Final = module_id("treasury")
"""What is for common purposes; anybody may pay into it."""
VESTING: Final = module_id("vesting")
"""What genesis locked and nobody has claimed or staked."""
RELAY_STAKES: Final = module_id("relay-stakes")
"""What relays bonded, unbonding included."""
ESCROWS: Final = module_id("escrows")
"""Postage that payers set aside for a relay."""
ISSUER_BONDS: Final = module_id("issuer-bonds")
"""What issuers of delivery tokens set aside."""
NAMES: Final[Mapping[AccountId, str]] = MappingProxyType(
    {
        STAKED: "staked",
        UNBONDING: "unbonding",
        REWARDS: "rewards",
        TREASURY: "treasury",
        VESTING: "vesting",
        RELAY_STAKES: "relay_stakes",
        ESCROWS: "escrows",
        ISSUER_BONDS: "issuer_bonds",
    }
)
"""Every pool, and how the supply report calls it."""


class HeldByRules(TxRejected):
    """The account is a pool: only the chain's own rules pay into it."""

    code = 140


def check_payee(account: AccountId) -> None:
    """Return if anybody may pay this account, or have it paid. Raises: HeldByRules."""
    if account in NAMES and account != TREASURY:
        raise HeldByRules(f"the account is the pool {NAMES[account]!r}")
