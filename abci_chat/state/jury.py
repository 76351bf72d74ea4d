"""Jurors: their bonds, what becomes of them, and who is drawn.

    ("juror", id)            [bond, cases, leaves_at]
    ("jury_queue",)          [first, next, waiting]
    ("jury_change", number)  [juror, weight, height]

Bonds add up to the pool JUROR_BONDS. A juror weighs on the roll (`state/roll.py`) what it bonds, so
that many accounts of one person weigh no more than one with all their bonds.

Whoever proposes the last block of a draw knows the seed before the others do. Were the roll open
until then, it could try one change after the other until the jury suits it. So a change that comes
while a draw is pending waits: a jury is drawn from the roll as it was when the case was opened, or
earlier where more changes wait than a draw carries out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_chat import keys, params
from abci_chat.state import pools, roll
from dchat.kernel import accounts, amounts, codec, due, holdings
from dchat.kernel.accounts import ACCOUNT_ID, ACCOUNT_ID_BYTES
from dchat.kernel.due import Due
from dchat.kernel.errors import InvariantBroken, TxRejected
from dchat.kernel.family import Event
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft, State, read

CHANGES_A_DRAW: Final = 200
"""Changes of the roll, the oldest first, that a draw carries out; draws that wait share them."""
CHANGES_OF_MANY: Final = 8
"""But no fewer: 64 draws of one block carry out a thousand, which takes a tenth of a second."""
CHANGES_A_TURN: Final = 4
"""The same for a transaction that changes the roll while no draw is pending."""
_ON_THE_ROLL: Final = EpochMs(0)
_NOTHING: Final = Amount(0)


class NotJuror(TxRejected):
    """The account has no juror's bond."""

    code = 331


class JurorLeaving(TxRejected):
    """The juror leaves already. Attribute: leaves_at -- ms."""

    code = 332

    def __init__(self, leaves_at: int) -> None:
        super().__init__(f"the bond returns at {leaves_at} ms, or when its last case is over")
        self.leaves_at = leaves_at


@dataclass(frozen=True, slots=True)
class Juror:
    """Somebody who judges for a bond."""

    bond: Amount
    cases: int = 0
    """Cases whose verdict this juror owes."""
    leaves_at: EpochMs = _ON_THE_ROLL
    """When the bond returns unless cases are open then; 0 for who stays."""


@dataclass(frozen=True, slots=True)
class Queue:
    """The changes that wait, from first up to next, and the draws they wait for."""

    first: int
    next: int
    waiting: int
    """Draws that were asked for and have not come."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a juror weighs since a height."""

    juror: AccountId
    weight: Amount
    height: Height


@dataclass(frozen=True, slots=True)
class JurorLeft(Event):
    """A juror has the bond back."""

    juror: AccountId
    bond: Amount


@dataclass(frozen=True, slots=True)
class JurorCharged(Event):
    """A juror lost a part of the bond, for no verdict in time."""

    juror: AccountId
    lost: Amount


JUROR: Final = codec.Record(Juror, bond=codec.U64, cases=codec.U64, leaves_at=codec.U64)
_QUEUE: Final = codec.Record(Queue, first=codec.U64, next=codec.U64, waiting=codec.U64)
_CHANGE: Final = codec.Record(Change, juror=ACCOUNT_ID, weight=codec.U64, height=codec.U64)
_NO_QUEUE: Final = Queue(0, 0, 0)


def load(state: State, who: AccountId) -> Juror | None:
    """Return a juror's record, None where there is none."""
    return read(state, keys.juror(who), JUROR)


def staying(state: State, who: AccountId) -> Juror:
    """Return the record of a juror on the roll. Raises: NotJuror, JurorLeaving."""
    record = load(state, who)
    if record is None:
        raise NotJuror("the account has no juror's bond")
    if record.leaves_at:
        raise JurorLeaving(record.leaves_at)
    return record


def bond(draft: Draft, who: AccountId, amount: Amount, height: Height) -> Juror:
    """Move amount from the balance into the juror's bond; return the record.

    Raises: JurorLeaving, InsufficientFunds, AmountTooLarge.
    """
    before = Juror(_NOTHING) if load(draft, who) is None else staying(draft, who)
    holdings.move(draft, who, pools.JUROR_BONDS, amount)
    record = replace(before, bond=amounts.add(before.bond, amount))
    _save(draft, who, record)
    _weigh(draft, Change(who, record.bond, height))
    return record


def leave(draft: Draft, who: AccountId, height: Height, now: EpochMs) -> EpochMs:
    """Take a juror off the roll; return when the bond is due. Raises: NotJuror, JurorLeaving."""
    record = staying(draft, who)
    leaves_at = EpochMs(now + params.MODERATION.load(draft).unbonding_ms)
    _save(draft, who, replace(record, leaves_at=leaves_at))
    _weigh(draft, Change(who, _NOTHING, height))
    due.put(draft, leaves_at, keys.juror(who))
    return leaves_at


def end(draft: Draft, key: bytes, _: Due, context: BlockContext) -> tuple[Event, ...]:
    """Return the bond of a juror who left, unless a case waits for a verdict of theirs."""
    who = AccountId(ACCOUNT_ID.lift(codec.unpack_array(key)[1]))
    return _pay_out(draft, who, context.block_time_ms)


