from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat import keys
from abci_chat.params import IDENTITIES
from abci_chat.state import handles
from abci_chat.state.handles import BadHandle, Handle, HandleReserved, HandleResting, HandleTaken
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import TxContext
from dchat.kernel.ids import ChainId, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CHAIN, START, MemoryState

RELEASE_MS = IDENTITIES.default.handle_release_ms
names = st.text("a0o1lmrnvw_c", max_size=12)


def claimed(name: str = "alice") -> Draft:
    draft = Draft(MemoryState())
    handles.claim(draft, name, ALICE.id)
    return draft


def context(now: int = START, height: int = 5) -> TxContext:
    return TxContext(CHAIN, BOB.id, BOB.public_key, Height(height), EpochMs(now))


def refusal(name: str) -> int:
    try:
        handles.check(name)
    except TxRejected as refused:
        return refused.code
    return 0


def test_a_claimed_handle_names_its_owner() -> None:
    draft = claimed()

    assert (handles.owner(draft, "alice"), handles.owner(draft, "bob")) == (ALICE.id, None)


def test_only_the_exact_name_leads_to_its_holder() -> None:
    record = claimed().get(keys.handle(handles.skeleton("a1ice")))

    assert (handles.holder(record, "alice"), handles.holder(record, "a1ice")) == (ALICE.id, None)
    assert handles.owner(claimed(), "a1ice") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("bob", "b0b"),
        ("alice", "a1ice"),
        ("alice", "al_ice"),
        ("modern", "rnodern"),
        ("wave", "vvave"),
        ("vvvv", "ww"),
        ("wv_", "vw"),
        ("r_n_", "m"),
    ],
)
def test_names_that_look_alike_are_one(one: str, other: str) -> None:
    assert handles.skeleton(one) == handles.skeleton(other)


@given(names)
def test_a_skeleton_is_its_own(name: str) -> None:
    bare = handles.skeleton(name)

    assert handles.skeleton(bare) == bare
    assert not re.search("[01mw_]", bare)


@given(names, names)
def test_what_is_joined_looks_like_its_parts(one: str, other: str) -> None:
    joined = handles.skeleton(one) + handles.skeleton(other)

    assert handles.skeleton(one + other) == joined


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("abc", 0),
        ("x" * 32, 0),
        ("a_1", 0),
        ("ab", BadHandle.code),
        ("x" * 33, BadHandle.code),
        ("Abc", BadHandle.code),
        ("abc\n", BadHandle.code),
        ("ab\u0441", BadHandle.code),
        ("a-b", BadHandle.code),
        ("____", BadHandle.code),
        ("admin", HandleReserved.code),
        ("adrnin_", HandleReserved.code),
        ("supp0rt", HandleReserved.code),
        ("adm1n", HandleReserved.code),
        ("0ff1c1al", HandleReserved.code),
        ("a1l", HandleReserved.code),
        ("ali", 0),
        ("dchat", HandleReserved.code),
        ("d_chat_team", HandleReserved.code),
        ("dchat1qqqq", HandleReserved.code),
    ],
)
def test_what_a_handle_may_be(name: str, code: int) -> None:
    assert refusal(name) == code


@given(st.text(max_size=40))
def test_any_text_is_a_handle_or_refused(name: str) -> None:
    assert refusal(name) in {0, BadHandle.code, HandleReserved.code}


def test_a_commitment_binds_chain_account_name_and_salt() -> None:
    salt = b"s" * 32
    variants = {
        handles.commitment(CHAIN, ALICE.id, "alice", salt),
        handles.commitment(ChainId("other"), ALICE.id, "alice", salt),
        handles.commitment(CHAIN, BOB.id, "alice", salt),
        handles.commitment(CHAIN, ALICE.id, "alicia", salt),
        handles.commitment(CHAIN, ALICE.id, "alice", b"t" * 32),
    }

    assert len(variants) == 5


@pytest.mark.parametrize(
    ("now", "refused"),
    [(START, HandleResting), (START + RELEASE_MS - 1, HandleResting), (START + RELEASE_MS, None)],
)
def test_a_handle_that_was_given_up_rests(now: int, refused: type[TxRejected] | None) -> None:
    draft, salt = claimed(), b"s" * 32
    free_from = handles.release(draft, "alice", START)
    handles.commit(draft, BOB.id, handles.commitment(CHAIN, BOB.id, "alice", salt), Height(4))

    found: type[TxRejected] | None = None
    try:
        handles.check_claim(draft, "alice", salt, context(now))
    except TxRejected as fault:
        found = type(fault)

    assert (free_from, found) == (START + RELEASE_MS, refused)
    assert handles.owner(draft, "alice") is None


def test_a_held_handle_is_taken() -> None:
    with pytest.raises(HandleTaken):
        handles.check_claim(claimed(), "a1ice", b"s" * 32, context())


def test_every_change_of_hands_is_counted_for_good() -> None:
    draft = claimed()
    handles.pass_on(draft, Handle("alice", ALICE.id), BOB.id)
    handles.release(draft, "alice", START)

    handles.claim(draft, "a1ice", ALICE.id)

    assert handles.load(draft, "alice") == Handle("a1ice", ALICE.id, changes=2)
