from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import codec
from dchat.kernel.store import Draft, read
from tests.fakes.memory import MemoryState

keys = st.binary(min_size=1, max_size=2)
entries = st.dictionaries(keys, st.binary(max_size=2), max_size=8)
changes = st.dictionaries(keys, st.none() | st.binary(max_size=2), max_size=8)


@dataclass(frozen=True, slots=True)
class Note:
    text: bytes

    def encode(self) -> bytes:
        return b"note:" + self.text


def drafted(base: MemoryState | Draft, writes: dict[bytes, bytes | None]) -> Draft:
    draft = Draft(base)
    for key in [key for key, value in writes.items() if value is None]:
        draft.delete(key)
    for key, value in [(key, value) for key, value in writes.items() if value is not None]:
        draft.put(key, value)
    return draft


@given(entries, changes, st.binary(max_size=1))
def test_a_draft_reads_like_the_state_it_would_become(
    before: dict[bytes, bytes], writes: dict[bytes, bytes | None], prefix: bytes
) -> None:
    base = MemoryState(before)

    draft = drafted(base, writes)

    after = base.after(writes)
    assert list(draft.scan(prefix)) == list(after.scan(prefix))
    assert {key: draft.get(key) for key in {**before, **writes}} == {
        key: after.get(key) for key in {**before, **writes}
    }


@given(entries, changes, changes)
def test_a_merged_fork_is_the_same_as_writing_directly(
    before: dict[bytes, bytes], first: dict[bytes, bytes | None], then: dict[bytes, bytes | None]
) -> None:
    draft = drafted(MemoryState(before), first)
    child = drafted(draft, then)

    draft.merge(child)

    assert draft.writes() == {**first, **then}


@given(entries, changes)
def test_a_dropped_fork_leaves_nothing(
    before: dict[bytes, bytes], writes: dict[bytes, bytes | None]
) -> None:
    draft = Draft(MemoryState(before))

    drafted(draft.fork(), writes)

    assert (draft.writes(), list(draft.scan(b""))) == ({}, sorted(before.items()))


@given(keys, st.binary(max_size=2))
def test_a_record_reads_as_its_bytes_and_comes_back_as_it_was_put(key: bytes, text: bytes) -> None:
    note, draft = Note(text), Draft(MemoryState())

    draft.put(key, note)

    assert (draft.get(key), draft.writes()) == (note.encode(), {key: note.encode()})
    assert list(draft.scan(b"")) == [(key, note.encode())]
    assert draft.fork().peek(key) is note


def test_a_committed_value_is_peeked_at_as_bytes_through_every_fork() -> None:
    assert Draft(MemoryState({b"k": b"v"})).fork().fork().peek(b"k") == b"v"


def test_a_record_is_taken_over_by_a_merge() -> None:
    note, draft = Note(b"x"), Draft(MemoryState())
    child = draft.fork()
    child.put(b"k", note)

    draft.merge(child)

    assert draft.peek(b"k") is note


NOTE = codec.Record(Note, text=codec.Blob(8))


def test_a_record_is_read_as_it_was_put_and_encoded_ones_are_decoded() -> None:
    there, put = Note(b"there"), Note(b"put")
    draft = Draft(MemoryState({b"a": NOTE.encode(there)}))
    draft.put(b"b", put)
    draft.delete(b"c")

    found = [read(draft.fork(), key, NOTE) for key in (b"a", b"b", b"c", b"d")]

    assert found == [there, put, None, None]
    assert found[1] is put


def test_a_draft_tells_whether_anything_was_written() -> None:
    draft, removing, above = (Draft(MemoryState({b"k": b"v"})) for _ in range(3))

    removing.delete(b"k")
    above.merge(removing)

    assert [each.is_touched for each in (draft, removing, above)] == [False, True, True]
