from __future__ import annotations

import pytest

from abci_chat.state import contents
from abci_chat.state.contents import (
    MAX_CHANGES,
    MAX_NAME_BYTES,
    MAX_PLATFORMS,
    Binary,
    Chain,
    Change,
    ParamsChange,
    UpgradePlan,
)
from abci_chat.state.proposals import MAX_CONTENT_BYTES
from dchat.kernel.ids import Height

LONG = "x" * MAX_NAME_BYTES
MOST = Height(2**64 - 1)


@pytest.mark.parametrize(
    ("chat", "currency", "cancels"), [(0, 0, True), (1, 1, False), (0, 1, False), (1, 0, False)]
)
def test_a_plan_without_heights_cancels(chat: int, currency: int, cancels: bool) -> None:
    assert UpgradePlan("v2", Height(chat), Height(currency), ()).cancels is cancels


def test_the_largest_contents_fit_into_a_proposal() -> None:
    change = ParamsChange(Chain.CURRENCY, LONG, (Change(LONG, MOST),) * MAX_CHANGES)
    plan = UpgradePlan(LONG, MOST, MOST, (Binary(LONG, bytes(32)),) * MAX_PLATFORMS)

    sizes = len(contents.PARAMS.encode(change)), len(contents.UPGRADE.encode(plan))

    assert max(sizes) <= MAX_CONTENT_BYTES
