"""Upgrade plans: when both chains stop, and which binaries go on.

`("upgrade",)` holds `[[name, chat_height, currency_height, [[platform, sha256], …]], proposal,
decided_at]`, the plan that was voted last. A node stops behind the last block below its chain's
height, and the binary of its platform goes on. A later vote replaces the plan; one of the same name
with both heights 0 cancels it, as long as the chat chain has not reached its height.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat import keys, params
from abci_chat.state import contents
from abci_chat.state.contents import UpgradePlan
from dchat.kernel import codec
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event
from dchat.kernel.ids import Height
from dchat.kernel.store import Draft, State, read


class UpgradeTooSoon(TxRejected):
    """Operators would have too little notice. Attributes: have, need -- heights."""

    code = 305

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"the chat chain upgrades at {have}, the soonest now is {need}")
        self.have = have
        self.need = need


class UnknownUpgrade(TxRejected):
    """No plan of this name is ahead."""

    code = 306


@dataclass(frozen=True, slots=True)
class DecidedUpgrade:
    """The plan in force, and where it comes from."""

    plan: UpgradePlan
    proposal: int
    decided_at: Height


@dataclass(frozen=True, slots=True)
class UpgradePlanned(Event):
    """Both chains stop before these heights."""

    name: str
    chat_height: Height
    currency_height: Height


@dataclass(frozen=True, slots=True)
class UpgradeCancelled(Event):
    """There is no upgrade ahead any more."""

    name: str


DECIDED: Final = codec.Record(
    DecidedUpgrade, plan=contents.UPGRADE, proposal=codec.U64, decided_at=codec.U64
)


def load(state: State) -> DecidedUpgrade | None:
    """Return the plan that was voted last, None where there is none."""
    return read(state, keys.UPGRADE, DECIDED)


def decide(draft: Draft, plan: UpgradePlan, proposal: int, height: Height) -> Event:
    """Put the plan in force, or cancel the one of its name.

    Raises: UpgradeTooSoon, UnknownUpgrade.
    """
    if plan.cancels:
        return _cancel(draft, plan.name, height)
    soonest = height + params.GOVERNANCE.load(draft).upgrade_notice_blocks
    if plan.chat_height < soonest:
        raise UpgradeTooSoon(plan.chat_height, soonest)
    draft.put(keys.UPGRADE, DECIDED.encode(DecidedUpgrade(plan, proposal, height)))
    return UpgradePlanned(plan.name, plan.chat_height, plan.currency_height)


def _cancel(draft: Draft, name: str, height: Height) -> UpgradeCancelled:
    found = load(draft)
    if found is None or found.plan.name != name or found.plan.chat_height <= height:
        raise UnknownUpgrade(f"no upgrade {name!r} is ahead")
    draft.delete(keys.UPGRADE)
    return UpgradeCancelled(name)
