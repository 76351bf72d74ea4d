"""`dchat query vesting`: what genesis locked, and how much of it is its owner's by now."""

from __future__ import annotations

from typing import Final

import typer

from abci_currency import keys
from abci_currency.state import pools, vesting
from abci_currency.state.vesting import Vesting
from dchat.cli.asking import Asked, Fields, NotThere, Source, answer, asking
from dchat.cli.foresee import block_time
from dchat.cli.records import (
    DEFAULT_LISTED,
    After,
    Kind,
    Limit,
    Owner,
    Paging,
    account_at,
    add_up,
    list_records,
)
from dchat.cli.show import moment, tokens
from dchat.kernel import accounts
from dchat.kernel.ids import AccountId, EpochMs

LOCKS: Final = Kind("locks", keys.VESTINGS, vesting.RECORD)


def register(group: typer.Typer) -> None:
    """Add the command to the group `query`."""
    group.command("vesting")(show_vesting)


@asking
def show_vesting(
    asked: Asked, owner: Owner = "", *, after: After = "", limit: Limit = DEFAULT_LISTED
) -> None:
    """Show what genesis locked for an account, or for everybody: vested, claimed, staked."""

    async def one(source: Source) -> Fields:
        return await lock_fields(source, accounts.parse_account(owner))

    async def ask(source: Source) -> Fields:
        found = await list_records(source, LOCKS, Paging(after, limit))
        await add_up(source, found, pools.VESTING, lambda lock: lock.held)
        now = await block_time(source)
        return found.shown(lambda key, lock: {"account": account_at(key, 1), **_row(lock, now)})

    answer(asked, "currency", one if owner else ask)


async def lock_fields(source: Source, account: AccountId) -> Fields:
    """Return what is locked for an account. Raises: NotThere."""
    record = await source.value(keys.vesting(account))
    if record is None:
        raise NotThere(f"nothing was ever locked for {accounts.show_account(account)}")
    lock = vesting.RECORD.decode(record)
    times: Fields = {
        "linear": lock.linear,
        "begins_at": moment(lock.begins_at),
        "cliff_at": moment(lock.cliff_at),
        "ends_at": moment(lock.ends_at),
    }
    now = await block_time(source)
    return {"account": accounts.show_account(account), **_row(lock, now), **times}


def _row(lock: Vesting, now: EpochMs) -> Fields:
    return {
        "original": tokens(lock.original),
        "vested": tokens(lock.vested(now)),
        "claimed": tokens(lock.claimed),
        "staked": tokens(lock.staked),
        "claimable": tokens(lock.claimable(now)),
    }
