"""Reputation: whole numbers from provable deeds alone, halved every so many blocks when read.

`("reputation", id)` holds the deeds of the last eight half-lives, by kind and half of a half-life.
Nothing ticks: an idle account costs nothing.
"""

from __future__ import annotations

from enum import IntEnum

from dchat.kernel.ids import AccountId, Height
from dchat.kernel.store import Draft, State


class Deed(IntEnum):
    """What counts; the numbers are frozen. Messages never do."""

    FEES_PAID = 1
    BALLOT = 2
    VERDICT = 3
    REPORT_UPHELD = 4
    DELIVERY = 5
    """Proved over the bridge."""


def add(draft: Draft, owner: AccountId, deed: Deed, points: int, height: Height) -> None:
    """Count a deed of an account; 0 points write nothing."""
    raise NotImplementedError


def score(state: State, owner: AccountId, height: Height) -> int:
    """Return what the account's deeds count at that height."""
    raise NotImplementedError


def is_trusted(state: State, owner: AccountId, height: Height) -> bool:
    """Tell whether the account's score lowers its fees and widens its limits."""
    raise NotImplementedError
