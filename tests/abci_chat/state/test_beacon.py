from __future__ import annotations

from dataclasses import replace

import pytest

from abci_chat import keys, params
from abci_chat.state import beacon
from abci_chat.state.beacon import (
    DUTY,
    EMPTY_HEAD,
    MAX_WAITING,
    STALLED_AFTER,
    DrawStalled,
    Link,
    Phase,
    PreimageRevealed,
)
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import ChainId, Height
from dchat.kernel.store import Draft
from tests.fakes.draws import (
    ADDRESSES,
    ANNA,
    BERT,
    CLEO,
    DIRK,
    LENGTH,
    PREIMAGES,
    SECRETS,
    Lottery,
    head,
    preimage,
    seed,
)
from tests.fakes.memory import CHAIN, MemoryState

FIRST, SECOND, THIRD = (keys.case(number) for number in (1, 2, 3))


def asked(*numbers: int) -> Lottery:
    """A chain on which these cases have just asked for a seed."""
    chain = Lottery()
    chain.block(DIRK, ask=numbers or (1,))
    return chain


def test_every_value_of_a_chain_hashes_to_the_next_up_to_its_head() -> None:
    values = [beacon.value(SECRETS[ANNA], CHAIN, 1, at) for at in range(LENGTH + 1)]

    assert [beacon.after(each) for each in values[:-1]] == values[1:]
    assert (values[-1], SECRETS[ANNA] in values, len(set(values))) == (
        head(ANNA),
        False,
        LENGTH + 1,
    )


def test_chains_differ_by_secret_chain_id_and_number() -> None:
    """Or what one chain reveals would tell another's seeds."""
    one, another = SECRETS[:2]

    heads = {
        beacon.value(secret, ChainId(chain), number, 8)
        for secret, chain, number in (
            (one, "a", 1),
            (another, "a", 1),
            (one, "b", 1),
            (one, "a", 2),
        )
    }

    assert len(heads) == 4


@pytest.mark.parametrize("who", [ANNA, DIRK])
def test_outside_of_a_window_nobody_owes_or_may_reveal_anything(who: int) -> None:
    chain = Lottery()

    assert (chain.owed(who), chain.accepts(who, b"")) == (b"", True)
    assert not chain.accepts(who, preimage(who, 0))


def test_in_a_window_a_proposer_owes_exactly_its_next_preimage() -> None:
    chain = asked()

    assert chain.owed(ANNA) == preimage(ANNA, 0)
    assert chain.accepts(ANNA, preimage(ANNA, 0))


@pytest.mark.parametrize(
    "contributed",
    [
        b"",
        preimage(ANNA, 1),
        head(ANNA),
        preimage(BERT, 0),
        preimage(ANNA, 0)[:-1],
        preimage(ANNA, 0) + b"\0",
        SECRETS[ANNA],
    ],
    ids=["nothing", "next but one", "head", "another's", "short", "long", "secret"],
)
def test_anything_else_than_the_next_preimage_is_rejected(contributed: bytes) -> None:
    assert not asked().accepts(ANNA, contributed)


@pytest.mark.parametrize("address", [ADDRESSES[DIRK], b"stranger's address  "])
def test_who_is_bound_to_no_chain_owes_nothing_and_may_reveal_nothing(address: bytes) -> None:
    state = asked().state

    assert DUTY.make(state, address, SECRETS[DIRK]) == b""
    assert DUTY.accepts(state, address, b"")
    assert not DUTY.accepts(state, address, preimage(DIRK, 0))
    assert not DUTY.accepts(state, address, EMPTY_HEAD)


@pytest.mark.parametrize("secret", [b"", SECRETS[BERT], SECRETS[ANNA][:-1]])
def test_another_secret_makes_no_contribution(secret: bytes) -> None:
    assert DUTY.make(asked().state, ADDRESSES[ANNA], secret) == b""


def test_preimages_are_revealed_one_after_the_other() -> None:
    chain = asked()

    made = chain.blocks(ANNA, BERT, ANNA)

    assert [each.contributed for each in made] == [
        preimage(ANNA, 0),
        preimage(BERT, 0),
        preimage(ANNA, 1),
    ]
    assert made[2].revealed == [PreimageRevealed(ADDRESSES[ANNA], 1, LENGTH - 2)]
    assert chain.bound(ANNA).link == Link(preimage(ANNA, 1), LENGTH - 2, 1)


