"""The chain's rules run here on what was read; a key they want is read, and they run again."""

from __future__ import annotations

import pytest
import trio

from dchat.cli.asking import Source
from dchat.cli.foresee import Contradiction, block_time, foresee
from dchat.kernel import accounts
from dchat.kernel.errors import LocalProtocolError
from dchat.kernel.ids import Amount
from dchat.kernel.store import Draft
from tests.dchat.node.test_chain import opened
from tests.fakes.memory import ALICE
from tests.fakes.node import FakeNode

STATE = {b"a": b"b", b"b": b"1", b"c": b"2"}


def source_of(node: FakeNode) -> Source:
    return Source(opened(node), None)


def follow(draft: Draft) -> bytes | None:
    """Where `a` leads to, after a write that nobody else sees."""
    draft.put(b"c", b"3")
    return draft.get(draft.get(b"a") or b"c")


def test_rules_read_one_key_after_the_other_and_none_twice() -> None:
    node = FakeNode({3: STATE}, 4)
    source = source_of(node)

    found = trio.run(foresee, source, follow)

    assert (found, node.asked) == (b"1", ["query 3", "query 3"])


def test_what_rules_write_is_read_by_them_alone() -> None:
    source = source_of(FakeNode({3: STATE}, 4))

    trio.run(foresee, source, follow)

    assert trio.run(source.value, b"c") == b"2"


def test_rules_that_scan_are_a_bug_here() -> None:
    source = source_of(FakeNode({3: STATE}, 4))

    with pytest.raises(LocalProtocolError):
        trio.run(foresee, source, lambda draft: list(draft.scan(b"")))


def test_rules_scan_where_all_keys_that_there_can_be_are_named() -> None:
    source = source_of(FakeNode({3: STATE}, 4))
    space = {b"": [b"a", b"c", b"x"]}

    found = trio.run(foresee, source, lambda draft: list(draft.scan(b"")), space)

    assert found == [(b"a", b"b"), (b"c", b"2")]


def test_rules_that_never_have_enough_are_stopped() -> None:
    source = source_of(FakeNode({3: {}}, 4))
    keys = iter(range(1_000_000))

    with pytest.raises(LocalProtocolError, match="more than"):
        trio.run(foresee, source, lambda draft: draft.get(str(next(keys)).encode()))


@pytest.mark.parametrize("record", [b"x", b"\xc1", b"\x90", b"\x94\x01\x01\xc0\xc0", b"\xff" * 40])
def test_records_that_are_none_are_told_where_nothing_is_proved(record: bytes) -> None:
    key = accounts.key(ALICE.id)
    source = source_of(FakeNode({3: {key: record}}, 4))

    with pytest.raises(Contradiction, match="the node's records make no sense"):
        trio.run(foresee, source, lambda draft: accounts.debit(draft, ALICE.id, Amount(5)))


def test_without_a_header_the_time_is_the_nodes_word() -> None:
    node = FakeNode({3: STATE}, 4)

    assert trio.run(block_time, source_of(node)) == node.chain.time_ns(4) // 1_000_000
