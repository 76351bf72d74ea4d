from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_currency import keys, params
from abci_currency.hooks import maturing
from abci_currency.params import Rewards
from abci_currency.state import audit, leaving, liability, pools, presence, slashing, staking
from abci_currency.state.liability import SLASH, Fault, Slash
from abci_currency.state.presence import NEVER, Conduct, Incident
from abci_currency.state.slashing import Charge, Jailed, Slashed, Tombstoned
from dchat.kernel import accounts, supply
from dchat.kernel.family import TxContext
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, Person, give
from tests.fakes.voters import UNIT, block, founded, time_at, validator

ALL = 1000 * UNIT


def charge(tokens_then: int, offence: int = 20, fraction_bp: int = 500) -> Charge:
    return Charge(Fault.DUPLICATE_VOTE, Height(offence), Amount(tokens_then), fraction_bp)


def slash(draft: Draft, charged: Charge, height: int = 30) -> int:
    """Slash alice's validator; return what burned at once."""
    before = supply.load(draft).burned
    slashing.slash(draft, ALICE.id, charged, block(height))
    return supply.load(draft).burned - before


def pool(draft: Draft) -> int:
    return accounts.load(draft, pools.STAKED).balance


def as_(who: Person, height: int) -> TxContext:
    return TxContext(CHAIN, who.id, who.public_key, Height(height), time_at(height))


def with_carol(tokens: int = 400 * UNIT) -> Draft:
    """Return a state in which carol has that with alice's validator, of 1,000 tokens in all."""
    draft = founded(ALL - tokens, ALL)
    give(draft, CAROL.id, tokens)
    staking.bond(draft, CAROL.id, ALICE.id, Amount(tokens), CAROL.id)
    return draft


def end_all(draft: Draft) -> None:
    """Let everything that is on its way end."""
    due = EpochMs(time_at(1000) + params.STAKING.default.unbonding_ms)
    maturing.mature(draft, block(1000, block_time_ms=due))
    audit.check_invariants(draft)


@pytest.mark.parametrize(
    ("fraction_bp", "burned"),
    [(500, 50_000_000), (1, 100_000), (10_000, 1_000_000_000), (3333, 333_300_000)],
)
def test_a_fraction_of_the_stake_burns_at_once(fraction_bp: int, burned: int) -> None:
    draft = founded(ALL, ALL)

    lost = slash(draft, charge(ALL, fraction_bp=fraction_bp))

    assert (lost, validator(draft).tokens, pool(draft)) == (burned, ALL - burned, 2 * ALL - burned)
    audit.check_invariants(draft)


def test_a_slash_tells_what_it_took_and_is_written_down() -> None:
    draft = founded(ALL, ALL)

    told = slashing.slash(draft, ALICE.id, charge(ALL), block(30))

    made = Slash(1, Height(20), 500, Amount(ALL), Amount(50 * UNIT), time_at(30))
    assert told == (Slashed(ALICE.id, 1, Height(20), 500, Amount(50 * UNIT)),)
    assert SLASH.decode(draft.get(keys.slash(ALICE.id, 30, 0)) or b"") == made


def test_a_fraction_of_nothing_leaves_no_trace() -> None:
    draft = founded(ALL, ALL)

    assert slashing.slash(draft, ALICE.id, charge(ALL, fraction_bp=0), block(30)) == ()
    assert draft.writes() == {}


def test_what_burns_is_rounded_up() -> None:
    assert slash(founded(ALL), charge(tokens_then=10_001, fraction_bp=1)) == 2


def test_stake_that_came_later_adds_nothing_to_what_burns() -> None:
    draft = with_carol()

    assert slash(draft, charge(600 * UNIT)) == 30 * UNIT


def test_no_more_burns_than_there_is() -> None:
    draft = founded(ALL, ALL)

    burned = [slash(draft, charge(ALL, fraction_bp=6000), at) for at in (30, 31, 32)]

    assert burned == [600 * UNIT, 400 * UNIT, 0]
    assert validator(draft).tokens == 0
    audit.check_invariants(draft)


def test_a_slash_of_who_is_no_validator_is_written_down_only() -> None:
    draft = founded(ALL)

    told = slashing.slash(draft, BOB.id, charge(ALL), block(30))

    assert told == (Slashed(BOB.id, 1, Height(20), 500, Amount(0)),)
    assert liability.taken_off(draft, BOB.id, Amount(100), Height(25), Height(30)) == 95