def test_the_last_preimage_of_a_window_makes_the_seed() -> None:
    chain = asked()
    before = chain.blocks(ANNA, BERT, ANNA)

    last = chain.block(CLEO)

    assert [each.seeds for each in before] == [{}] * 3
    revealed = [(who, preimage(who, at)) for who, at in ((0, 0), (1, 0), (0, 1), (2, 0))]
    assert last.seeds == {FIRST: seed(1, 1, revealed)}
    assert chain.draw.phase is Phase.IDLE
    assert chain.state.get(keys.draw_waiting(0)) is None


def test_the_seed_depends_on_every_preimage_and_on_their_order() -> None:
    turns = [(ANNA, BERT, ANNA, CLEO), (BERT, ANNA, ANNA, CLEO), (ANNA, BERT, ANNA, BERT)]

    seeds = {asked().blocks(*each)[-1].seeds[FIRST] for each in turns}

    assert len(seeds) == 3


def test_blocks_without_a_preimage_only_make_a_window_longer() -> None:
    chain = asked()

    made = chain.blocks(ANNA, DIRK, DIRK, BERT, DIRK, ANNA, DIRK, CLEO)

    revealed = [(who, preimage(who, at)) for who, at in ((0, 0), (1, 0), (0, 1), (2, 0))]
    assert made[-1].seeds == {FIRST: seed(1, 1, revealed)}


def test_every_block_of_a_window_writes_something_and_none_after_it() -> None:
    """So that an idle chain makes the next block by itself, until the seed is there."""
    chain = asked()

    made = chain.blocks(ANNA, DIRK, BERT, DIRK, ANNA, CLEO, ANNA, DIRK)

    assert [bool(each.result.writes) for each in made] == [True] * 6 + [False] * 2


def test_who_asks_in_the_same_block_shares_the_window_and_gets_another_seed() -> None:
    made = asked(1, 2).blocks(ANNA, BERT, CLEO, ANNA)[-1]

    assert set(made.seeds) == {FIRST, SECOND}
    assert made.seeds[FIRST] != made.seeds[SECOND]


@pytest.mark.parametrize("at", range(PREIMAGES))
def test_no_preimage_counts_for_whoever_asked_after_it_was_revealed(at: int) -> None:
    chain = asked()
    chain.blocks(*[ANNA] * at)
    chain.block(ANNA, ask=(2,))
    chain.blocks(*[ANNA] * (PREIMAGES - at - 1))

    last = chain.blocks(*[BERT] * PREIMAGES)[-1]

    revealed = [(BERT, preimage(BERT, used)) for used in range(PREIMAGES)]
    assert last.seeds == {SECOND: seed(2, 2, revealed)}


def test_who_asks_in_the_block_that_ends_a_window_waits_for_the_next() -> None:
    chain = asked()
    chain.blocks(ANNA, ANNA, ANNA)
    last = chain.block(ANNA, ask=(2, 3))

    later = chain.blocks(*[BERT] * PREIMAGES)[-1]

    assert set(last.seeds) == {FIRST}
    assert set(later.seeds) == {SECOND, THIRD}


def test_no_more_than_so_many_share_a_window() -> None:
    many = range(1, MAX_WAITING + 3)
    chain = asked(*many)

    first = chain.blocks(*[ANNA] * PREIMAGES)[-1].seeds
    second = chain.blocks(*[ANNA] * PREIMAGES)[-1].seeds

    assert [len(first), len(second)] == [MAX_WAITING, 2]
    assert {*first, *second} == {keys.case(number) for number in many}
    assert chain.draw.phase is Phase.IDLE


def test_fewer_share_a_window_where_juries_are_large() -> None:
    chain = Lottery()
    draft = Draft(chain.state)
    rules = replace(params.Moderation(), draw_blocks=PREIMAGES, jury_size=63)
    params.MODERATION.save(draft, rules)
    chain.state = chain.state.after(draft.writes())
    chain.block(DIRK, ask=range(1, 10))

    first = chain.blocks(*[ANNA] * PREIMAGES)[-1].seeds
    second = chain.blocks(*[ANNA] * PREIMAGES)[-1].seeds

    assert [len(first), len(second)] == [7, 2]


def test_what_asks_twice_gets_two_seeds() -> None:
    chain = asked()
    chain.block(ANNA, ask=(1,))

    made = chain.blocks(*[BERT] * (2 * PREIMAGES - 1))

    assert len({each.seeds[FIRST] for each in made if each.seeds}) == 2


