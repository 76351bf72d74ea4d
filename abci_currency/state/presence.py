"""Who misses blocks, as streaks: a validator that stays away costs a write at first and at last.

    ("away",)                     [window, allowed, floor, [[address, operator, since, jail_at], …]]
    ("missed", operator, page)    [before, bits]: the heights of closed streaks
    ("conduct", operator)         [counted_from, [[caught_at, first, charged], …]]

`away` lists the streaks that last. When one begins it is computed at which height it would make its
validator miss more than `allowed` of `window` blocks, if it lasted; until then nothing is read or
written for it. A closed streak belongs to the page of 2,048 heights in which it ended: `bits` are
the heights missed in the page, the first one lowest, `before` how many directly in front of it the
streak covers that began earlier (there can be one). So closing writes one page, whatever the
streak's length, and a validator that misses every other block has a bit a height: at most window /
2048 + 2 pages of 0.3 KB, less than 3 KB with the default window. A new page deletes up to two that
no window reaches.

Heights are those of the blocks that were signed or missed, one below the block that tells. The
count is exact: the heights missed in (height - window, height], none before `counted_from` (a
validator that returns from jail begins anew) nor before `floor` (what had left the window when
another came into force).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, cast

from abci_currency import keys, params
from abci_currency.state import stake
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.ids import AccountId, Amount, Height
from dchat.kernel.store import Draft, State, read

PAGE: Final = 2048
_PAGE_BYTES: Final = PAGE // 8
_MAX_STREAKS: Final = 10_000
"""CometBFT's bound on validators."""
_CUT: Final = 2
MAX_INCIDENTS: Final = 2
_START: Final = Height(0)
NEVER: Final = Height(codec.MAX_U64)


@dataclass(frozen=True, slots=True)
class Streak:
    """Blocks that one consensus key has not signed, one after the other, up to now."""

    address: bytes
    operator: AccountId
    since: Height
    jail_at: Height
    """The height that is one too many."""


@dataclass(frozen=True, slots=True)
class Away:
    """Every streak that lasts, and by which rule its end was computed."""

    window: int
    allowed: int
    """Heights of the window that may be missed."""
    floor: Height = _START
    """No height below counts."""
    streaks: tuple[Streak, ...] = ()