def test_emission_that_is_due_comes_before_the_slash() -> None:
    draft = founded(ALL, ALL)
    rules = Rewards(epoch_ms=60_000, epoch_emission=Amount(100), max_emission=Amount(1000))
    params.REWARDS.save(draft, rules)

    slashing.slash(draft, ALICE.id, charge(ALL), block(61))

    assert supply.load(draft).issued == 2 * ALL + 100


Move = Callable[[Draft, int], object]


def unbond(draft: Draft, height: int) -> object:
    return leaving.unbond(draft, as_(CAROL, height), ALICE.id, 100 * UNIT)


def redelegate(draft: Draft, height: int) -> object:
    return leaving.redelegate(draft, as_(CAROL, height), ALICE.id, BOB.id, 100 * UNIT)


# Carol moves 100 of the 1,000 tokens in block `moved`. The offence is at height 20, whose power is
# the stake at the end of block 18; the slash of 5 % is made at the beginning of block 30.
CASES = [
    # moved, stake of height 20, burned at once, kept of the 100 that moved
    (18, 900, 45, 100),  # was not at stake: 5 % of 900 burn
    (19, 1000, 45, 95),  # was: 5 % of 1,000 burn, 5 of them of what moved and later
    (20, 1000, 45, 95),
    (29, 1000, 45, 95),
]


@pytest.mark.parametrize(("moved", "then", "burned", "kept"), CASES)
def test_unbonding_stake_bears_its_part_when_it_is_due(
    moved: int, then: int, burned: int, kept: int
) -> None:
    draft = with_carol()
    unbond(draft, moved)

    at_once = slash(draft, charge(then * UNIT))
    end_all(draft)

    assert (at_once, accounts.load(draft, CAROL.id).balance) == (burned * UNIT, kept * UNIT)
    assert supply.load(draft).burned == then * UNIT // 20


@pytest.mark.parametrize(("moved", "then", "burned", "kept"), CASES)
def test_redelegated_stake_bears_its_part_when_it_is_due(
    moved: int, then: int, burned: int, kept: int
) -> None:
    draft = with_carol()
    redelegate(draft, moved)

    at_once = slash(draft, charge(then * UNIT))
    end_all(draft)

    assert (at_once, validator(draft, 1).tokens) == (burned * UNIT, ALL + kept * UNIT)
    assert supply.load(draft).burned == then * UNIT // 20


def test_who_leaves_in_the_block_of_the_slash_has_borne_it_already() -> None:
    draft = with_carol()

    at_once = slash(draft, charge(ALL))
    unbond(draft, 30)
    end_all(draft)

    assert (at_once, accounts.load(draft, CAROL.id).balance) == (50 * UNIT, 95 * UNIT)


def test_who_moves_on_and_then_leaves_bears_the_slash_of_where_it_was() -> None:
    draft = with_carol()
    redelegate(draft, 20)
    leaving.unbond(draft, as_(CAROL, 25), BOB.id, 100 * UNIT)

    at_once = slash(draft, charge(ALL))
    end_all(draft)

    assert (at_once, accounts.load(draft, CAROL.id).balance) == (45 * UNIT, 95 * UNIT)


def test_a_validator_that_all_have_left_is_slashed_through_them() -> None:
    draft = with_carol()
    leaving.unbond(draft, as_(CAROL, 21), ALICE.id, 400 * UNIT)
    leaving.unbond(draft, as_(ALICE, 22), ALICE.id, 600 * UNIT)

    at_once = slash(draft, charge(ALL))
    end_all(draft)

    assert at_once == 0
    assert accounts.load(draft, CAROL.id).balance == 380 * UNIT
    assert accounts.load(draft, ALICE.id).balance == 570 * UNIT


def test_what_comes_and_goes_between_offence_and_slash_counts_as_having_left() -> None:
    """Shares are alike: whoever leaves then bears a part, those who stay bear less."""
    draft = with_carol()
    give(draft, BOB.id, 100 * UNIT)
    staking.bond(draft, BOB.id, ALICE.id, Amount(100 * UNIT), BOB.id)
    leaving.unbond(draft, as_(BOB, 25), ALICE.id, 100 * UNIT)

    assert slash(draft, charge(ALL)) == 45 * UNIT


