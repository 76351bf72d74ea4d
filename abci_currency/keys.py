"""Every state key of the currency chain; the kernel's own keys are in its modules.

A key is a packed tuple that begins with a word: the module it belongs to.
"""

from __future__ import annotations

from typing import Final

from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID_BYTES
from dchat.kernel.accounts import key as account
from dchat.kernel.codec import MAX_U64
from dchat.kernel.ids import AccountId

__all__ = ["account"]

POWERS: Final = codec.pack(("power", b"", b""))[:-4]
"""What every key of `power` begins with."""
VALIDATORS: Final = codec.pack(("validator", b""))[:-2]
"""What every key of `validator` begins with."""
DELEGATIONS: Final = codec.pack(("delegation", b"", b""))[:-4]
UNBONDINGS: Final = codec.pack(("unbonding", b"", b"", 0))[:-5]
REDELEGATIONS: Final = codec.pack(("redelegation", b"", b"", 0))[:-5]
VALIDATORS_REWARDS: Final = codec.pack(("validator_rewards", b""))[:-2]
REWARD_TOTALS: Final = codec.pack(("reward_totals",))
ACTIVE_SET: Final = codec.pack(("active_set",))
AWAY: Final = codec.pack(("away",))
EVIDENCE: Final = codec.pack(("evidence", 0, b""))[:-3]
"""What every key of `evidence` begins with."""
SLASHES: Final = codec.pack(("slash", b"", 0, 0))[:-4]
"""What every key of `slash` begins with."""
RELAYS: Final = codec.pack(("relay", b""))[:-2]
"""What every key of `relay` begins with."""
ESCROWS: Final = codec.pack(("escrow", b"", 0))[:-3]
ISSUERS: Final = codec.pack(("issuer", b""))[:-2]
VESTINGS: Final = codec.pack(("vesting", b""))[:-2]
"""What every key of `vesting` begins with."""


_ID: Final = bytes(ACCOUNT_ID_BYTES)
# Keys that every block needs many of are put together from their packed parts: ids are of one size.
_VALIDATOR: Final = codec.pack(("validator", _ID))[: -len(_ID)]
_NEXT_ID: Final = codec.pack(_ID)[: -len(_ID)]
_POWER: Final = codec.pack(("power", bytes(8), _ID))[: -len(bytes(8) + _NEXT_ID + _ID)]
_DELEGATION: Final = codec.pack(("delegation", _ID, _ID))[: -len(_ID + _NEXT_ID + _ID)]
_VALIDATOR_REWARDS: Final = codec.pack(("validator_rewards", _ID))[: -len(_ID)]
_REWARD_ADDRESS: Final = codec.pack(("reward_address", _ID))[: -len(_ID)]


def validator(operator: AccountId) -> bytes:
    """Return the key of a validator's record."""
    return _VALIDATOR + operator


def consensus_key(address: bytes) -> bytes:
    """Return the key under which a consensus key's 20-byte address names its operator."""
    return codec.pack(("consensus_key", address))


def power(tokens: int, operator: AccountId) -> bytes:
    """Return the key that puts a candidate among the others, the strongest first."""
    return _POWER + (MAX_U64 - tokens).to_bytes(8, "big") + _NEXT_ID + operator


def delegation(delegator: AccountId, operator: AccountId) -> bytes:
    """Return the key of what one account has with one validator."""
    return _DELEGATION + delegator + _NEXT_ID + operator


def unbonding(delegator: AccountId, operator: AccountId, number: int) -> bytes:
    """Return the key of stake on its way from a validator to its owner."""
    return codec.pack(("unbonding", delegator, operator, number))


def redelegation(delegator: AccountId, target: AccountId, number: int) -> bytes:
    """Return the key of stake that came to target and still answers for where it was before."""
    return codec.pack(("redelegation", delegator, target, number))


def validator_rewards(operator: AccountId) -> bytes:
    """Return the key of what a validator's stake has earned."""
    return _VALIDATOR_REWARDS + operator


def reward_address(delegator: AccountId) -> bytes:
    """Return the key of where an account's rewards are paid to, if not to itself."""
    return _REWARD_ADDRESS + delegator


def relay(peer: bytes) -> bytes:
    """Return the key of a relay's record; its peer is the 32-byte key that its peer id encodes."""
    return codec.pack(("relay", peer))


def escrow(payer: AccountId, number: int) -> bytes:
    """Return the key of the postage that a payer set aside under that number."""
    return codec.pack(("escrow", payer, number))


def issuer(owner: AccountId) -> bytes:
    """Return the key of what an issuer of delivery tokens set aside, with its token keys."""
    return codec.pack(("issuer", owner))


def conduct(operator: AccountId) -> bytes:
    """Return the key of since when a validator's absence counts, and when it was caught last."""
    return codec.pack(("conduct", operator))


def missed(operator: AccountId, page: int) -> bytes:
    """Return the key of the heights that a validator missed, of one page of them."""
    return codec.pack(("missed", operator, page))


def missed_pages(operator: AccountId) -> bytes:
    """Return what the keys of all pages of missed heights of a validator begin with."""
    return missed(operator, 0)[:-1]


def left(operator: AccountId) -> bytes:
    """Return the key of how much stake ever left a validator."""
    return codec.pack(("left", operator))


def left_entry(operator: AccountId, number: int) -> bytes:
    """Return the key of how much had left a validator before one block."""
    return codec.pack(("left", operator, number))


def slashes(operator: AccountId) -> bytes:
    """Return the key of the list of slashes that stake which left a validator may still bear."""
    return codec.pack(("slashes", operator))


def slash(operator: AccountId, height: int, number: int) -> bytes:
    """Return the key of one slash of a validator, made at that height."""
    return codec.pack(("slash", operator, height, number))


def evidence(height: int, digest: bytes) -> bytes:
    """Return the key of the block time of an offence at that height which was proved."""
    return codec.pack(("evidence", height, digest))


def vesting(account: AccountId) -> bytes:
    """Return the key of what genesis locked for an account."""
    return codec.pack(("vesting", account))