@dataclass(frozen=True, slots=True)
class Incident:
    """Offences that evidence proved and that cost once: all from before it was out of the set."""

    caught_at: Height
    """The block of the slash."""
    first: Height
    """The earliest of the offences."""
    charged: Amount
    """Of the stake that was there still when it was caught, how much was slashed."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """What is remembered of one validator."""

    counted_from: Height = _START
    """The first height that may count as missed; NEVER while it is in jail."""
    incidents: tuple[Incident, ...] = ()
    """In their order; who has as many as there may be is out for good."""


@dataclass(frozen=True, slots=True)
class _Page:
    before: int = 0
    bits: bytes = bytes(_PAGE_BYTES)


_STREAK: Final = codec.Record(
    Streak,
    address=codec.Fixed(stake.ADDRESS_BYTES),
    operator=ACCOUNT_ID,
    since=codec.U64,
    jail_at=codec.U64,
)
AWAY: Final = codec.Record(
    Away,
    window=codec.U64,
    allowed=codec.U64,
    floor=codec.U64,
    streaks=codec.ListOf(_STREAK, _MAX_STREAKS),
)
_INCIDENT: Final = codec.Record(Incident, caught_at=codec.U64, first=codec.U64, charged=codec.U64)
CONDUCT: Final = codec.Record(
    Conduct, counted_from=codec.U64, incidents=codec.ListOf(_INCIDENT, MAX_INCIDENTS)
)
_SHAPE: Final = codec.Record(_Page, before=codec.U64, bits=codec.Fixed(_PAGE_BYTES))


def allowed(rules: params.Slashing) -> int:
    """Return how many blocks of the window may be missed; what must be signed is rounded down."""
    window = rules.missed_blocks_window
    return window - window * rules.min_signed_per_window_bp // params.BASIS_POINTS


def away(state: State) -> Away:
    """Return the streaks that last."""
    found = state.get(keys.AWAY)
    if found is not None:
        return AWAY.decode_own(found)
    rules = params.SLASHING.load(state)
    return Away(rules.missed_blocks_window, allowed(rules))


def conduct(state: State, operator: AccountId) -> Conduct:
    """Return what is remembered of a validator."""
    return read(state, keys.conduct(operator), CONDUCT) or Conduct()


def save_conduct(draft: Draft, operator: AccountId, record: Conduct) -> None:
    """Write what is remembered of a validator."""
    draft.put(keys.conduct(operator), CONDUCT.encode(record))


def count_from(draft: Draft, operator: AccountId, height: Height) -> None:
    """Forget what a validator missed, and count nothing below height."""
    save_conduct(draft, operator, replace(conduct(draft, operator), counted_from=height))
    held = away(draft)
    others = tuple([each for each in held.streaks if each.operator != operator])
    if others != held.streaks:
        _save(draft, replace(held, streaks=others))


def missed(state: State, operator: AccountId, height: Height) -> int:
    """Return how many blocks of the window that ends at height a validator missed."""
    held = away(state)
    lasting = [each.since for each in held.streaks if each.operator == operator]
    since = min([*lasting, Height(height + 1)])
    return _bits(state, held, operator, height, range(since, height + 1)).bit_count()


def observe(draft: Draft, height: Height, absent: Mapping[bytes, object]) -> tuple[Streak, ...]:
    """Take note of who did not sign the block of that height; return the streaks that are too long.

    `absent` are the addresses of those who could have. Writes only if a streak begins or ends, or
    if the rule changed.
    """
    before = away(draft)
    rules = _follow(before, params.SLASHING.load(draft), height)
    kept = _closed(draft, rules, height, absent)
    if (rules.window, rules.allowed) != (before.window, before.allowed):
        kept = [_timed(draft, rules, each, height) for each in kept]
    after = replace(rules, streaks=(*kept, *_opened(draft, rules, height, absent)))
    if after != before:
        _save(draft, after)
    return tuple([each for each in after.streaks if each.jail_at <= height])


def _save(draft: Draft, record: Away) -> None:
    draft.put(keys.AWAY, AWAY.encode(record))


def _follow(held: Away, rules: params.Slashing, height: Height) -> Away:
    """Return the same by the rules in force."""
    if (held.window, held.allowed) == (rules.missed_blocks_window, allowed(rules)):
        return held
    floor = max(held.floor, height - held.window)
    return Away(rules.missed_blocks_window, allowed(rules), Height(floor), held.streaks)


def _closed(
    draft: Draft, held: Away, height: Height, absent: Mapping[bytes, object]
) -> list[Streak]:
    """Return the streaks that go on; who signed, or could not sign any more, has its closed."""
    for each in held.streaks:
        if each.address not in absent:
            _close(draft, held, each, height)
    return [each for each in held.streaks if each.address in absent]


def _opened(
    draft: Draft, held: Away, height: Height, absent: Mapping[bytes, object]
) -> list[Streak]:
    lasting = frozenset([each.address for each in held.streaks])
    begun = [_begun(draft, each, height) for each in absent if each not in lasting]
    return [_timed(draft, held, each, height) for each in begun if each is not None]


def _begun(draft: Draft, address: bytes, height: Height) -> Streak | None:
    operator = stake.operator_of(draft, address)
    if operator is None:
        return None
    validator = stake.validator(draft, operator)
    if validator is None or validator.jailed or height < conduct(draft, operator).counted_from:
        return None
    return Streak(address, operator, height, NEVER)


def _timed(draft: Draft, held: Away, streak: Streak, height: Height) -> Streak:
    """Return the streak with the height at which it is too long, if it lasts."""
    bits = _bits(draft, held, streak.operator, height, range(streak.since, height))
    return replace(streak, jail_at=_too_many(bits, held, height))


def _too_many(bits: int, held: Away, height: Height) -> Height:
    """Return the first height at which one misses too many that misses all from height on.

    `bits` are those missed before, of the window that ends at height. Each step adds one and drops
    the window's oldest: the count rises whenever that one was not missed.
    """
    if held.allowed >= held.window:
        return NEVER
    needed = held.allowed - bits.bit_count()
    low, high = 0, held.window
    while low < high:
        middle = (low + high) // 2
        dropped = bits & ((1 << middle) - 1)
        if middle - dropped.bit_count() >= needed:
            high = middle
        else:
            low = middle + 1
    return Height(height + low)


def _bits(state: State, held: Away, operator: AccountId, height: Height, lasting: range) -> int:
    """Return the heights missed in the window that ends at height, the oldest lowest.

    `lasting` are those of the streak that is open.
    """
    first = height - held.window + 1
    begun = max(first, lasting.start)
    bits = ((1 << max(0, lasting.stop - begun)) - 1) << (begun - first)
    for key, value in state.scan(keys.missed_pages(operator)):
        page = _SHAPE.decode_own(value)
        run = int.from_bytes(page.bits, "big") << page.before | ((1 << page.before) - 1)
        shift = _number(key) * PAGE - page.before - first
        bits |= run << shift if shift >= 0 else run >> -shift
    useless = max(held.floor, conduct(state, operator).counted_from) - first
    useless = min(max(0, useless), held.window)
    return (bits & ((1 << held.window) - 1)) >> useless << useless


def _close(draft: Draft, held: Away, streak: Streak, height: Height) -> None:
    """Write the page of a streak that ended just below height."""
    number, last = divmod(height - 1, PAGE)
    base = number * PAGE
    at = keys.missed(streak.operator, number)
    found = read(draft, at, _SHAPE)
    page = found or _Page()
    begin = max(0, streak.since - base)
    run = ((1 << (last - begin + 1)) - 1) << begin
    bits = int.from_bytes(page.bits, "big") | run
    before = page.before or min(held.window, max(0, base - streak.since))
    draft.put(at, _SHAPE.encode(_Page(before, bits.to_bytes(_PAGE_BYTES, "big"))))
    if found is None:
        _cut(draft, streak.operator, max(held.floor, height - held.window + 1))


def _cut(draft: Draft, operator: AccountId, useful: int) -> None:
    """Delete up to two pages that end below the first useful height."""
    for key, _ in list(islice(draft.scan(keys.missed_pages(operator)), _CUT)):
        if (_number(key) + 1) * PAGE <= useful:
            draft.delete(key)


def _number(key: bytes) -> int:
    return cast("int", codec.unpack_array(key)[2])