def test_where_more_left_than_was_at_stake_nothing_is_given_back() -> None:
    """What came after the offence went again, and with it more than there was then."""
    draft = with_carol()
    leaving.unbond(draft, as_(CAROL, 25), ALICE.id, 400 * UNIT)

    assert slash(draft, charge(300 * UNIT)) == 0
    assert validator(draft).tokens == 600 * UNIT


movement = st.tuples(
    st.integers(10, 40),
    st.sampled_from([ALICE, CAROL]),
    st.sampled_from(["unbond", "redelegate"]),
    st.integers(1, 60 * UNIT),
)


@settings(max_examples=150, deadline=None)
@given(
    moves=st.lists(movement, max_size=6),
    offence=st.integers(10, 30),
    delay=st.integers(0, 10),
    fraction_bp=st.integers(1, 10_000),
)
def test_wherever_the_stake_of_back_then_is_all_of_it_bears_the_slash(
    moves: list[tuple[int, Person, str, int]], offence: int, delay: int, fraction_bp: int
) -> None:
    """Rounded up once for what stayed, and once for each part that moved."""
    draft, made, then = with_carol(), offence + delay, 0
    for height in range(41):
        if height == made:
            slash(draft, charge(then, offence, fraction_bp), height)
        for _, who, kind, shares in [each for each in moves if each[0] == height]:
            move(draft, as_(who, height), kind, shares)
        then = validator(draft).tokens if height <= offence - 2 else then
    end_all(draft)

    least = -(-then * fraction_bp // 10_000)
    assert least <= supply.load(draft).burned <= least + len(moves)


def move(draft: Draft, ctx: TxContext, kind: str, shares: int) -> None:
    if kind == "unbond":
        leaving.unbond(draft, ctx, ALICE.id, shares)
    elif validator(draft).tokens:
        leaving.redelegate(draft, ctx, ALICE.id, BOB.id, shares)


def test_a_jailed_validator_may_not_be_chosen() -> None:
    draft = founded(ALL, ALL)

    told = slashing.jail(draft, ALICE.id, EpochMs(7))

    assert told == (Jailed(ALICE.id, EpochMs(7)),)
    assert (validator(draft).jailed, validator(draft).jailed_until) == (True, 7)
    assert draft.get(keys.power(ALL, ALICE.id)) is None
    assert presence.conduct(draft, ALICE.id).counted_from == NEVER


def test_a_second_term_never_shortens_the_first() -> None:
    draft = founded(ALL, ALL)

    slashing.jail(draft, ALICE.id, EpochMs(7))
    slashing.jail(draft, ALICE.id, EpochMs(5))

    assert validator(draft).jailed_until == 7


def test_a_tombstone_is_for_ever() -> None:
    draft = founded(ALL, ALL)

    told = slashing.tombstone(draft, ALICE.id)

    record = validator(draft)
    assert told == (Tombstoned(ALICE.id),)
    assert (record.jailed, record.tombstoned, record.jailed_until) == (True, True, 2**64 - 1)


@pytest.mark.parametrize(
    "punish",
    [
        lambda draft: slashing.jail(draft, BOB.id, EpochMs(7)),
        lambda draft: slashing.tombstone(draft, BOB.id),
    ],
)
def test_who_is_no_validator_cannot_be_jailed(punish: Callable[[Draft], object]) -> None:
    draft = founded(ALL)

    assert punish(draft) == ()
    assert draft.writes() == {}


def test_who_is_freed_may_be_chosen_and_is_counted_from_two_blocks_on() -> None:
    draft = founded(ALL, ALL)
    slashing.jail(draft, ALICE.id, EpochMs(7))

    slashing.free(draft, ALICE.id, Height(50))

    assert (validator(draft).jailed, validator(draft).jailed_until) == (False, 7)
    assert draft.get(keys.power(ALL, ALICE.id)) is not None
    assert presence.conduct(draft, ALICE.id) == Conduct(counted_from=Height(52))


def test_to_be_freed_does_not_forget_that_one_was_caught() -> None:
    draft = founded(ALL, ALL)
    caught = Conduct(incidents=(Incident(Height(30), Height(28), Amount(ALL)),))
    presence.save_conduct(draft, ALICE.id, caught)

    slashing.jail(draft, ALICE.id, EpochMs(7))
    slashing.free(draft, ALICE.id, Height(50))

    assert presence.conduct(draft, ALICE.id) == replace(caught, counted_from=Height(52))
