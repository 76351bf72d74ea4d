"""A small fixed share of the fuzzing in every run; `just fuzz` does a million and more."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import msgpack
import pytest

from abci_chat.machine import MACHINE
from abci_chat.state import hidden
from dchat.kernel import tx
from dchat.kernel.codec import CodecError
from dchat.kernel.store import Draft
from tests.fuzz import loop, registry
from tests.fuzz.mutate import stretched
from tests.fuzz.target import REFUSED
from tests.fuzz.targets import codec, envelope, frame, header, order, proof, shown

COUNT = 2000


@pytest.mark.parametrize("name", [name for name in registry.PLACES if name != "file"])
def test_the_property_holds_for_many_inputs_of_many_outcomes(name: str) -> None:
    tally = loop.run(registry.find(name), COUNT)

    assert tally.inputs == COUNT
    assert len([label for label in tally.outcomes if label.startswith(REFUSED)]) > 1
    assert len([label for label in tally.outcomes if not label.startswith(REFUSED)]) > 1


def test_the_property_holds_for_some_files() -> None:
    assert loop.run(registry.find("file"), 300).inputs == 300


def test_the_same_seed_gives_the_same_inputs() -> None:
    one, two = (loop.run(frame.TARGET, 200, seed=5).outcomes for _ in range(2))

    assert one == two
    assert one != loop.run(frame.TARGET, 200, seed=6).outcomes


def test_every_shape_of_ours_is_among_the_forms() -> None:
    names = [form.name for form in codec.FORMS]

    assert len(names) > 80
    assert {"dchat.kernel.tx._SHAPE", "dchat.kernel.light._TRUSTED"} <= {*names}


def test_every_family_of_the_chat_chain_is_carried_out_where_orders_are_fuzzed() -> None:
    done = {
        tx.decode(stage.raw).envelope.body[0]
        for stage, seed in zip(order.STAGES, order.TARGET.seeds, strict=True)
        if order.judge(seed) == "0/0"
    }

    assert {*MACHINE.families} - done == set()


def unpacked(raw: bytes) -> object:
    try:
        return msgpack.unpackb(raw)
    except (ValueError, TypeError) as fault:
        raise CodecError(str(fault)) from None


def test_a_decoder_that_takes_two_encodings_is_found() -> None:
    lax = replace(codec.VALUE, decode=unpacked)
    target = replace(codec.TARGET, judge=lambda data: codec.judge_form(lax, data))

    with pytest.raises((AssertionError, CodecError)) as found:
        loop.run(target, COUNT)

    assert "codec: " in found.value.__notes__[0]


def test_a_proof_of_something_untrue_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "verify", lambda *_: None)

    with pytest.raises(AssertionError, match=r"proved that|second proof"):
        loop.run(proof.TARGET, COUNT)


def test_a_seat_that_nobody_has_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden, "root_by", lambda *_: shown.EPOCH.member_root)

    with pytest.raises(AssertionError):
        loop.run(shown.TARGET, COUNT)


def test_a_refused_order_that_does_something_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Draft, "fork", lambda draft: draft)
    monkeypatch.setattr(Draft, "merge", lambda *_: None)

    with pytest.raises(AssertionError, match="did something"):
        loop.run(order.TARGET, COUNT)


def test_a_believed_header_that_nobody_signed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dchat.kernel.light.verify_vote", lambda *_: True)

    with pytest.raises(AssertionError, match="nobody signed"):
        loop.run(header.TARGET, COUNT)


def test_a_transaction_that_does_not_pay_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dchat.kernel.pool.check_envelope", lambda *_: None)

    with pytest.raises(AssertionError, match="does not pay"):
        loop.run(envelope.TARGET, COUNT)


@pytest.mark.parametrize("value", [0, 2**64 - 1, -5, b"bytes", "text", [1, [b""]], {"a": 1}])
def test_a_stretched_encoding_has_the_same_value(value: object) -> None:
    assert msgpack.unpackb(stretched(Random(1), value)) == value
