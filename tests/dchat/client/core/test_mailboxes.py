from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dchat.client.core import mailboxes
from dchat.kernel.ids import EpochMs

KEY = b"k" * 32
WEEK_MS = 7 * 24 * 3600 * 1000


@given(st.integers(0, 2**50), st.integers(0, 2**50))
def test_what_is_written_is_pulled_up_to_a_week_later(now: int, wait: int) -> None:
    written = mailboxes.to_write(KEY, EpochMs(now))

    assert written in mailboxes.to_pull(KEY, EpochMs(now + wait % WEEK_MS))


@given(st.integers(WEEK_MS, 2**50))
def test_a_writer_whose_clock_is_a_day_ahead_is_still_read(now: int) -> None:
    ahead = mailboxes.to_write(KEY, EpochMs(now + 24 * 3600 * 1000))

    assert ahead in mailboxes.to_pull(KEY, EpochMs(now))


def test_mailboxes_of_two_keys_differ() -> None:
    mine = mailboxes.to_pull(KEY, EpochMs(WEEK_MS))
    others = mailboxes.to_pull(b"l" * 32, EpochMs(WEEK_MS))

    assert set(mine).isdisjoint(others)
