"""`dchat query` of stake: validators, delegations, and what is on its way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import typer

from abci_currency import keys, params
from abci_currency.state import leaving, pools, presence, rewards, stake
from abci_currency.state.stake import Delegation, Redelegation, Unbonding, Validator
from dchat.cli.asking import Asked, Fields, NotThere, Source, answer, asking
from dchat.cli.foresee import block_time, foresee
from dchat.cli.records import (
    DEFAULT_LISTED,
    After,
    Kind,
    Limit,
    Listed,
    Owner,
    Paging,
    account_at,
    add_up,
    balance_of,
    list_records,
    must_equal,
    owned,
)
from dchat.cli.show import moment, percent, tokens
from dchat.kernel import accounts
from dchat.kernel.ids import AccountId
from dchat.kernel.store import Draft

VALIDATORS: Final = Kind("validators", keys.VALIDATORS, stake.VALIDATOR)
DELEGATIONS: Final = Kind("delegations", keys.DELEGATIONS, stake.DELEGATION)
UNBONDINGS: Final = Kind("unbondings", keys.UNBONDINGS, stake.UNBONDING)
REDELEGATIONS: Final = Kind("redelegations", keys.REDELEGATIONS, stake.REDELEGATION)

MOST_THAT_VOTE: Final = params.STAKING.bounds["max_validators"][1]

Operator = Annotated[
    str, typer.Argument(metavar="OPERATOR", help="Account of the validator's operator, dchat1….")
]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `query`."""
    group.command("validators")(validators)
    group.command("validator")(validator)
    group.command("delegations")(delegations)
    group.command("unbondings")(unbondings)
    group.command("redelegations")(redelegations)


@asking
def validators(asked: Asked, *, after: After = "", limit: Limit = MOST_THAT_VOTE) -> None:
    """List validators by operator: stake, commission, and whether they vote."""

    async def ask(source: Source) -> Fields:
        found = await list_records(source, VALIDATORS, Paging(after, limit))
        await add_up(source, found, pools.STAKED, lambda record: record.tokens)
        return found.shown(_validator_row)

    answer(asked, "currency", ask)


def _validator_row(key: bytes, record: Validator) -> Fields:
    return {
        "operator": account_at(key, 1),
        "moniker": record.moniker,
        "state": state_of(record),
        "stake": tokens(record.tokens),
        "commission": percent(record.commission.rate_bp),
    }


def state_of(record: Validator) -> str:
    """Return whether a validator votes, or why it does not."""
    if record.tombstoned:
        return "tombstoned"
    if record.jailed:
        return "jailed"
    return "active" if record.active else "waiting"


@asking
def validator(asked: Asked, operator: Operator) -> None:
    """Show a validator: key, stake, commission, and what keeps it from voting."""
    whose = accounts.parse_account(operator)
    answer(asked, "currency", lambda source: validator_fields(source, whose))


async def validator_fields(source: Source, operator: AccountId) -> Fields:
    """Return all that the chain knows of a validator. Raises: NotThere."""
    shown = accounts.show_account(operator)
    record = await foresee(source, lambda draft: stake.validator(draft, operator))
    if record is None:
        raise NotThere(f"no validator has the operator {shown}")
    own = await foresee(source, lambda draft: stake.self_stake(draft, operator))
    now = await block_time(source)

    def due(draft: Draft) -> int:
        rewards.accrue(draft, now)
        return rewards.claim_commission(draft, operator)

    terms = record.commission
    return {
        "operator": shown,
        "moniker": record.moniker,
        "state": state_of(record),
        "stake": tokens(record.tokens),
        "self_stake": tokens(own),
        "min_self_delegation": tokens(record.min_self_delegation),
        "power": record.tokens // stake.POWER_UNIT if record.active else 0,
        "shares": record.shares,
        "commission": percent(terms.rate_bp),
        "max_commission": percent(terms.max_rate_bp),
        "max_commission_change_a_day": percent(terms.max_change_bp),
        "commission_due": tokens(await foresee(source, due)),
        "consensus_key": record.consensus_key,
        "consensus_address": stake.address_of(record.consensus_key),
        "key_changed_at": moment(record.key_changed_at),
        "jailed_until": moment(record.jailed_until) if record.jailed else None,
        **await _absence(source, operator),
    }


