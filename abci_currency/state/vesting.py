"""Vesting: tokens that genesis locked, and what becomes of them until they are their owner's.

    ("vesting", account)   [original, linear, begins_at, cliff_at, ends_at, claimed, staked]

Locked tokens are in the pool VESTING, not in a balance, so no other rule has to know of them. The
owner has claimed a part of `original` and staked a part; the pool holds the rest. He may claim what
has vested, as far as the pool holds it, and stake whatever it holds.

Stake that comes back goes to the pool first, as much as was staked from it: undelegating unlocks
nothing. What a slash took of it never comes back: `staked` then stays above 0, and stake of his own
that returns later fills the gap, to be claimed like the rest. Rewards are not locked, whatever
stake earned them, and nobody can add to a lock from outside.
Source: the rules of Cosmos SDK x/auth/vesting; ADR 14.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from abci_currency import keys
from abci_currency.state import pools
from dchat.kernel import accounts, amounts, codec, holdings, supply
from dchat.kernel.accounts import ACCOUNT_ID_BYTES
from dchat.kernel.errors import InvariantBroken, TxRejected
from dchat.kernel.ids import AccountId, Amount, EpochMs
from dchat.kernel.store import Draft, State, read

_NOTHING: Final = Amount(0)


class NothingLocked(TxRejected):
    """Genesis locked nothing for the account."""

    code = 101


class NothingVested(TxRejected):
    """All that has vested and is not staked was claimed already. Attributes: vested, claimed."""

    code = 102

    def __init__(self, vested: int, claimed: int, staked: int) -> None:
        super().__init__(f"{vested} base units have vested, {claimed} claimed, {staked} staked")
        self.vested = vested
        self.claimed = claimed


class TooLittleLocked(TxRejected):
    """The lock holds less than is to be staked from it. Attributes: have, need -- base units."""

    code = 103

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"{have} base units are locked, {need} are needed")
        self.have = have
        self.need = need


@dataclass(frozen=True, slots=True)
class Vesting:
    """What genesis locked for one account, and where it is now."""

    original: Amount
    linear: bool
    """In proportion to time from begins_at to ends_at, but nothing before the cliff. Otherwise all
    at the cliff, which is the end then."""
    begins_at: EpochMs
    cliff_at: EpochMs
    ends_at: EpochMs
    claimed: Amount = _NOTHING
    staked: Amount = _NOTHING
    """Staked from the lock and not come back; slashes are not taken off."""

    @property
    def held(self) -> Amount:
        """What the pool holds for the account."""
        return Amount(self.original - self.claimed - self.staked)

    def vested(self, now: EpochMs) -> Amount:
        """Return how much is the owner's at that time, rounded down, claimed or not."""
        if now < self.cliff_at:
            return _NOTHING
        if not self.linear or now >= self.ends_at:
            return self.original
        passed, whole = now - self.begins_at, self.ends_at - self.begins_at
        return Amount(self.original * passed // whole)

    def claimable(self, now: EpochMs) -> Amount:
        """Return how much the owner may claim at that time."""
        return max(_NOTHING, min(Amount(self.vested(now) - self.claimed), self.held))


RECORD: Final = codec.Record(
    Vesting,
    original=codec.U64,
    linear=codec.Bool,
    begins_at=codec.U64,
    cliff_at=codec.U64,
    ends_at=codec.U64,
    claimed=codec.U64,
    staked=codec.U64,
)


def vesting(state: State, account: AccountId) -> Vesting | None:
    """Return what is locked for the account, None where nothing ever was."""
    return read(state, keys.vesting(account), RECORD)


def vestings(state: State) -> Iterator[tuple[AccountId, Vesting]]:
    """Yield every lock by account. Walks all of them: for queries and audits."""
    for key, record in state.scan(keys.VESTINGS):
        yield AccountId(key[-ACCOUNT_ID_BYTES:]), RECORD.decode_own(record)


def fault_of(lock: Vesting) -> str:
    """Return why genesis may not lock tokens like this, nothing if it may."""
    if lock.original == 0:
        return "nothing vests"
    if lock.claimed or lock.staked:
        return "some of it is claimed or staked"
    if not lock.begins_at <= lock.cliff_at <= lock.ends_at:
        return "beginning, cliff and end are not in this order"
    if not lock.linear and lock.cliff_at != lock.ends_at:
        return "not linear, so the cliff is its end"
    return ""


def begin(draft: Draft, locks: Iterable[tuple[AccountId, Vesting]]) -> None:
    """Issue what genesis locks, into the pool. Raises: InvariantBroken, AmountTooLarge."""
    total = _NOTHING
    for account, lock in locks:
        fault = fault_of(lock)
        if fault or vesting(draft, account) is not None:
            raise InvariantBroken(fault or f"two locks for account {account.hex()}")
        _save(draft, account, lock)
        total = amounts.add(total, lock.original)
    if total:
        accounts.credit(draft, pools.VESTING, total)
        supply.issue(draft, total)


def claim(draft: Draft, account: AccountId, now: EpochMs) -> Amount:
    """Pay the account all it may claim, and return it. Raises: NothingLocked, NothingVested."""
    lock = _own(draft, account)
    due = lock.claimable(now)
    if due == 0:
        raise NothingVested(lock.vested(now), lock.claimed, lock.staked)
    holdings.move(draft, pools.VESTING, account, due)
    _save(draft, account, replace(lock, claimed=Amount(lock.claimed + due)))
    return due


def stake(draft: Draft, account: AccountId, amount: Amount) -> None:
    """Count amount as staked from the lock; the caller moves it from the pool VESTING into stake.

    Raises: NothingLocked, TooLittleLocked.
    """
    lock = _own(draft, account)
    if lock.held < amount:
        raise TooLittleLocked(have=lock.held, need=amount)
    _save(draft, account, replace(lock, staked=Amount(lock.staked + amount)))


def returned(draft: Draft, account: AccountId, amount: Amount) -> Amount:
    """Lock again what was staked from the lock, and return what of amount is the account's own.

    amount is stake that came back, slashes taken off; it is in the pool UNBONDING, and so is still
    what is returned.
    """
    lock = vesting(draft, account)
    if lock is None or lock.staked == 0:
        return amount
    back = min(lock.staked, amount)
    holdings.move(draft, pools.UNBONDING, pools.VESTING, back)
    _save(draft, account, replace(lock, staked=Amount(lock.staked - back)))
    return Amount(amount - back)


def check_invariant(state: State) -> None:
    """Return if the pool holds what is locked. For audits. Raises: InvariantBroken."""
    locks = [lock for _, lock in vestings(state)]
    odd = [lock for lock in locks if lock.claimed + lock.staked > lock.original]
    locked = sum(lock.held for lock in locks)
    have = accounts.load(state, pools.VESTING).balance
    if odd or have != locked:
        raise InvariantBroken(f"locked are {locked}, the pool holds {have}; beyond a lock: {odd}")


def _own(draft: Draft, account: AccountId) -> Vesting:
    lock = vesting(draft, account)
    if lock is None:
        raise NothingLocked("genesis locked nothing for this account")
    return lock


def _save(draft: Draft, account: AccountId, lock: Vesting) -> None:
    draft.put(keys.vesting(account), RECORD.encode(lock))
