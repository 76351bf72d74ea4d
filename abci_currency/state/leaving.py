"""Stake on its way: unbondings and redelegations, what they still answer for, and when they end.

    ("maturing", due, key of the entry)   []   one for each entry, the soonest first

Stake that leaves a validator answers for that one's offences until its entry is due; then what was
slashed meanwhile is taken off, once (`liability.taken_off`). Redelegated shares answer for their
source in the same way. They cannot be redelegated on before that, and if they are unbonded, the
unbonding carries their source with it: no chain of moves shakes a slash off.
Source: ADR 14; the rules of Cosmos SDK x/staking, and what escaped a slash there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from abci_currency import keys, params
from abci_currency.state import liability, pools, slashing, stake, staking, vesting
from abci_currency.state.stake import REDELEGATION, UNBONDING, Redelegation, Unbonding
from dchat.kernel import due, holdings
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, TxContext
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft, State, read

MAX_ENTRIES: Final = params.STAKING.bounds["max_unbondings"][1]
_NOTHING: Final = Amount(0)
_GENESIS: Final = Height(0)


class TooManyEntries(TxRejected):
    """The account has as much under way with this validator as it may. Attributes: limit."""

    code = 121

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} are under way already, the soonest has to end first")
        self.limit = limit


class StillLiable(TxRejected):
    """The shares came by a redelegation that is not over. Attributes: have, need -- shares."""

    code = 122

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"{have} shares may move on, the others came too recently; needs {need}")
        self.have = have
        self.need = need


class UnbondingNotDue(TxRejected):
    """Nothing that the account took back from this validator is due."""

    code = 128


@dataclass(frozen=True, slots=True)
class UnbondingEnded(Event):
    """Stake came back to its owner, without what slashes took off it."""

    delegator: AccountId
    operator: AccountId
    tokens: Amount
    slashed: Amount


@dataclass(frozen=True, slots=True)
class RedelegationEnded(Event):
    """Redelegated shares answer for their source no longer; slashes took tokens off them."""

    delegator: AccountId
    target: AccountId
    source: AccountId
    slashed: Amount


@dataclass(frozen=True, slots=True)
class _Part:
    """Shares that leave together, and the redelegation they answer for, if there is one."""

    shares: int
    source: bytes = b""
    came_at: Height = _GENESIS


def unbond(draft: Draft, ctx: TxContext, operator: AccountId, shares: int) -> Amount:
    """Put the sender's shares on their way out; return their worth, liable until they are due.

    Shares that answer for another validator go last, each with its liability.
    Raises: UnknownValidator, InsufficientStake, TooManyEntries.
    """
    parts = _parted(draft, ctx.sender, operator, shares)
    tokens = _take(draft, ctx, operator, shares)
    holdings.move(draft, pools.STAKED, pools.UNBONDING, tokens)
    left = tokens
    for at, part in enumerate(parts, 1):
        share = left if at == len(parts) else Amount(tokens * part.shares // shares)
        left = Amount(left - share)
        _begin_unbonding(draft, ctx, operator, part, share)
    return tokens


def _take(draft: Draft, ctx: TxContext, operator: AccountId, shares: int) -> Amount:
    tokens = staking.take_shares(draft, ctx.sender, operator, shares)
    liability.left(draft, operator, tokens, ctx.height, ctx.block_time_ms)
    return tokens


def _parted(
    draft: Draft, delegator: AccountId, operator: AccountId, shares: int
) -> tuple[_Part, ...]:
    """Return shares by what they answer for, and take them off redelegations that are not over."""
    held = stake.held(draft, delegator, operator)
    if held.shares < shares:
        raise staking.InsufficientStake(have=held.shares, need=shares)
    free = min(shares, held.shares - held.liable_shares)
    bound = shares - free
    if not bound:
        return (_Part(free),)
    entries = sorted(_redelegations(draft, delegator, operator, held.liable_shares), key=_age)
    parts = tuple(_take_bound(draft, entries, bound))
    record = replace(held, liable_shares=held.liable_shares - bound)
    stake.save_delegation(draft, delegator, operator, record)
    return (_Part(free), *parts) if free else parts


def _take_bound(
    draft: Draft, entries: Iterable[tuple[bytes, Redelegation]], shares: int
) -> Iterator[_Part]:
    """Take shares off the redelegations that brought them, in this order."""
    for key, entry in entries:
        taken = min(shares, entry.shares)
        if taken:
            _save_redelegation(draft, key, replace(entry, shares=entry.shares - taken))
            yield _Part(taken, entry.source, entry.begun_at)
        shares -= taken


def _redelegations(
    state: State, delegator: AccountId, target: AccountId, shares: int
) -> Iterator[tuple[bytes, Redelegation]]:
    """Yield the redelegations to target that are not over: those which brought so many shares."""
    for number in range(MAX_ENTRIES):
        key = keys.redelegation(delegator, target, number)
        found = state.get(key)
        if found is not None:
            entry = REDELEGATION.decode_own(found)
            yield key, entry
            shares -= entry.shares
        if not shares:
            return


def _age(entry: tuple[bytes, Redelegation]) -> tuple[EpochMs, bytes]:
    return entry[1].due, entry[0]


def _save_redelegation(draft: Draft, key: bytes, entry: Redelegation) -> None:
    if entry.shares:
        draft.put(key, REDELEGATION.encode(entry))
    else:
        draft.delete(key)


def _begin_unbonding(
    draft: Draft, ctx: TxContext, operator: AccountId, part: _Part, tokens: Amount
) -> None:
    if not tokens:
        return
    rules = params.STAKING.load(draft)
    ends = EpochMs(ctx.block_time_ms + rules.unbonding_ms)
    slots = (keys.unbonding(ctx.sender, operator, at) for at in range(rules.max_unbondings))
    key = _free(draft, slots, rules.max_unbondings)
    entry = Unbonding(tokens, ctx.height, ends, part.source, part.came_at)
    draft.put(key, UNBONDING.encode(entry))
    due.put(draft, ends, key)


def _free(draft: Draft, slots: Iterable[bytes], limit: int) -> bytes:
    for key in slots:
        if draft.get(key) is None:
            return key
    raise TooManyEntries(limit=limit)


def redelegate(
    draft: Draft, ctx: TxContext, source: AccountId, target: AccountId, shares: int
) -> Amount:
    """Move the sender's shares to another validator; return their worth, liable for the first.

    Raises: UnknownValidator, InsufficientStake, StillLiable, TooManyEntries, and what bonding does.
    """
    held = stake.held(draft, ctx.sender, source)
    free = held.shares - held.liable_shares
    if free < shares <= held.shares:
        raise StillLiable(have=free, need=shares)
    tokens = _take(draft, ctx, source, shares)
    bought = staking.bond(draft, ctx.sender, target, tokens, pools.STAKED)
    _begin_redelegation(draft, ctx, source, target, bought)
    return tokens


def _begin_redelegation(
    draft: Draft, ctx: TxContext, source: AccountId, target: AccountId, shares: int
) -> None:
    rules = params.STAKING.load(draft)
    ends = EpochMs(ctx.block_time_ms + rules.unbonding_ms)
    slots = (keys.redelegation(ctx.sender, target, at) for at in range(rules.max_unbondings))
    key = _free(draft, slots, rules.max_unbondings)
    draft.put(key, REDELEGATION.encode(Redelegation(source, shares, ctx.height, ends)))
    due.put(draft, ends, key)
    held = stake.held(draft, ctx.sender, target)
    record = replace(held, liable_shares=held.liable_shares + shares)
    stake.save_delegation(draft, ctx.sender, target, record)


def jail_if_short(draft: Draft, operator: AccountId, ctx: TxContext) -> tuple[Event, ...]:
    """Jail the sender's validator if it has less of its own left than it promised.

    Whoever is short by a slash alone goes on. To stake again, and unjail, mends it at once.
    """
    record = staking.found(draft, operator)
    own = stake.self_stake(draft, operator)
    if operator != ctx.sender or record.jailed or own >= record.min_self_delegation:
        return ()
    return slashing.set_aside(draft, operator, ctx.block_time_ms)


def end_unbonding(
    draft: Draft, delegator: AccountId, operator: AccountId, entry: Unbonding, now: Height
) -> UnbondingEnded:
    """Give back what is left of an unbonding that is due; the rest was slashed and burns.

    What was staked from a lock is locked again.
    """
    left = liability.taken_off(draft, operator, entry.tokens, entry.begun_at, now)
    if entry.source:
        left = liability.taken_off(draft, AccountId(entry.source), left, entry.came_at, now)
    slashed = Amount(entry.tokens - left)
    holdings.burn(draft, pools.UNBONDING, slashed)
    holdings.move(draft, pools.UNBONDING, delegator, vesting.returned(draft, delegator, left))
    return UnbondingEnded(delegator, operator, left, slashed)


def settle(draft: Draft, ctx: TxContext, operator: AccountId) -> tuple[Event, ...]:
    """Give back the sender's unbondings with a validator that are due, before the queue does.

    Raises: UnbondingNotDue if there is none.
    """
    entries = [keys.unbonding(ctx.sender, operator, number) for number in range(MAX_ENTRIES)]
    told = [_settle(draft, ctx, operator, key) for key in entries]
    if not any(told):
        raise UnbondingNotDue("no stake of the sender is due there")
    return tuple([event for event in told if event])


def _settle(draft: Draft, ctx: TxContext, operator: AccountId, key: bytes) -> UnbondingEnded | None:
    entry = read(draft, key, UNBONDING)
    if entry is None or entry.due > ctx.block_time_ms:
        return None
    draft.delete(key)
    due.drop(draft, entry.due, key)
    return end_unbonding(draft, ctx.sender, operator, entry, ctx.height)


def end_redelegation(
    draft: Draft,
    delegator: AccountId,
    target: AccountId,
    entry: Redelegation,
    context: BlockContext,
) -> RedelegationEnded:
    """Let redelegated shares be free; what slashes of their source took off them burns."""
    held = stake.held(draft, delegator, target)
    record = replace(held, liable_shares=held.liable_shares - entry.shares)
    stake.save_delegation(draft, delegator, target, record)
    brought, height = Amount(entry.shares), context.height
    kept = liability.taken_off(draft, entry.source, brought, entry.begun_at, height)
    if kept == brought:
        return RedelegationEnded(delegator, target, entry.source, _NOTHING)
    slashed = staking.take_shares(draft, delegator, target, brought - kept)
    liability.left(draft, target, slashed, height, context.block_time_ms)
    holdings.burn(draft, pools.STAKED, slashed)
    return RedelegationEnded(delegator, target, entry.source, slashed)
