"""Every state key of the currency chain; the kernel's own keys are in its modules."""

from __future__ import annotations

from dchat.kernel.accounts import key as account

__all__ = ["account"]
