"""The active set: the strongest candidates vote, and CometBFT is told what changed.

    ("active_set",)   [[operator, consensus_key, power], …]   the strongest first

The record says what CometBFT was told last; what it is told now is the difference, which votes two
blocks on. The work of a block is one look at the first places of the power index, and nothing is
written where they are as they were. Source: CometBFT spec/abci, "Updating the Validator Set".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, cast

from abci_currency import keys, params
from abci_currency.state import rewards, stake, staking
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.codec import MAX_U64
from dchat.kernel.ids import AccountId
from dchat.kernel.machine import BlockContext, ValidatorPower
from dchat.kernel.store import Draft, State, read

MAX_MEMBERS: Final = params.STAKING.bounds["max_validators"][1]


@dataclass(frozen=True, slots=True)
class Member:
    """A validator that votes."""

    operator: AccountId
    consensus_key: bytes
    power: int


_MEMBER: Final = codec.Record(
    Member, operator=ACCOUNT_ID, consensus_key=stake.CONSENSUS_KEY, power=codec.U64
)
SHAPE: Final = codec.ListOf(_MEMBER, MAX_MEMBERS)


def load(state: State) -> tuple[Member, ...]:
    """Return whom CometBFT was told last, the strongest first."""
    return read(state, keys.ACTIVE_SET, SHAPE) or ()


def begin(draft: Draft) -> tuple[ValidatorPower, ...]:
    """Let the first set vote, and return it: what CometBFT's genesis has to name."""
    return _change(draft, (), strongest(draft))


def updates(draft: Draft, context: BlockContext) -> tuple[ValidatorPower, ...]:
    """Let the strongest vote, and return what changes. The last set stays if none would be left."""
    last, chosen = load(draft), strongest(draft)
    if chosen == last or not chosen:
        return ()
    rewards.accrue(draft, context.block_time_ms)
    return _change(draft, last, chosen)


def strongest(state: State) -> tuple[Member, ...]:
    """Return the candidates that are to vote, the strongest first; of equals, the lowest id."""
    return tuple(islice(_candidates(state), params.STAKING.load(state).max_validators))


def _candidates(state: State) -> Iterator[Member]:
    for place, key in state.scan(keys.POWERS):
        _, rank, operator = cast("tuple[str, bytes, bytes]", tuple(codec.unpack_array(place)))
        tokens = MAX_U64 - int.from_bytes(rank, "big")
        yield Member(
            AccountId(operator), stake.CONSENSUS_KEY.decode_own(key), tokens // stake.POWER_UNIT
        )


def _change(
    draft: Draft, last: tuple[Member, ...], chosen: tuple[Member, ...]
) -> tuple[ValidatorPower, ...]:
    were, are = {each.operator for each in last}, {each.operator for each in chosen}
    for operator in sorted(were ^ are):
        before = staking.found(draft, operator)
        staking.replace_validator(draft, operator, before, replace(before, active=operator in are))
    draft.put(keys.ACTIVE_SET, SHAPE.encode(chosen))
    return _difference(last, chosen)


def _difference(last: tuple[Member, ...], chosen: tuple[Member, ...]) -> tuple[ValidatorPower, ...]:
    """Return what CometBFT must be told, in the order of keys: power 0 for a key that is gone."""
    old = {each.consensus_key: each.power for each in last}
    new = {each.consensus_key: each.power for each in chosen}
    return tuple(
        [
            ValidatorPower(key, new.get(key, 0))
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]
    )