async def _absence(source: Source, operator: AccountId) -> Fields:
    """Return how many of the last blocks a validator missed, and how many more would jail it."""
    at, rules = source.at, await foresee(source, params.SLASHING.load)
    held = await foresee(source, presence.away)
    pages = range(max(0, at - held.window) // presence.PAGE, at // presence.PAGE + 1)
    space = {keys.missed_pages(operator): [keys.missed(operator, page) for page in pages]}
    missed = await foresee(source, lambda draft: presence.missed(draft, operator, at), space)
    return {
        "missed_blocks": missed,
        "missed_blocks_allowed": presence.allowed(rules),
        "missed_blocks_window": rules.missed_blocks_window,
    }


@asking
def delegations(
    asked: Asked, owner: Owner = "", *, after: After = "", limit: Limit = DEFAULT_LISTED
) -> None:
    """List delegations by owner and validator, and what each is worth."""
    kind = owned(DELEGATIONS, owner)

    async def ask(source: Source) -> Fields:
        found = await list_records(source, kind, Paging(after, limit))
        known = await _validators_of(source, found)
        if not owner:
            await _all_shares(source, found, known)
        return found.shown(lambda key, held: _delegation_row(key, held, known))

    answer(asked, "currency", ask)


async def _validators_of(source: Source, found: Listed[Delegation]) -> dict[str, Validator | None]:
    """Return each validator that a delegation names, read once."""
    known: dict[str, Validator | None] = {}
    for shown in dict.fromkeys(account_at(key, 2) for key, _ in found.entries):
        record = await source.value(keys.validator(accounts.parse_account(shown)))
        known[shown] = stake.VALIDATOR.decode(record) if record else None
    return known


async def _all_shares(
    source: Source, found: Listed[Delegation], known: Mapping[str, Validator | None]
) -> None:
    """Have all delegations hold all shares of validators with all stake. Raises: LeftOut."""
    if not found.is_everything:
        return
    shares = sum(held.shares for _, held in found.entries)
    issued = sum(each.shares for each in known.values() if each)
    must_equal("shares of the delegations", shares, "their validators have given", issued)
    staked = sum(each.tokens for each in known.values() if each)
    held = await balance_of(source, pools.STAKED)
    must_equal("tokens of their validators", staked, "the pool holds", held)
    source.is_whole = True


def _delegation_row(key: bytes, held: Delegation, known: Mapping[str, Validator | None]) -> Fields:
    validator = known[account_at(key, 2)]
    return {
        "delegator": account_at(key, 1),
        "operator": account_at(key, 2),
        "stake": tokens(stake.tokens_for(validator, held.shares) if validator else 0),
        "shares": held.shares,
    }


@asking
def unbondings(
    asked: Asked, owner: Owner = "", *, after: After = "", limit: Limit = DEFAULT_LISTED
) -> None:
    """List stake on its way to its owners, and what slashes will have taken off when it is due."""
    kind = owned(UNBONDINGS, owner)

    async def ask(source: Source) -> Fields:
        found = await list_records(source, kind, Paging(after, limit))
        if not owner:
            await add_up(source, found, pools.UNBONDING, lambda record: record.tokens)
        rows = await unbonding_rows(source, found)
        return {"unbondings": rows, "next_after": found.next_after}

    answer(asked, "currency", ask)


async def unbonding_rows(source: Source, found: Listed[Unbonding]) -> list[Fields]:
    """Return what is shown of stake on its way, less the slashes that are known by now."""
    return [await _unbonding_row(source, key, record) for key, record in found.entries]


async def _unbonding_row(source: Source, key: bytes, record: Unbonding) -> Fields:
    delegator, operator = account_at(key, 1), account_at(key, 2)
    of, at = accounts.parse_account(delegator), accounts.parse_account(operator)
    ended = await foresee(
        source, lambda draft: leaving.end_unbonding(draft, of, at, record, source.at)
    )
    return {
        "delegator": delegator,
        "operator": operator,
        "stake": tokens(record.tokens),
        "slashed": tokens(ended.slashed),
        "begun_at": record.begun_at,
        "due": moment(record.due),
    }


@asking
def redelegations(
    asked: Asked, owner: Owner = "", *, after: After = "", limit: Limit = DEFAULT_LISTED
) -> None:
    """List shares that still answer for the validator they came from."""
    kind = owned(REDELEGATIONS, owner)

    async def ask(source: Source) -> Fields:
        found = await list_records(source, kind, Paging(after, limit))
        return found.shown(_redelegation_row)

    answer(asked, "currency", ask)


def _redelegation_row(key: bytes, record: Redelegation) -> Fields:
    return {
        "delegator": account_at(key, 1),
        "operator": account_at(key, 2),
        "from": accounts.show_account(record.source),
        "shares": record.shares,
        "begun_at": record.begun_at,
        "due": moment(record.due),
    }
