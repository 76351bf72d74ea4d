from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency import params
from abci_currency.params import Slashing
from abci_currency.state import presence, slashing, stake, staking
from abci_currency.state.staking import UnknownValidator
from abci_currency.txs.delegate import DELEGATE, UNDELEGATE, Delegate, Undelegate
from abci_currency.txs.unjail import (
    FAMILY,
    NeverUnjailed,
    NotJailed,
    OwnStakeTooLow,
    StakeTooLow,
    StillJailed,
    Unjail,
    Unjailed,
)
from dchat.kernel import accounts, codec
from dchat.kernel.amounts import UNIT
from dchat.kernel.errors import MalformedBody, NonceMismatch, TxRejected
from dchat.kernel.ids import Amount, Cost, EpochMs, Height
from dchat.kernel.machine import Misbehaviour, Offence, Vote
from dchat.kernel.store import Draft
from tests.fakes.currency import STAKE, Chain, as_, begun, time_of, voter
from tests.fakes.memory import ALICE, BOB, CAROL, MemoryState, Person, signed

TERM_MS = 10_000
ORDER = FAMILY.body(Unjail())
RULES = Slashing(
    missed_blocks_window=10,
    min_signed_per_window_bp=5000,
    double_sign_jail_ms=TERM_MS,
    downtime_jail_ms=TERM_MS,
)


def opened(*operators: Person) -> Chain:
    draft = Draft(begun(operators or (ALICE, BOB)))
    params.SLASHING.save(draft, RULES)
    return Chain(MemoryState(dict(draft.scan(b""))))


def address(who: Person) -> bytes:
    return stake.address_of(voter(who).public_key)


def offence(chain: Chain, who: Person) -> Misbehaviour:
    """Return evidence that who signed twice in the next block."""
    height = chain.height + 1
    return Misbehaviour(
        Offence.DUPLICATE_VOTE, address(who), STAKE // UNIT, Height(height), time_of(height)
    )


def caught(*operators: Person) -> Chain:
    """Return a chain whose alice was caught in its first block."""
    chain = opened(*operators)
    chain.block(misbehaviour=(offence(chain, ALICE),))
    return chain


def wait(chain: Chain, ms: int = TERM_MS) -> Chain:
    chain.block(after_ms=ms)
    return chain


def test_who_served_its_term_votes_again() -> None:
    chain = wait(caught())
    out = chain.voting()

    outcome = chain.order(ALICE, ORDER)

    assert outcome.events == (Unjailed(ALICE.id),)
    assert not chain.validator(ALICE).jailed
    assert voter(ALICE).public_key not in out
    assert chain.voting()[voter(ALICE).public_key] == 950


def test_who_is_freed_is_counted_from_two_blocks_on() -> None:
    chain = wait(caught())

    chain.order(ALICE, ORDER)

    assert presence.conduct(chain.state, ALICE.id).counted_from == chain.height + 2


def test_the_term_ends_at_its_last_millisecond() -> None:
    chain = caught()

    early = chain.order(ALICE, ORDER, after_ms=TERM_MS - 1)
    due = chain.order(ALICE, ORDER, after_ms=1)

    assert (early.code, due.code) == (StillJailed.code, 0)


def test_a_replay_is_refused() -> None:
    chain = wait(caught())
    raw = chain.signed(ALICE, ORDER)

    codes = [chain.block(raw).outcomes[0].code for _ in range(2)]

    assert codes == [0, NonceMismatch.code]


def test_a_second_unjail_finds_nobody_in_jail() -> None:
    chain = wait(caught())

    codes = [chain.order(ALICE, ORDER).code for _ in range(2)]

    assert codes == [0, NotJailed.code]


def test_only_the_operator_can_ask() -> None:
    chain = wait(caught(ALICE, BOB))

    codes = [chain.order(who, ORDER).code for who in (BOB, CAROL)]

    assert codes == [NotJailed.code, UnknownValidator.code]
    assert chain.validator(ALICE).jailed


def test_who_signed_twice_again_is_never_freed() -> None:
    chain = wait(caught())
    chain.order(ALICE, ORDER)
    chain.block()
    chain.block(misbehaviour=(offence(chain, ALICE),))

    outcome = wait(chain, 10**9).order(ALICE, ORDER)

    assert outcome.code == NeverUnjailed.code


def test_who_promised_more_than_it_has_left_is_told_how_much() -> None:
    """Of 1,000 the slash left 950, of which 860 leave; it promised 100."""
    chain = caught()
    chain.order(ALICE, UNDELEGATE.body(Undelegate(ALICE.id, Amount(860 * UNIT))))

    refused = wait(chain).order(ALICE, ORDER)
    chain.order(ALICE, DELEGATE.body(Delegate(ALICE.id, Amount(10 * UNIT))))
    freed = chain.order(ALICE, ORDER)

    assert refused.code == OwnStakeTooLow.code
    assert refused.reason == (
        "OwnStakeTooLow: the operator has 90000000 base units with it, promised 100000000"
    )
    assert freed.code == 0