def test_a_window_is_as_long_as_the_parameters_said_when_it_opened() -> None:
    chain = asked()
    draft = Draft(chain.state)
    params.MODERATION.save(draft, params.Moderation(draw_blocks=1))
    chain.state = chain.state.after(draft.writes())

    assert [bool(each.seeds) for each in chain.blocks(*[ANNA] * PREIMAGES)] == [0, 0, 0, 1]


def test_a_chain_that_is_used_up_owes_nothing() -> None:
    chain = Lottery(length=2)
    chain.block(DIRK, ask=(1,))
    chain.blocks(ANNA, ANNA)

    assert (chain.owed(ANNA), chain.accepts(ANNA, b"")) == (b"", True)
    assert not chain.accepts(ANNA, beacon.value(SECRETS[ANNA], CHAIN, 1, 0))


def stalled() -> Lottery:
    """A chain on which one preimage was revealed, and then nobody had any."""
    chain = asked()
    chain.block(ANNA)
    chain.blocks(*[DIRK] * STALLED_AFTER)
    return chain


def test_a_window_without_preimages_stalls_and_the_chain_idles() -> None:
    chain = asked()
    made = chain.blocks(ANNA, *[DIRK] * STALLED_AFTER)

    after = chain.blocks(DIRK, ANNA)

    assert made[-1].events == (DrawStalled(1),)
    assert not [told for each in made[:-1] for told in each.events if isinstance(told, DrawStalled)]
    assert [each.result.writes for each in after] == [{}, {}]
    assert chain.draw.phase is Phase.STALLED


def test_a_preimage_now_and_then_keeps_a_window_open() -> None:
    chain = asked()

    chain.blocks(*[DIRK] * (STALLED_AFTER - 1), ANNA, *[DIRK] * (STALLED_AFTER - 1))

    assert (chain.draw.phase, chain.draw.left) == (Phase.OPEN, PREIMAGES - 1)


def test_in_a_stalled_draw_nobody_owes_anything_and_others_can_ask() -> None:
    chain = stalled()

    chain.block(ANNA, ask=(2,))

    assert (chain.owed(BERT), chain.draw.phase) == (b"", Phase.STALLED)


def test_a_stalled_draw_begins_anew_once_somebody_is_bound_to_another_chain() -> None:
    chain = stalled()
    chain.block(DIRK, ask=(2,))
    since = chain.bind(ANNA, 2)

    last = chain.blocks(*[ANNA] * PREIMAGES)[-1]

    revealed = [(ANNA, preimage(ANNA, used, 2)) for used in range(PREIMAGES)]
    assert last.seeds == {FIRST: seed(2, 1, revealed), SECOND: seed(2, 2, revealed)}
    assert since == 2


def test_another_chain_counts_from_the_next_window_on() -> None:
    """Or it could be chosen with all preimages in sight but its own."""
    chain = asked()
    chain.block(ANNA)
    chain.bind(ANNA, 2)
    chain.block(DIRK, ask=(2,))

    window = chain.blocks(ANNA, BERT, ANNA)
    following = chain.block(ANNA)

    assert [each.contributed for each in window[::2]] == [preimage(ANNA, 1), preimage(ANNA, 2)]
    assert following.contributed == preimage(ANNA, 0, 2)
    assert chain.bound(ANNA).link == Link(preimage(ANNA, 0, 2), LENGTH - 1, 2)


def test_another_chain_of_an_idle_validator_counts_in_the_window_that_opens_next() -> None:
    chain = Lottery()

    since = chain.bind(DIRK, 1)
    chain.block(ANNA, ask=(1,))

    assert (since, chain.owed(DIRK)) == (1, preimage(DIRK, 0))


def test_of_two_more_chains_before_a_window_the_last_counts() -> None:
    chain = Lottery()
    chain.bind(ANNA, 2)
    chain.bind(ANNA, 3)
    chain.block(DIRK, ask=(1,))

    assert chain.owed(ANNA) == preimage(ANNA, 0, 3)


def test_a_chain_that_counts_stays_when_the_next_one_is_bound() -> None:
    chain = Lottery()
    chain.bind(ANNA, 2)
    chain.block(DIRK, ask=(1,))
    chain.bind(ANNA, 3)

    assert chain.owed(ANNA) == preimage(ANNA, 0, 2)


def test_a_stranger_cannot_be_bound_nor_contribute() -> None:
    draft = Draft(MemoryState())

    with pytest.raises(InvariantBroken):
        beacon.bind(draft, ADDRESSES[ANNA], Link(head(ANNA), LENGTH, 1), Height(1))
    with pytest.raises(InvariantBroken):
        DUTY.apply(draft, ADDRESSES[ANNA], preimage(ANNA, 0))
