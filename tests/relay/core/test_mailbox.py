from __future__ import annotations

import itertools

import pytest

from dchat.kernel.errors import LocalProtocolError
from relay.core.mailbox import (
    PAGE_STEPS,
    WATCH_STEPS,
    PageSignal,
    Paging,
    Watched,
    WatchSignal,
    step_page,
    step_watch,
)
from relay.core.refusals import Refusal


@pytest.mark.parametrize(("paging", "signal"), PAGE_STEPS)
def test_every_listed_pair_leads_where_the_table_says(paging: Paging, signal: PageSignal) -> None:
    assert step_page(paging, signal) is PAGE_STEPS[paging, signal]


@pytest.mark.parametrize(
    ("paging", "signal"), [p for p in itertools.product(Paging, PageSignal) if p not in PAGE_STEPS]
)
def test_every_other_pair_is_our_own_bug(paging: Paging, signal: PageSignal) -> None:
    with pytest.raises(LocalProtocolError):
        step_page(paging, signal)


@pytest.mark.parametrize("paging", Paging)
@pytest.mark.parametrize("signal", [PageSignal.PULL, PageSignal.ACK])
def test_nothing_a_peer_does_is_our_bug(paging: Paging, signal: PageSignal) -> None:
    assert (paging, signal) in PAGE_STEPS


def test_a_second_pull_waits_for_the_first_pages_ack() -> None:
    assert step_page(Paging.OFFERED, PageSignal.PULL) is Refusal.PAGE_OUTSTANDING


def test_only_an_offered_page_can_be_acked() -> None:
    states = [paging for paging in Paging if step_page(paging, PageSignal.ACK) in Paging]

    assert states == [Paging.OFFERED]


def test_a_failed_clearing_leaves_the_page_to_be_acked_again() -> None:
    assert step_page(Paging.CLEARING, PageSignal.FAILED) is Paging.OFFERED


@pytest.mark.parametrize(("watched", "signal"), [*itertools.product(Watched, WatchSignal)])
def test_a_watch_takes_every_signal(watched: Watched, signal: WatchSignal) -> None:
    assert step_watch(watched, signal) == WATCH_STEPS[watched, signal]


def test_mail_is_told_once_until_the_next_pull() -> None:
    first, is_news = step_watch(Watched.QUIET, WatchSignal.ARRIVED)
    second, is_news_again = step_watch(first, WatchSignal.ARRIVED)
    pulled, _ = step_watch(second, WatchSignal.PULLED)

    assert (is_news, is_news_again) == (True, False)
    assert step_watch(pulled, WatchSignal.ARRIVED) == (Watched.TOLD, True)
