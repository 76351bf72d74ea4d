from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat import keys
from abci_chat.state import conversations
from abci_chat.state.conversations import Anchor
from abci_chat.txs import anchor
from abci_chat.txs.anchor import FAMILY, Anchored, AnchorNotNewer, BadAnchorSignature, SetAnchor
from dchat.kernel import signing
from dchat.kernel.errors import NonceMismatch
from dchat.kernel.ids import ChainId
from dchat.kernel.refusals import REFUSALS
from tests.fakes.memory import ALICE, BOB, CHAIN, START, signed
from tests.fakes.posting import Room

SEED = b"\x55" * 32
NAME = signing.public_key(SEED)
HEAD = b"h" * 32
FORM = anchor.sign(SEED, CHAIN, 10, HEAD)


def test_an_anchor_fixes_a_conversation_at_a_time() -> None:
    room = Room()

    outcome = room.send(BOB, FAMILY, FORM)

    assert outcome.events == (Anchored(NAME, 10, HEAD),)
    assert conversations.load(room.state, NAME) == Anchor(10, HEAD, START)


def test_an_anchor_says_nothing_of_who_sent_it() -> None:
    room = Room()

    room.send(BOB, FAMILY, FORM)

    assert [key for key in room.state.entries if NAME in key] == [keys.anchor(NAME)]
    assert BOB.id not in room.state.entries[keys.anchor(NAME)]


def test_the_next_anchor_has_a_higher_number_whoever_sends_it() -> None:
    room = Room()
    room.send(BOB, FAMILY, FORM)

    same = room.send(BOB, FAMILY, anchor.sign(SEED, CHAIN, 10, b"o" * 32))
    lower = room.send(BOB, FAMILY, anchor.sign(SEED, CHAIN, 9, b"o" * 32))
    higher = room.send(ALICE, FAMILY, anchor.sign(SEED, CHAIN, 12, b"n" * 32))

    assert [each.code for each in (same, lower, higher)] == [AnchorNotNewer.code] * 2 + [0]
    assert conversations.load(room.state, NAME) == Anchor(12, b"n" * 32, START)


@pytest.mark.parametrize(
    "form",
    [
        replace(FORM, number=11),
        replace(FORM, head=b"o" * 32),
        replace(FORM, signature=bytes(64)),
        replace(FORM, conversation=signing.public_key(b"o" * 32)),
        replace(FORM, conversation=bytes(32)),
        anchor.sign(SEED, ChainId("test-2"), 10, HEAD),
    ],
)
def test_an_anchor_that_the_key_has_not_signed_is_refused(form: SetAnchor) -> None:
    room = Room()

    outcome = room.send(ALICE, FAMILY, form)

    assert outcome.code == BadAnchorSignature.code
    assert conversations.load(room.state, form.conversation) is None


def test_a_replayed_anchor_is_refused() -> None:
    room = Room()
    raw = room.signed(BOB, FAMILY, FORM)
    room.send_raw(raw)

    assert room.send_raw(raw).code == NonceMismatch.code


@given(st.lists(st.one_of(st.binary(max_size=64), st.integers(0, 9)), max_size=5))
def test_other_fields_are_refused_and_change_nothing(raw: list[bytes | int]) -> None:
    room = Room()

    outcome = room.send_raw(signed(BOB, (FAMILY.type, *raw)), BOB)

    assert outcome.code in REFUSALS
    assert list(room.state.scan(keys.anchor(NAME)[:8])) == []
