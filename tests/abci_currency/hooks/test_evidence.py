from __future__ import annotations

from dataclasses import replace

import pytest

from abci_currency import keys, params
from abci_currency.hooks import evidence, maturing
from abci_currency.hooks.evidence import EvidenceRefused, OffenceProved
from abci_currency.state import audit, leaving, liability, slashing, stake, staking
from abci_currency.state.slashing import Jailed, Slashed, Tombstoned
from dchat.kernel import accounts
from dchat.kernel.codec import MAX_U64
from dchat.kernel.family import Event, TxContext
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.machine import Misbehaviour
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, CHAIN
from tests.fakes.voters import UNIT, address, block, founded, time_at, twice, validator

STAKE = 1000 * UNIT
RULES = params.SLASHING.default


def judge(draft: Draft, height: int, *proved: Misbehaviour) -> tuple[Event, ...]:
    told = evidence.judge(draft, block(height, misbehaviour=proved))
    audit.check_invariants(draft)
    return told


def names(told: tuple[Event, ...]) -> list[str]:
    return [type(each).__name__ for each in told]


@pytest.mark.parametrize(("light", "fault"), [(False, 1), (True, 2)])
def test_an_offence_costs_stake_and_place(light: bool, fault: int) -> None:
    draft = founded(STAKE, STAKE)

    told = judge(draft, 30, twice(0, 28, light=light))

    until = EpochMs(time_at(30) + RULES.double_sign_jail_ms)
    assert told == (
        OffenceProved(ALICE.id, fault, Height(28)),
        Slashed(ALICE.id, fault, Height(28), 500, Amount(50 * UNIT)),
        Jailed(ALICE.id, until),
    )
    record = validator(draft)
    assert (record.tokens, record.jailed, record.tombstoned) == (950 * UNIT, True, False)


def test_the_power_in_the_evidence_is_what_is_slashed() -> None:
    draft = founded(STAKE, STAKE)

    judge(draft, 30, twice(0, 28, power=600))

    assert validator(draft).tokens == 970 * UNIT


def test_all_offences_of_one_incident_cost_once() -> None:
    """Slashed in block 30, it is in the set until 31: nobody could have stopped it before."""
    draft = founded(STAKE, STAKE)
    judge(draft, 30, twice(0, 28))

    told = judge(
        draft, 33, twice(0, 29), twice(0, 28, light=True), twice(0, 30), twice(0, 31), twice(0, 1)
    )

    assert names(told) == ["OffenceProved"] * 5
    assert (validator(draft).tokens, validator(draft).tombstoned) == (950 * UNIT, False)


def test_who_signs_twice_again_is_slashed_again_and_never_returns() -> None:
    draft = founded(STAKE, STAKE)
    judge(draft, 30, twice(0, 28))
    slashing.free(draft, ALICE.id, Height(31))

    told = judge(draft, 60, twice(0, 32, power=950))

    assert names(told) == ["OffenceProved", "Slashed", "Tombstoned"]
    assert told[-1] == Tombstoned(ALICE.id)
    assert validator(draft).tokens == 950 * UNIT - 950 * UNIT // 20
    assert validator(draft).tombstoned


def test_who_is_tombstoned_loses_no_more() -> None:
    draft = founded(STAKE, STAKE)
    judge(draft, 30, twice(0, 28))
    judge(draft, 60, twice(0, 40))
    before = validator(draft)

    told = judge(draft, 62, twice(0, 59), twice(0, 62))

    assert names(told) == ["OffenceProved", "EvidenceRefused"]
    assert told[1] == EvidenceRefused(address(0), 1, Height(62), "tombstoned already")
    assert validator(draft) == before


def refused(draft: Draft, height: int, proved: Misbehaviour) -> str:
    """Return why evidence is refused, having written nothing."""
    clean = Draft(draft)
    (told,) = judge(clean, height, proved)
    assert isinstance(told, EvidenceRefused)
    assert clean.writes() == {}
    return told.why


