"""Handles: names that lead to an identity, one for each identity at most."""

from __future__ import annotations

from abci_chat import keys
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.ids import AccountId
from dchat.kernel.store import Draft, State


def owner(state: State, handle: str) -> AccountId | None:
    """Return whose handle this is, None where it is free."""
    found = state.get(keys.handle(handle))
    return None if found is None else AccountId(ACCOUNT_ID.decode_own(found))


def claim(draft: Draft, handle: str, who: AccountId) -> None:
    """Make the handle name the owner."""
    draft.put(keys.handle(handle), ACCOUNT_ID.encode(who))