def ask(draft: Draft) -> None:
    """Have changes of the roll wait for one more draw."""
    queue = _queue(draft)
    _save_queue(draft, replace(queue, waiting=queue.waiting + 1))


def draw(
    draft: Draft, seed: bytes, opened_at: Height, barred: tuple[AccountId, ...]
) -> tuple[AccountId, ...]:
    """Return the jury of a case for which ask() was called at that height; each owes a verdict."""
    queue = _queue(draft)
    _save_queue(draft, replace(queue, waiting=queue.waiting - 1))
    _carry_out(draft, max(CHANGES_OF_MANY, CHANGES_A_DRAW // queue.waiting), opened_at)
    size = params.MODERATION.load(draft).jury_size
    drawn = roll.draw(draft, seed, size, barred)
    jurors = tuple([who for who in drawn if load(draft, who)])
    for who in jurors:
        record = _found(draft, who)
        _save(draft, who, replace(record, cases=record.cases + 1))
    return jurors


def release(draft: Draft, who: AccountId, now: EpochMs) -> tuple[Event, ...]:
    """Let a juror owe one verdict less; whoever left before has the bond back."""
    record = _found(draft, who)
    _save(draft, who, replace(record, cases=record.cases - 1))
    return _pay_out(draft, who, now)


def charge(draft: Draft, who: AccountId, height: Height) -> tuple[Event, ...]:
    """Burn the share of a juror's bond that goes for no verdict in time, rounded up."""
    record = _found(draft, who)
    share = params.MODERATION.load(draft).absence_bp
    lost = Amount(-(-record.bond * share // params.BASIS_POINTS))
    if not lost:
        return ()
    left = replace(record, bond=Amount(record.bond - lost))
    holdings.burn(draft, pools.JUROR_BONDS, lost)
    _save(draft, who, left)
    if not left.leaves_at:
        _weigh(draft, Change(who, left.bond, height))
    return (JurorCharged(who, lost),)


def check_invariant(state: State) -> None:
    """Return if bonds, pool and roll agree once what waits is done. Walks all: for audits.

    Raises: InvariantBroken.
    """
    roll.check_invariant(state)
    weights = dict(roll.members(state))
    queue = _queue(state)
    for number in range(queue.first, queue.next):
        change = _waiting(state, number)
        weights[change.juror] = change.weight
    records = {
        AccountId(key[-ACCOUNT_ID_BYTES:]): JUROR.decode_own(value)
        for key, value in state.scan(keys.JURORS)
    }
    bonds = {who: each.bond for who, each in records.items() if not each.leaves_at and each.bond}
    if {who: weight for who, weight in weights.items() if weight} != bonds:
        raise InvariantBroken(f"on the roll are {weights}, bonded {bonds}")
    held = accounts.load(state, pools.JUROR_BONDS).balance
    if held != sum(each.bond for each in records.values()):
        raise InvariantBroken(f"jurors bonded {records}, the pool holds {held}")


def _pay_out(draft: Draft, who: AccountId, now: EpochMs) -> tuple[Event, ...]:
    record = load(draft, who)
    if record is None or not record.leaves_at or record.leaves_at > now or record.cases:
        return ()
    holdings.move(draft, pools.JUROR_BONDS, who, record.bond)
    draft.delete(keys.juror(who))
    return (JurorLeft(who, record.bond),)


def _weigh(draft: Draft, change: Change) -> None:
    """Change the roll, or have the change wait where a draw is pending or others wait already."""
    queue = _queue(draft)
    if not queue.waiting and queue.first == queue.next:
        roll.set_weight(draft, change.juror, change.weight)
        return
    draft.put(keys.jury_change(queue.next), _CHANGE.encode(change))
    _save_queue(draft, replace(queue, next=queue.next + 1))
    if not queue.waiting:
        _carry_out(draft, CHANGES_A_TURN, change.height)


def _carry_out(draft: Draft, most: int, height: Height) -> None:
    """Do the oldest of the changes that wait, none of them later than that height."""
    queue = _queue(draft)
    number = queue.first
    while number < min(queue.next, queue.first + most):
        change = _waiting(draft, number)
        if change.height > height:
            break
        roll.set_weight(draft, change.juror, change.weight)
        draft.delete(keys.jury_change(number))
        number += 1
    if number != queue.first:
        _save_queue(draft, replace(queue, first=number))


def _waiting(state: State, number: int) -> Change:
    change = read(state, keys.jury_change(number), _CHANGE)
    if change is None:
        raise InvariantBroken(f"change {number} of the roll is not there")
    return change


def _found(state: State, who: AccountId) -> Juror:
    record = load(state, who)
    if record is None:
        raise InvariantBroken(f"no juror {who.hex()}")
    return record


def _save(draft: Draft, who: AccountId, record: Juror) -> None:
    draft.put(keys.juror(who), JUROR.encode(record))


def _queue(state: State) -> Queue:
    return read(state, keys.JURY_QUEUE, _QUEUE) or _NO_QUEUE


def _save_queue(draft: Draft, queue: Queue) -> None:
    draft.put(keys.JURY_QUEUE, _QUEUE.encode(queue))
