"""Every state key of the chat chain; the kernel's own keys are in its modules."""

from __future__ import annotations

from dchat.kernel import codec
from dchat.kernel.accounts import key as account
from dchat.kernel.ids import AccountId

__all__ = ["account", "handle", "identity"]


def identity(owner: AccountId) -> bytes:
    """Return the key of an identity's record."""
    return codec.pack(("identity", owner))


def handle(name: str) -> bytes:
    """Return the key under which a handle names its owner."""
    return codec.pack(("handle", name))