def test_evidence_seen_before_is_refused_and_writes_nothing() -> None:
    draft = founded(STAKE, STAKE)
    judge(draft, 30, twice(0, 28))

    assert refused(draft, 31, twice(0, 28)) == "seen already"


def test_the_same_evidence_twice_in_one_block_counts_once() -> None:
    draft = founded(STAKE, STAKE)

    told = judge(draft, 30, twice(0, 28), twice(0, 28))

    assert names(told) == ["OffenceProved", "Slashed", "Jailed", "EvidenceRefused"]


@pytest.mark.parametrize(("late_ms", "names_"), [(0, 3), (1, 1)])
def test_evidence_beyond_its_age_is_refused(late_ms: int, names_: int) -> None:
    draft = founded(STAKE, STAKE)
    old = replace(twice(0, 28), time_ms=EpochMs(time_at(30) - RULES.evidence_max_age_ms - late_ms))

    assert len(judge(draft, 30, old)) == names_


def test_evidence_that_is_too_old_writes_nothing() -> None:
    old = replace(twice(0, 28), time_ms=EpochMs(0))

    assert refused(founded(STAKE, STAKE), 30, old) == "too old"


def test_evidence_against_a_stranger_is_refused_and_writes_nothing() -> None:
    stranger = replace(twice(0, 28), address=b"s" * 20)

    assert refused(founded(STAKE, STAKE), 30, stranger) == "no validator of ours"


def test_a_retired_key_still_names_its_operator() -> None:
    draft = founded(STAKE, STAKE)
    record = validator(draft)
    staking.claim_key(draft, b"k" * 32, ALICE.id)
    staking.replace_validator(draft, ALICE.id, record, replace(record, consensus_key=b"k" * 32))

    judge(draft, 30, twice(0, 28))

    assert validator(draft).tokens == 950 * UNIT


def test_an_offence_with_either_key_is_of_the_same_incident() -> None:
    draft = founded(STAKE, STAKE)
    staking.claim_key(draft, b"k" * 32, ALICE.id)

    told = judge(
        draft, 30, twice(0, 28), replace(twice(0, 28), address=stake.address_of(b"k" * 32))
    )

    assert names(told) == ["OffenceProved", "Slashed", "Jailed", "OffenceProved"]


def test_several_validators_are_judged_in_one_block() -> None:
    draft = founded(STAKE, STAKE, STAKE)

    judge(draft, 30, twice(0, 28), twice(2, 28))

    assert [validator(draft, at).jailed for at in range(3)] == [True, False, True]


def test_a_fraction_of_nothing_still_jails_and_makes_a_repeater() -> None:
    draft = founded(STAKE, STAKE)
    params.SLASHING.save(draft, replace(RULES, double_sign_slash_bp=0))

    first = judge(draft, 30, twice(0, 28))
    second = judge(draft, 60, twice(0, 40))

    assert (names(first), names(second)) == (
        ["OffenceProved", "Jailed"],
        ["OffenceProved", "Tombstoned"],
    )


def test_what_is_too_old_is_forgotten_by_two_for_each_new_one() -> None:
    draft = founded(STAKE, STAKE)
    judge(draft, 30, *[twice(0, height) for height in range(20, 28)])
    later = EpochMs(time_at(30) + RULES.evidence_max_age_ms)
    fresh = replace(twice(1, 99), time_ms=later)

    evidence.judge(draft, block(100, misbehaviour=(fresh,), block_time_ms=later))

    left = [key for key, _ in draft.scan(keys.EVIDENCE)]
    assert len(left) == 8 - 2 + 1


def test_a_block_without_evidence_writes_nothing() -> None:
    draft = founded(STAKE, STAKE)

    assert judge(draft, 30) == ()
    assert draft.writes() == {}


