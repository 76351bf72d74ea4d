from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat.params import WORK, Work
from abci_chat.state import work
from abci_chat.state.work import Bucket, NoWork, Proof, TooLittleWork, UnknownAnchor
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import TxContext
from dchat.kernel.ids import ChainId, EpochMs, Height, Nonce
from dchat.kernel.store import Draft
from tests.fakes import toil
from tests.fakes.memory import ALICE, BOB, CHAIN, START, MemoryState, Person

BODY = b"an order"
FIRST = work.first_anchor(CHAIN)
heights = st.integers(1, 500).map(Height)


def start() -> MemoryState:
    return toil.eased(MemoryState())


def context(who: Person = ALICE, nonce: int = 0, height: int = 1) -> TxContext:
    return TxContext(CHAIN, who.id, who.public_key, Height(height), EpochMs(START), Nonce(nonce))


def used(times: int, height: int = 1) -> Draft:
    """What so many uses in one block leave."""
    draft = Draft(start())
    for nonce in range(times):
        proof = toil.proof(start().after(draft.writes()), ALICE, BODY, nonce, height)
        work.use(draft, proof, BODY, context(nonce=nonce, height=height))
    return draft


def refusal(proof: Proof, body: bytes, ctx: TxContext) -> type[TxRejected] | None:
    try:
        work.check(start(), proof, body, ctx)
    except TxRejected as refused:
        return type(refused)
    return None


def test_a_use_takes_two_to_the_base_bits_at_first() -> None:
    assert work.required(MemoryState(), Height(1)) == 1 << WORK.default.base_bits
    assert work.required(start(), Height(1)) == 16


@pytest.mark.parametrize(("times", "need"), [(1, 24), (2, 32), (3, 48), (4, 64), (6, 128)])
def test_what_it_takes_doubles_with_so_many_uses(times: int, need: int) -> None:
    assert work.required(used(times), Height(1)) == need


@pytest.mark.parametrize(
    ("height", "need"), [(1, 64), (10, 64), (11, 48), (21, 32), (31, 24), (41, 16), (99, 16)]
)
def test_blocks_make_up_for_uses(height: int, need: int) -> None:
    assert work.required(used(4), Height(height)) == need


def test_part_of_a_cooling_is_not_lost_with_the_next_use() -> None:
    draft = used(4)
    proof = toil.proof(start().after(draft.writes()), ALICE, BODY, 9, 15)

    work.use(draft, proof, BODY, context(nonce=9, height=15))

    assert (work.load(draft).level, work.load(draft).since) == (4, 11)


@given(
    st.integers(0, 2**40),
    heights,
    heights,
    st.builds(
        Work, st.integers(1, 48), st.integers(1, 10_000), st.integers(1, 100_000), st.just(1)
    ),
)
def test_it_never_takes_less_than_the_base_and_falls_with_time(
    level: int, one: Height, other: Height, rules: Work
) -> None:
    bucket, (earlier, later) = Bucket(level, Height(1)), sorted((one, other))
    needs = [work.takes(rules, bucket, height) for height in (later, earlier)]

    assert 1 << rules.base_bits <= needs[0] <= needs[1] < 1 << 202


def test_work_is_worth_the_hashes_that_its_salt_took() -> None:
    problem, salt = work.task(b"bound", BODY), b"salt"

    value = int.from_bytes(sha256(problem + salt).digest(), "big")

    assert work.worked(problem, salt) == 2**256 // (value + 1)


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ({}, None),
        ({"chain_id": ChainId("other")}, UnknownAnchor),
        ({"sender": BOB.id}, TooLittleWork),
        ({"nonce": Nonce(1)}, TooLittleWork),
    ],
)
def test_work_is_for_one_chain_account_and_nonce(
    changed: dict[str, object], refused: type[TxRejected] | None
) -> None:
    asked = replace(context(), **changed)
    others = work.statement(asked.chain_id, asked.sender, asked.nonce, FIRST)
    bound_to = work.statement(CHAIN, ALICE.id, Nonce(0), FIRST)
    need = 16
    salt = next(
        salt
        for salt in (at.to_bytes(8, "big") for at in range(1 << 20))
        if work.worked(work.task(bound_to, BODY), salt) >= need
        and (others == bound_to or work.worked(work.task(others, BODY), salt) < need)
    )

    assert refusal(Proof(FIRST, salt), BODY, asked) is refused


def test_work_for_another_order_is_not_enough() -> None:
    bound_to = work.statement(CHAIN, ALICE.id, Nonce(0), FIRST)
    salt = toil.salt_for(work.task(bound_to, BODY), 1, below=16)

    assert refusal(Proof(FIRST, salt), BODY, context()) is TooLittleWork


def test_neither_fee_nor_work_is_refused() -> None:
    assert refusal(work.NONE, BODY, context()) is NoWork
    assert refusal(Proof(b"", b"salt"), BODY, context()) is UnknownAnchor


def test_who_pays_leaves_the_bucket() -> None:
    draft = Draft(start())

    work.use(draft, work.NONE, BODY, context())

    assert not draft.is_touched


def test_anchors_are_taken_at_intervals_and_few_are_kept() -> None:
    draft = Draft(start())
    hashes = [bytes([height]) * 32 for height in range(1, 121)]

    taken = [
        height
        for height, block_hash in enumerate(hashes, 1)
        if work.take_anchor(draft, CHAIN, block_hash, Height(height))
    ]

    kept = work.anchors(work.load(draft), CHAIN)
    assert taken == list(range(5, 121, 5))
    assert kept == tuple(hashes[height - 1] for height in reversed(taken[-work.KEPT_ANCHORS :]))


def test_the_first_anchor_stays_until_it_is_pushed_out() -> None:
    draft = Draft(start())
    work.take_anchor(draft, CHAIN, b"h" * 32, Height(7))

    assert work.anchors(work.load(draft), CHAIN) == (b"h" * 32, FIRST)


def test_an_old_anchor_is_refused() -> None:
    draft = Draft(start())
    proof = toil.proof(start(), ALICE, BODY)
    for height in range(5, 5 * work.KEPT_ANCHORS + 1, 5):
        work.take_anchor(draft, CHAIN, bytes([height]) * 32, Height(height))

    with pytest.raises(UnknownAnchor):
        work.check(draft, proof, BODY, context())
