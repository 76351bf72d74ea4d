"""Every state key of the currency chain; the kernel's own keys are in its modules.

A key is a packed tuple that begins with a word: the module it belongs to.
"""

from __future__ import annotations

from typing import Final

from dchat.kernel import codec
from dchat.kernel.accounts import key as account
from dchat.kernel.codec import MAX_U64
from dchat.kernel.ids import AccountId, EpochMs

__all__ = ["account"]

POWERS: Final = codec.pack(("power", b"", b""))[:-4]
"""What every key of `power` begins with."""
REWARD_TOTALS: Final = codec.pack(("reward_totals",))
ACTIVE_SET: Final = codec.pack(("active_set",))


def validator(operator: AccountId) -> bytes:
    """Return the key of a validator's record."""
    return codec.pack(("validator", operator))


def consensus_key(address: bytes) -> bytes:
    """Return the key under which a consensus key's 20-byte address names its operator."""
    return codec.pack(("consensus_key", address))


def power(tokens: int, operator: AccountId) -> bytes:
    """Return the key that puts a candidate among the others, the strongest first."""
    return codec.pack(("power", (MAX_U64 - tokens).to_bytes(8, "big"), operator))


def delegation(delegator: AccountId, operator: AccountId) -> bytes:
    """Return the key of what one account has with one validator."""
    return codec.pack(("delegation", delegator, operator))


def unbonding(delegator: AccountId, operator: AccountId, number: int) -> bytes:
    """Return the key of stake on its way from a validator to its owner."""
    return codec.pack(("unbonding", delegator, operator, number))


def redelegation(delegator: AccountId, target: AccountId, number: int) -> bytes:
    """Return the key of stake that came to target and still answers for where it was before."""
    return codec.pack(("redelegation", delegator, target, number))


def maturing(due: EpochMs, number: int) -> bytes:
    """Return the key of an entry in the queue of what ends with time, the soonest first."""
    return codec.pack(("maturing", due.to_bytes(8, "big"), number))


def validator_rewards(operator: AccountId) -> bytes:
    """Return the key of what a validator's stake has earned."""
    return codec.pack(("validator_rewards", operator))


def reward_address(delegator: AccountId) -> bytes:
    """Return the key of where an account's rewards are paid to, if not to itself."""
    return codec.pack(("reward_address", delegator))