def test_all_may_be_jailed_and_the_stake_still_adds_up() -> None:
    draft = founded(STAKE, STAKE)

    judge(draft, 30, twice(0, 28), twice(1, 28))

    assert [len(liability.slashes(draft, each)) for each in (ALICE.id,)] == [1]
    assert [validator(draft, at).jailed for at in (0, 1)] == [True, True]


def test_who_shows_a_small_offence_first_still_pays_for_the_large_one() -> None:
    draft = founded(STAKE, STAKE)
    judge(draft, 30, twice(0, 20, power=10))
    small = validator(draft).tokens

    told = judge(draft, 31, twice(0, 28))

    assert small == STAKE - UNIT // 2
    assert names(told) == ["OffenceProved", "Slashed"]
    assert 950 * UNIT <= validator(draft).tokens < 950 * UNIT + STAKE // 10_000


def left_for_good(draft: Draft, height: int, units: int) -> None:
    """Let alice take so much back in that block, of the stake with herself."""
    ctx = TxContext(CHAIN, ALICE.id, ALICE.public_key, Height(height), time_at(height))
    leaving.unbond(draft, ctx, ALICE.id, units)


def paid_back(draft: Draft) -> int:
    """Return what alice has once everything that is on its way has ended."""
    due = EpochMs(time_at(1000) + params.STAKING.default.unbonding_ms)
    maturing.mature(draft, block(1000, block_time_ms=due))
    audit.check_invariants(draft)
    return accounts.load(draft, ALICE.id).balance


def test_who_leaves_between_a_large_offence_and_a_small_one_shown_first_pays() -> None:
    draft = founded(STAKE, STAKE)
    left_for_good(draft, 22, 900 * UNIT)
    judge(draft, 30, twice(0, 28, power=100))

    judge(draft, 31, twice(0, 20))

    assert paid_back(draft) == 900 * UNIT * 95 // 100
    assert validator(draft).tokens == 95 * UNIT


def test_who_leaves_between_two_pieces_of_evidence_pays_for_both() -> None:
    draft = founded(STAKE, STAKE)
    judge(draft, 30, twice(0, 20, power=500))
    left_for_good(draft, 30, 500 * UNIT)

    judge(draft, 40, twice(0, 28))

    lost = 1000 * UNIT - paid_back(draft) - validator(draft).tokens
    assert 49 * UNIT < lost <= 50 * UNIT


def test_who_left_before_a_slash_does_not_bear_it_twice() -> None:
    draft = founded(STAKE, STAKE)
    left_for_good(draft, 29, 500 * UNIT)
    judge(draft, 30, twice(0, 20, power=500))

    judge(draft, 31, twice(0, 28))

    assert paid_back(draft) == 475 * UNIT
    assert validator(draft).tokens == 475 * UNIT


def test_who_is_out_for_good_still_pays_for_what_was_larger() -> None:
    draft = founded(STAKE, STAKE)
    judge(draft, 30, twice(0, 20, power=10))
    judge(draft, 60, twice(0, 40, power=10))

    told = judge(draft, 61, twice(0, 28))

    assert names(told) == ["OffenceProved", "Slashed"]
    assert validator(draft).tokens < 951 * UNIT


@pytest.mark.parametrize("height", [0, 31, 10_000])
def test_an_offence_at_an_odd_height_stops_no_block(height: int) -> None:
    draft = founded(STAKE, STAKE)

    judge(draft, 30, replace(twice(0, 30), height=Height(height)))

    assert validator(draft).tokens == 950 * UNIT


def test_however_much_left_since_the_first_slash_no_sum_stops_the_node() -> None:
    draft = founded(STAKE, STAKE)
    judge(draft, 30, twice(0, 20, power=10))
    liability.left(draft, ALICE.id, Amount(MAX_U64), Height(31), time_at(31))

    told = judge(draft, 40, twice(0, 29, power=MAX_U64 // UNIT))

    assert names(told) == ["OffenceProved", "Slashed"]
