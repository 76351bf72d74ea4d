"""Unjail: the family by which an operator lets its validator vote again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_currency.state import slashing, stake, staking
from dchat.kernel import codec
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Cost
from dchat.kernel.store import Draft


class NotJailed(TxRejected):
    """The validator is not in jail."""

    code = 130


class StillJailed(TxRejected):
    """The jail term is not over. Attributes: now, until -- milliseconds of block time."""

    code = 131

    def __init__(self, now: int, until: int) -> None:
        super().__init__(f"jailed until {until} ms of block time, this is {now}")
        self.now = now
        self.until = until


class NeverUnjailed(TxRejected):
    """The validator signed twice more than once: it will never vote again."""

    code = 132


class OwnStakeTooLow(TxRejected):
    """The operator's own stake is below what it promised. Attributes: have, need -- base units."""

    code = 133

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"the operator has {have} base units with it, promised {need}")
        self.have = have
        self.need = need


class StakeTooLow(TxRejected):
    """The stake is not worth one unit of power. Attributes: have, need -- base units."""

    code = 134

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"{have} base units of stake, {need} are the least that vote")
        self.have = have
        self.need = need


@dataclass(frozen=True, slots=True)
class Unjail:
    """Let the sender's validator vote again."""


@dataclass(frozen=True, slots=True)
class Unjailed(Event):
    """A validator may vote again."""

    operator: AccountId


def check(tx: Unjail) -> None:
    """Accept every order: all rules need the state."""


def apply(draft: Draft, tx: Unjail, ctx: TxContext) -> tuple[Event, ...]:
    """Free the sender's validator; what it misses counts from two blocks on.

    Raises: UnknownValidator, NotJailed, NeverUnjailed, StillJailed, OwnStakeTooLow, StakeTooLow.
    """
    del tx
    record = staking.found(draft, ctx.sender)
    if not record.jailed:
        raise NotJailed("the validator is not in jail")
    if record.tombstoned:
        raise NeverUnjailed("the validator signed twice more than once")
    if ctx.block_time_ms < record.jailed_until:
        raise StillJailed(now=ctx.block_time_ms, until=record.jailed_until)
    own = stake.self_stake(draft, ctx.sender)
    if own < record.min_self_delegation:
        raise OwnStakeTooLow(have=own, need=record.min_self_delegation)
    if record.tokens < stake.POWER_UNIT:
        raise StakeTooLow(have=record.tokens, need=stake.POWER_UNIT)
    slashing.free(draft, ctx.sender, ctx.height)
    return (Unjailed(ctx.sender),)


FAMILY: Final = Family(
    type=20,
    name="unjail",
    shape=codec.Record(Unjail),
    cost=Cost(160),
    check=check,
    apply=apply,
)
