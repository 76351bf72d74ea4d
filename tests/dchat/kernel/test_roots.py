from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat import keys as chat_keys
from dchat.kernel import accounts, params, supply
from dchat.kernel.codec import CodecError, pack
from dchat.kernel.roots import (
    NONE,
    OTHER,
    ROOTS,
    Root,
    Table,
    advance,
    compute,
    listed,
    module_of,
    prefixes,
    table_of,
)
from tests.fakes.memory import ALICE

words = st.sampled_from(["account", "supply", "a", "z" * 31])
keys = st.tuples(words, st.integers(0, 5)).map(pack) | words.map(lambda word: pack((word,)))
values = st.binary(max_size=3)
states = st.dictionaries(keys, values, max_size=12)


def moved(table: Table, before: Mapping[bytes, bytes], after: Mapping[bytes, bytes]) -> Table:
    """The table after all that differs between the two states."""
    touched = {**before, **after}
    changes = [(key, before.get(key), after.get(key)) for key in touched]
    return advance(table, [change for change in changes if change[1] != change[2]])


def digest(key: bytes, value: bytes) -> bytes:
    return hashlib.sha256(b"dchat/root/v1" + len(key).to_bytes(4, "big") + key + value).digest()


def test_one_entry_has_its_own_digest_as_fingerprint() -> None:
    key = pack(("account", b"alice"))

    assert listed(compute([(key, b"1")])) == (Root("account", 1, digest(key, b"1")),)


@given(states, states, states)
def test_what_follows_step_by_step_is_what_the_state_itself_gives(
    first: dict[bytes, bytes], second: dict[bytes, bytes], third: dict[bytes, bytes]
) -> None:
    table = moved(moved(compute(first.items()), first, second), second, third)

    assert table == compute(third.items())


@given(states)
def test_removing_everything_leaves_no_module(state: dict[bytes, bytes]) -> None:
    assert moved(compute(state.items()), state, {}) == NONE


@given(states, keys, values)
def test_a_change_shows_in_its_own_module_alone(
    state: dict[bytes, bytes], key: bytes, value: bytes
) -> None:
    before, after = compute(state.items()), compute({**state, key: value}.items())

    differs = {name for name in {*before, *after} if before.get(name) != after.get(name)}

    assert differs == ({module_of(key)} if state.get(key) != value else set())


@given(states)
def test_a_table_is_stored_and_read_back(state: dict[bytes, bytes]) -> None:
    table = compute(state.items())

    assert table_of(ROOTS.decode(ROOTS.encode(listed(table)))) == table


def test_bytes_that_move_between_key_and_value_are_another_entry() -> None:
    one, other = compute([(b"\x92\xa1aa", b"b")]), compute([(b"\x92\xa1a", b"ab")])

    assert one != other


def test_a_module_named_twice_is_refused() -> None:
    with pytest.raises(CodecError, match="'a' comes twice"):
        table_of([Root("a", 1, bytes(32)), Root("a", 1, bytes(32))])


@pytest.mark.parametrize(
    ("key", "module"),
    [
        (accounts.key(ALICE.id), "account"),
        (chat_keys.handle("alice"), "handle"),
        (chat_keys.identity(ALICE.id), "identity"),
        (params.KEY, "params"),
        (supply.KEY, "supply"),
        (b"", OTHER),
        (b"\x91", OTHER),
        (b"\x91\xa0", OTHER),
        (b"\x91\xa4abc", OTHER),
        (b"\x81\xa1a", OTHER),
        (b"\x91\xc4\x01a", OTHER),
        (b"\x91\xa1\xff", OTHER),
        (b"a longer key", OTHER),
    ],
)
def test_the_module_is_the_first_word_of_the_key(key: bytes, module: str) -> None:
    assert module_of(key) == module


@given(keys)
def test_a_module_has_the_keys_under_its_prefixes(key: bytes) -> None:
    assert key.startswith(prefixes(module_of(key)))


@pytest.mark.parametrize("module", ["", "z" * 32, "ä"])
def test_a_word_that_no_key_begins_with_has_no_prefixes(module: str) -> None:
    with pytest.raises(CodecError, match="1 to 31"):
        prefixes(module)
