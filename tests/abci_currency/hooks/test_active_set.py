from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from abci_currency import keys, params
from abci_currency.hooks import active_set
from abci_currency.machine import MACHINE
from abci_currency.params import DAY_MS
from abci_currency.state import rewards, staking
from abci_currency.txs.delegate import DELEGATE, Delegate
from dchat.kernel.amounts import UNIT
from dchat.kernel.ids import Amount
from dchat.kernel.machine import Block, ValidatorPower, run_block
from dchat.kernel.store import Draft
from tests.fakes.currency import (
    DAVE,
    ERIN,
    RULES,
    STAKE,
    Chain,
    begun,
    block_at,
    form,
    open_validator,
    shared_by,
    voter,
    with_emission,
)
from tests.fakes.memory import ALICE, BOB, CAROL, START, MemoryState, Person


def jail(chain: Chain, *operators: Person) -> None:
    draft = Draft(chain.state)
    for who in operators:
        before = staking.found(draft, who.id)
        staking.replace_validator(draft, who.id, before, replace(before, jailed=True))
    chain.state = chain.state.after(draft.writes())


def power(who: Person, power: int) -> ValidatorPower:
    return ValidatorPower(voter(who).public_key, power)


def stake_more(chain: Chain, who: Person, amount: int) -> tuple[ValidatorPower, ...]:
    body = DELEGATE.body(Delegate(who.id, Amount(amount)))
    return chain.block(chain.signed(ERIN, body)).validator_updates


def test_the_first_set_is_every_validator_of_genesis() -> None:
    draft = Draft(MemoryState())
    chain = Chain(begun(()))
    draft = Draft(chain.state)
    open_validator(draft, ALICE, STAKE)
    open_validator(draft, BOB, STAKE + UNIT)

    first = active_set.begin(draft)

    assert {each.public_key: each.power for each in first} == {
        voter(ALICE).public_key: 1000,
        voter(BOB).public_key: 1001,
    }
    assert [each.operator for each in active_set.load(draft)] == [BOB.id, ALICE.id]


def test_an_empty_block_writes_nothing() -> None:
    chain = Chain(begun())

    result = chain.block()

    assert (result.writes, result.validator_updates) == ({}, ())


def test_only_what_changed_is_told() -> None:
    chain = Chain(begun())

    assert stake_more(chain, ALICE, UNIT) == (power(ALICE, 1001),)
    assert chain.block().validator_updates == ()


def test_less_than_a_unit_of_power_changes_nothing() -> None:
    chain = Chain(begun())

    assert stake_more(chain, ALICE, UNIT - 1) == ()


def test_the_strongest_vote_and_the_weakest_drops_out() -> None:
    chain = Chain(begun((ALICE, BOB, CAROL, DAVE)))
    outside = next(each for each in (ALICE, BOB, CAROL, DAVE) if not chain.validator(each).active)
    inside = [each for each in (ALICE, BOB, CAROL, DAVE) if each != outside]
    weakest = max(inside, key=lambda each: each.id)

    updates = stake_more(chain, outside, UNIT)

    assert outside.id == max(each.id for each in (ALICE, BOB, CAROL, DAVE))
    assert sorted(updates, key=lambda each: each.power) == [power(weakest, 0), power(outside, 1001)]
    assert (chain.validator(weakest).active, chain.validator(outside).active) == (False, True)


def test_who_is_jailed_votes_no_more() -> None:
    chain = Chain(begun())
    jail(chain, ALICE)

    assert chain.block().validator_updates == (power(ALICE, 0),)
    assert rewards.totals(chain.state).active_tokens == STAKE


def test_the_last_set_stays_if_nobody_would_be_left() -> None:
    chain = Chain(begun())
    jail(chain, ALICE, BOB)

    result = chain.block()

    assert (result.validator_updates, result.writes) == ((), {})
    assert sorted(chain.voting().values()) == [1000, 1000]


def test_who_returns_first_takes_over_from_a_set_in_jail() -> None:
    chain = Chain(begun())
    jail(chain, ALICE, BOB)
    chain.block()
    before = chain.validator(BOB)
    draft = Draft(chain.state)
    staking.replace_validator(draft, BOB.id, before, replace(before, jailed=False))
    chain.state = chain.state.after(draft.writes())

    assert chain.block().validator_updates == (power(ALICE, 0),)


def test_less_than_a_unit_of_stake_does_not_vote() -> None:
    chain = Chain(begun((ALICE,)))
    draft = Draft(chain.state)
    open_validator(draft, BOB, UNIT)
    before = staking.found(draft, BOB.id)
    after = replace(before, tokens=Amount(UNIT - 1))
    staking.replace_validator(draft, BOB.id, before, after)

    assert active_set.updates(draft, block_at(1)) == ()


def test_fewer_places_are_taken_from_the_weakest() -> None:
    chain = Chain(begun((ALICE, BOB, CAROL)))
    stake_more(chain, BOB, UNIT)
    draft = Draft(chain.state)
    params.STAKING.save(draft, replace(RULES, max_validators=1))
    chain.state = chain.state.after(draft.writes())

    chain.block()

    assert chain.voting() == {voter(BOB).public_key: 1001}


def test_updates_are_in_the_order_of_keys() -> None:
    draft = Draft(begun(()))
    for who in (ALICE, BOB, CAROL):
        open_validator(draft, who, form(who).stake)

    keys = [each.public_key for each in active_set.begin(draft)]

    assert keys == sorted(keys)


def test_emission_that_is_due_goes_to_who_voted_until_then() -> None:
    chain = Chain(with_emission(begun()))
    jail(chain, ALICE)
    draft = Draft(chain.state)

    active_set.updates(draft, block_at(1, time=START + DAY_MS))

    assert shared_by(draft, 2 * STAKE)


class Watched(MemoryState):
    """Remembers what was looked at."""

    def __init__(self, state: MemoryState) -> None:
        super().__init__(state.entries)
        self.seen: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        self.seen.append(key)
        return super().get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key, value in super().scan(prefix):
            self.seen.append(key)
            yield key, value


def test_an_idle_block_looks_at_the_places_that_vote_and_at_no_delegation() -> None:
    chain = Chain(begun((ALICE, BOB, CAROL, DAVE)))
    stake_more(chain, BOB, UNIT)
    watched = Watched(chain.state)

    run_block(MACHINE, watched, Block(block_at(9), ()), {})

    looked_at = [key for key in watched.seen if key.startswith(keys.POWERS)]
    assert len(looked_at) <= RULES.max_validators
    assert [key for key in watched.seen if key.startswith(keys.DELEGATIONS)] == []
