"""The currency chain's parameters at genesis."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dchat.kernel.ids import Amount
from dchat.kernel.params import DEFAULT as KERNEL

DEFAULT: Final = replace(KERNEL, fee_per_1000_cost=Amount(1000))
