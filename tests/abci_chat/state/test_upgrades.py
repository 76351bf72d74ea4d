from __future__ import annotations

from dataclasses import replace

import pytest

from abci_chat import params
from abci_chat.state import upgrades
from abci_chat.state.contents import Binary, UpgradePlan
from abci_chat.state.upgrades import (
    DecidedUpgrade,
    UnknownUpgrade,
    UpgradeCancelled,
    UpgradePlanned,
    UpgradeTooSoon,
)
from dchat.kernel.ids import Height
from dchat.kernel.store import Draft
from tests.fakes.voting import Assembly

NOTICE = params.GOVERNANCE.default.upgrade_notice_blocks
PLAN = UpgradePlan("v2", Height(5000), Height(6000), (Binary("linux-x86_64", b"s" * 32),))
LATER = replace(PLAN, name="v3", chat_height=Height(7000))
CANCEL = UpgradePlan("v2", Height(0), Height(0), ())


@pytest.fixture
def draft() -> Draft:
    return Assembly().draft()


def planned() -> Draft:
    draft = Assembly().draft()
    upgrades.decide(draft, PLAN, 1, Height(10))
    return draft


def test_there_is_no_plan_at_first(draft: Draft) -> None:
    assert upgrades.load(draft) is None


def test_a_plan_with_just_enough_notice_is_kept(draft: Draft) -> None:
    told = upgrades.decide(draft, PLAN, 7, Height(5000 - NOTICE))

    assert told == UpgradePlanned("v2", Height(5000), Height(6000))
    assert upgrades.load(draft) == DecidedUpgrade(PLAN, 7, Height(5000 - NOTICE))


def test_a_plan_with_too_little_notice_is_refused(draft: Draft) -> None:
    with pytest.raises(UpgradeTooSoon) as refused:
        upgrades.decide(draft, PLAN, 7, Height(5001 - NOTICE))

    assert (refused.value.have, refused.value.need) == (5000, 5001)


def test_a_later_plan_replaces_the_one_before() -> None:
    draft = planned()

    upgrades.decide(draft, LATER, 2, Height(20))

    assert upgrades.load(draft) == DecidedUpgrade(LATER, 2, Height(20))


def test_a_plan_is_cancelled_by_its_name() -> None:
    draft = planned()

    told = upgrades.decide(draft, CANCEL, 2, Height(4999))

    assert (told, upgrades.load(draft)) == (UpgradeCancelled("v2"), None)


@pytest.mark.parametrize(
    ("name", "height"), [("v3", 20), ("v2", 5000)], ids=["another name", "reached already"]
)
def test_what_is_not_ahead_is_not_cancelled(name: str, height: int) -> None:
    draft = planned()

    with pytest.raises(UnknownUpgrade):
        upgrades.decide(draft, replace(CANCEL, name=name), 2, Height(height))


def test_where_nothing_is_planned_nothing_is_cancelled(draft: Draft) -> None:
    with pytest.raises(UnknownUpgrade):
        upgrades.decide(draft, CANCEL, 2, Height(20))
