from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat.machine import MACHINE
from abci_chat.state.beacon import EMPTY_HEAD, MAX_LENGTH, STALLED_AFTER, Link, Phase
from abci_chat.txs.beacon import (
    FAMILY,
    BadChainLength,
    BeaconCommitted,
    CommitBeacon,
    NotOperator,
    NoValidator,
    WrongChainNumber,
)
from dchat.kernel import accounts, supply
from dchat.kernel.errors import NonceMismatch
from dchat.kernel.ids import Nonce
from dchat.kernel.refusals import REFUSALS
from tests.fakes.draws import ADDRESSES, ANNA, BERT, CLEO, DIRK, LENGTH, Lottery, head, preimage
from tests.fakes.memory import ALICE, BOB, FOUNDER, FUNDS, Person, run, signed

SECOND = CommitBeacon(ADDRESSES[ANNA], head(ANNA, 2), LENGTH, 2)


def order(tx: CommitBeacon = SECOND, who: Person = ALICE, nonce: int = 0) -> bytes:
    return signed(who, FAMILY.body(tx), nonce)


def test_an_operator_binds_its_validator_to_another_chain() -> None:
    chain = Lottery()

    outcome = chain.block(DIRK, order()).result.outcomes[0]

    assert outcome.events == (BeaconCommitted(ADDRESSES[ANNA], 2, 1),)
    assert chain.bound(ANNA).next == (Link(head(ANNA, 2), LENGTH, 2),)


def test_the_chain_counts_in_the_next_window() -> None:
    chain = Lottery()
    chain.block(DIRK, order(), ask=(1,))

    made = chain.block(ANNA)

    assert made.contributed == preimage(ANNA, 0, 2)


def test_a_chain_that_is_bound_in_a_window_counts_in_the_next() -> None:
    chain = Lottery()
    chain.block(DIRK, ask=(1,))

    made = chain.block(BERT, order())

    assert made.result.outcomes[1].events == (BeaconCommitted(ADDRESSES[ANNA], 2, 2),)
    assert chain.owed(ANNA) == preimage(ANNA, 0)


def test_a_chain_that_is_bound_while_a_draw_is_stalled_opens_a_window() -> None:
    chain = Lottery()
    chain.block(DIRK, ask=(1,))
    chain.blocks(*[DIRK] * (STALLED_AFTER + 1))

    chain.block(DIRK, signed(ALICE, FAMILY.body(SECOND), valid_until_height=1000))

    assert (chain.draw.phase, chain.owed(ANNA)) == (Phase.OPEN, preimage(ANNA, 0, 2))


def test_a_validator_that_never_had_a_chain_begins_with_its_first() -> None:
    chain = Lottery()
    first = CommitBeacon(ADDRESSES[DIRK], head(DIRK), LENGTH, 1)
    held = accounts.Account(b"", 0, Nonce(0), FUNDS)
    chain.state = chain.state.after({accounts.key(FOUNDER.id): held.encode()})

    outcome = chain.block(ANNA, order(first, FOUNDER)).result.outcomes[0]

    assert outcome.events == (BeaconCommitted(ADDRESSES[DIRK], 1, 1),)


def test_chains_are_numbered_whether_they_count_yet_or_not() -> None:
    chain = Lottery()
    third = CommitBeacon(ADDRESSES[ANNA], head(ANNA, 3), LENGTH, 3)

    made = chain.block(DIRK, order(), order(third, nonce=1))

    assert [each.code for each in made.result.outcomes] == [0, 0]
    assert chain.bound(ANNA).next[0].number == 3


@pytest.mark.parametrize(
    ("tx", "who", "code"),
    [
        (replace(SECOND, length=0), ALICE, BadChainLength.code),
        (replace(SECOND, length=MAX_LENGTH + 1), ALICE, BadChainLength.code),
        (replace(SECOND, head=EMPTY_HEAD), ALICE, BadChainLength.code),
        (replace(SECOND, validator=bytes(20)), ALICE, NoValidator.code),
        (SECOND, BOB, NotOperator.code),
        (replace(SECOND, number=1), ALICE, WrongChainNumber.code),
        (replace(SECOND, number=3), ALICE, WrongChainNumber.code),
        (replace(SECOND, number=0), ALICE, WrongChainNumber.code),
    ],
)
def test_what_is_refused_changes_nothing_but_nonce_and_fee(
    tx: CommitBeacon, who: Person, code: int
) -> None:
    chain = Lottery()

    made = chain.block(CLEO, order(tx, who))

    assert made.result.outcomes[0].code == code
    assert set(made.result.writes) == {accounts.key(who.id), supply.KEY}
    assert chain.bound(ANNA) == Lottery().bound(ANNA)


def test_a_chain_of_the_longest_length_is_accepted() -> None:
    chain = Lottery()

    made = chain.block(DIRK, order(replace(SECOND, length=MAX_LENGTH)))

    assert made.result.outcomes[0].code == 0


def test_a_replayed_order_is_refused() -> None:
    chain = Lottery()
    chain.block(DIRK, order())

    assert chain.block(DIRK, order()).result.outcomes[0].code == NonceMismatch.code


fields = st.one_of(
    st.sampled_from([ADDRESSES[ANNA], head(ANNA), b"", 1, 2, 64]), st.integers(0, 2**64 - 1)
)


@given(st.lists(fields, max_size=5))
def test_any_body_of_the_type_gives_a_known_code(found: list[int | bytes]) -> None:
    result = run(MACHINE, Lottery().state, signed(ALICE, (FAMILY.type, *found)))

    assert result.outcomes[0].code in {0, *REFUSALS}
    assert accounts.key(ALICE.id) in result.writes