def draft_with(tokens: int, promised: int = 0, **changes: object) -> Draft:
    """Return a state in which alice's validator has so many tokens of its own, and is jailed."""
    draft = Draft(begun((ALICE, BOB)))
    before = staking.found(draft, ALICE.id)
    after = replace(
        before, tokens=Amount(tokens), min_self_delegation=Amount(promised), jailed=True, **changes
    )
    staking.replace_validator(draft, ALICE.id, before, after)
    return Draft(MemoryState(dict(draft.scan(b""))))


@pytest.mark.parametrize(
    ("draft", "refusal"),
    [
        (draft_with(UNIT - 1), StakeTooLow),
        (draft_with(0), StakeTooLow),
        (draft_with(UNIT, promised=UNIT + 1), OwnStakeTooLow),
        (draft_with(UNIT, jailed_until=EpochMs(time_of(1) + 1)), StillJailed),
        (draft_with(UNIT, tombstoned=True), NeverUnjailed),
        (Draft(begun((BOB,))), UnknownValidator),
        (Draft(begun((ALICE,))), NotJailed),
    ],
)
def test_a_refusal_leaves_the_draft_untouched(draft: Draft, refusal: type[TxRejected]) -> None:
    with pytest.raises(refusal):
        FAMILY.apply(draft, Unjail(), as_(ALICE))

    assert draft.writes() == {}


def test_the_least_that_votes_is_enough() -> None:
    draft = draft_with(UNIT, promised=UNIT)

    assert FAMILY.apply(draft, Unjail(), as_(ALICE)) == (Unjailed(ALICE.id),)


@given(fields=st.lists(st.integers(0, 9) | st.binary(max_size=9) | st.booleans(), min_size=1))
def test_any_field_is_malformed(fields: list[codec.Raw]) -> None:
    with pytest.raises(MalformedBody):
        FAMILY.prepare(fields)


def away(who: Person, *others: Person) -> tuple[Vote, ...]:
    """Return the votes of a commit that who missed."""
    present = [Vote(address(each), 1000, present=True) for each in others]
    return (Vote(address(who), 1000, present=False), *present)


def test_who_was_away_is_jailed_freed_and_back() -> None:
    """The whole way, every block audited: six missed of ten, the term, unjail, power at H+2."""
    chain = opened(ALICE, BOB)
    for _ in range(7):
        chain.block(last_commit=away(ALICE, BOB))
    out = chain.voting()

    codes = [chain.order(ALICE, ORDER).code, wait(chain).order(ALICE, ORDER).code]

    assert out == {voter(BOB).public_key: 1000}
    assert codes == [StillJailed.code, 0]
    assert chain.voting()[voter(ALICE).public_key] == 999
    assert chain.validator(ALICE).tokens == STAKE - STAKE // 10_000


def test_the_last_set_goes_on_when_all_are_jailed() -> None:
    """CometBFT cannot do without: they vote, unpunished for absence, until one is freed."""
    chain = opened(ALICE, BOB)
    result = chain.block(misbehaviour=(offence(chain, ALICE), offence(chain, BOB)))
    late = [chain.block(last_commit=away(ALICE, BOB)) for _ in range(20)]

    freed = wait(chain).order(ALICE, ORDER)

    assert result.validator_updates == ()
    assert [each.events for each in late] == [()] * 20
    assert (freed.code, chain.voting()) == (0, {voter(ALICE).public_key: 950})


def test_who_leaves_below_its_promise_is_jailed_and_returns_at_once() -> None:
    chain = opened(ALICE, BOB)
    chain.order(ALICE, UNDELEGATE.body(Undelegate(ALICE.id, Amount(950 * UNIT))))
    jailed = chain.validator(ALICE).jailed

    chain.order(ALICE, DELEGATE.body(Delegate(ALICE.id, Amount(50 * UNIT))))

    assert jailed
    assert chain.order(ALICE, ORDER).code == 0


def test_freeing_writes_the_same_as_the_rule_below_it() -> None:
    draft, other = draft_with(UNIT), draft_with(UNIT)

    FAMILY.apply(draft, Unjail(), as_(ALICE, height=7))
    slashing.free(other, ALICE.id, Height(7))

    assert draft.writes() == other.writes()


def test_who_steps_down_and_returns_in_one_block_is_still_late() -> None:
    """An operator jails itself at will; were it counted afresh, it could stay away for good."""
    chain = opened(ALICE, BOB)
    for _ in range(4):
        chain.block(last_commit=away(ALICE, BOB))
    nonce = accounts.load(chain.state, ALICE.id).nonce
    below = UNDELEGATE.body(Undelegate(ALICE.id, Amount(950 * UNIT)))
    above = DELEGATE.body(Delegate(ALICE.id, Amount(950 * UNIT)))
    terms = {"fee": Amount(20_000), "cost_limit": Cost(10_000)}

    chain.block(
        signed(ALICE, below, nonce, **terms),
        signed(ALICE, above, nonce + 1, **terms),
        signed(ALICE, ORDER, nonce + 2, **terms),
        last_commit=away(ALICE, BOB),
    )
    free = chain.validator(ALICE).jailed
    chain.block(last_commit=away(ALICE, BOB))

    assert (free, chain.validator(ALICE).jailed) == (False, True)
