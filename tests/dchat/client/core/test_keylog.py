from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat.state.identities import EMPTY_LOG, Identity, LogEntry, LogKind, entry_hash
from dchat.client.core.keylog import BrokenLog, audit, in_words
from dchat.kernel.ids import EpochMs, Height

FIRST, SECOND, THIRD = b"1" * 32, b"2" * 32, b"3" * 32
PHONE, LAPTOP = b"p" * 32, b"l" * 32
Line = tuple[LogKind, bytes]
BEGUN: Line = (LogKind.REGISTERED, FIRST)
ADDED: Line = (LogKind.DEVICE_ADDED, PHONE)
REVOKED: Line = (LogKind.DEVICE_REVOKED, PHONE)
ROTATED: Line = (LogKind.ROTATED, SECOND)
RECOVERED: Line = (LogKind.RECOVERED, THIRD)
OVER: Line = (LogKind.DEACTIVATED, bytes(32))


def log(*lines: Line) -> list[LogEntry]:
    """Entries that follow on each other, a block apart."""
    entries: list[LogEntry] = []
    for at, (kind, key) in enumerate(lines):
        previous = entry_hash(entries[-1]) if entries else EMPTY_LOG
        entries.append(LogEntry(kind, key, Height(at), previous))
    return entries


def record(entries: list[LogEntry], key: bytes) -> Identity:
    """The identity whose log this is."""
    plain = Identity("", key, FIRST, ("/x",), bytes(32), Height(0), deactivated_at=EpochMs(0))
    head = entry_hash(entries[-1]) if entries else EMPTY_LOG
    return replace(plain, log_length=len(entries), log_head=head)


def test_a_whole_log_tells_all_keys_and_which_devices_are_left() -> None:
    entries = log(BEGUN, ADDED, (LogKind.DEVICE_ADDED, LAPTOP), REVOKED, ROTATED)

    history = audit(record(entries, SECOND), entries)

    assert [entry.key for entry in history.keys] == [FIRST, SECOND]
    assert history.devices == (LAPTOP,)


@pytest.mark.parametrize("end", [RECOVERED, OVER])
def test_a_recovery_and_the_end_leave_no_devices(end: Line) -> None:
    entries = log(BEGUN, ADDED, ROTATED, end)
    key = THIRD if end is RECOVERED else SECOND

    assert audit(record(entries, key), entries).devices == ()


@pytest.mark.parametrize(
    ("known", "later"),
    [(FIRST, [SECOND, THIRD]), (SECOND, [THIRD]), (THIRD, []), (PHONE, [FIRST, SECOND, THIRD])],
)
def test_it_tells_which_keys_came_after_one_that_is_known(known: bytes, later: list[bytes]) -> None:
    entries = log(BEGUN, ROTATED, ADDED, RECOVERED)

    history = audit(record(entries, THIRD), entries)

    assert [entry.key for entry in history.since(known)] == later


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (FIRST, "the key before signed it over in block 1, then guardians gave it"),
        (SECOND, "guardians gave it, with all devices revoked, in block 3"),
        (PHONE, "the key that we knew never was this account's"),
        (THIRD, "the key that we knew never was this account's"),
    ],
)
def test_it_says_how_an_account_came_by_its_keys(known: bytes, words: str) -> None:
    entries = log(BEGUN, ROTATED, ADDED, RECOVERED)

    said = in_words(audit(record(entries, THIRD), entries).since(known))

    assert said.startswith(words)


@pytest.mark.parametrize(
    "lines",
    [
        (ADDED,),
        (BEGUN, BEGUN),
        (BEGUN, REVOKED),
        (BEGUN, ADDED, ADDED),
        (BEGUN, ADDED, REVOKED, REVOKED),
        (BEGUN, ADDED, REVOKED, ADDED),
        (BEGUN, OVER, ADDED),
    ],
)
def test_a_log_that_contradicts_itself_is_refused(lines: tuple[Line, ...]) -> None:
    entries = log(*lines)

    with pytest.raises(BrokenLog):
        audit(record(entries, FIRST), entries)


def test_a_record_with_another_key_than_the_log_s_last_is_refused() -> None:
    entries = log(BEGUN, ROTATED)

    with pytest.raises(BrokenLog, match="last key"):
        audit(record(entries, FIRST), entries)


def test_a_log_that_goes_back_in_time_is_refused() -> None:
    early = LogEntry(*ROTATED, Height(4), EMPTY_LOG)
    first = LogEntry(*BEGUN, Height(5), EMPTY_LOG)
    entries = [first, replace(early, previous=entry_hash(first))]

    with pytest.raises(BrokenLog, match="older"):
        audit(record(entries, SECOND), entries)


@given(st.integers(0, 4), st.sampled_from(["drop", "double", "swap", "forge", "cut"]))
def test_no_entry_can_be_left_out_added_moved_or_changed(at: int, deed: str) -> None:
    entries = log(BEGUN, ADDED, REVOKED, ROTATED, RECOVERED)
    given_out = {
        "drop": entries[:at] + entries[at + 1 :],
        "double": entries[: at + 1] + entries[at:],
        "swap": [*entries[:at], *entries[at + 1 :], entries[at]][::-1],
        "forge": [*entries[:at], replace(entries[at], key=b"x" * 32), *entries[at + 1 :]],
        "cut": entries[:at],
    }[deed]

    with pytest.raises(BrokenLog):
        audit(record(entries, THIRD), given_out)


def test_no_log_at_all_is_refused() -> None:
    with pytest.raises(BrokenLog, match="last key"):
        audit(record([], FIRST), [])
