from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel.codec import pack
from dchat.kernel.errors import LocalProtocolError
from relay.core.access import Purpose
from relay.core.jobs import (
    Clear,
    Cleared,
    Failed,
    GetBundle,
    KeysHeld,
    NotThere,
    PageRead,
    ReadPage,
)
from relay.core.limits import Limits, Rate
from relay.core.messages import (
    Ack,
    Acked,
    Deposit,
    GetPrekeys,
    Hello,
    Item,
    Mail,
    Page,
    Pull,
    Refused,
    Watching,
    encode,
)
from relay.core.refusals import Refusal
from relay.core.session import (
    PHASES,
    Drop,
    Effects,
    Pause,
    Perform,
    Phase,
    Send,
    Session,
    Signal,
    Subscribe,
)
from tests.fakes.desk import (
    CHALLENGE,
    NOW,
    PEER,
    access,
    envelope,
    mailbox,
    new_desk,
    pull,
    watch,
)

DESK = new_desk()
KEY = b"k" * 32
ITEM = Item(b"1" * 32, NOW, b"c")
FOUND = PageRead((ITEM,), 5, more=True)
EMPTY = PageRead((), 5, more=False)


def new_session(limits: Limits | None = None) -> Session:
    return Session(new_desk(limits), PEER, CHALLENGE)


def receive(session: Session, message: Any) -> Effects:
    return session.receive(encode(message), NOW)


def reason(effects: Effects) -> Refusal:
    """The refusal that is the first thing said."""
    assert isinstance(effects[0], Send)
    assert isinstance(effects[0].message, Refused)
    return Refusal(effects[0].message.code)


def job(effects: Effects) -> Any:
    (effect,) = effects
    assert isinstance(effect, Perform)
    return effect.job


def said(effects: Effects) -> Any:
    (effect,) = effects
    assert isinstance(effect, Send)
    return effect.message


def with_page() -> Session:
    """A session that was given one page with one item."""
    session = new_session()
    receive(session, pull(DESK))
    session.settle(1, FOUND)
    return session


def ack(page_id: int = 1, acked: tuple[bytes, ...] = (ITEM.message_id,), **more: Any) -> Ack:
    return Ack(2, mailbox(DESK), page_id, acked, more.get("nacked", ()))


@pytest.mark.parametrize(("phase", "signal"), [*itertools.product(Phase, Signal)])
def test_a_phase_takes_every_signal(phase: Phase, signal: Signal) -> None:
    assert PHASES[phase, signal] in Phase


def test_nothing_leads_out_of_closed() -> None:
    assert {PHASES[Phase.CLOSED, signal] for signal in Signal} == {Phase.CLOSED}


def test_the_relay_speaks_first_and_says_its_bounds() -> None:
    hello = said(new_session(Limits(max_in_flight=7)).greet(NOW))

    assert isinstance(hello, Hello)
    assert (hello.request_id, hello.relay_peer_id, hello.challenge) == (0, DESK.peer_id, CHALLENGE)
    assert (hello.now_ms, hello.max_in_flight) == (NOW, 7)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_answered_or_end_the_session(body: bytes) -> None:
    session = new_session()

    effects = session.receive(body, NOW)

    assert all(isinstance(effect, Send | Perform | Subscribe | Pause | Drop) for effect in effects)
    assert (session.phase is Phase.CLOSED) is isinstance(effects[0], Drop)


RAW = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=70) | st.booleans(),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=12,
)


@given(st.integers(0, 19), st.lists(RAW, max_size=8))
def test_arbitrary_messages_are_answered_or_end_the_session(number: int, fields: Any) -> None:
    session = new_session()

    effects = session.receive(pack((number, *fields)), NOW)

    assert (session.phase is Phase.CLOSED) is isinstance(effects[0], Drop)


def test_garbage_ends_the_session_for_good() -> None:
    session = new_session()

    effects = session.receive(b"\xc1", NOW)

    assert isinstance(effects[0], Drop)
    assert receive(session, GetPrekeys(1, KEY)) == ()


def test_a_relays_own_message_from_a_client_ends_the_session() -> None:
    session = new_session()

    assert isinstance(receive(session, Acked(1))[0], Drop)
    assert session.phase is Phase.CLOSED


def test_a_request_waits_for_its_job_and_is_answered_by_its_number() -> None:
    session = new_session()

    asked = receive(session, GetPrekeys(77, KEY))
    waiting = session.in_flight
    answered = said(session.settle(1, NotThere()))

    assert (job(asked), waiting) == (GetBundle(KEY), 1)
    assert (answered.request_id, answered.code) == (77, Refusal.NO_PREKEYS)
    assert session.in_flight == 0


def test_answers_may_overtake_each_other() -> None:
    session = new_session()
    receive(session, GetPrekeys(1, KEY))
    receive(session, GetPrekeys(2, KEY))

    order = [said(session.settle(ticket, NotThere())).request_id for ticket in (2, 1)]

    assert order == [2, 1]


def test_an_unknown_ticket_is_our_bug() -> None:
    with pytest.raises(LocalProtocolError, match="ticket 1"):
        new_session().settle(1, NotThere())


def test_too_many_unanswered_requests_are_refused() -> None:
    session = new_session(Limits(max_in_flight=1))
    receive(session, GetPrekeys(1, KEY))

    assert reason(receive(session, GetPrekeys(2, KEY))) is Refusal.BUSY


def test_a_peer_over_its_rate_is_refused_and_paused() -> None:
    session = new_session(Limits(requests=Rate(per_minute=120, burst=1)))
    receive(session, GetPrekeys(1, KEY))

    effects = receive(session, GetPrekeys(2, KEY))

    assert reason(effects) is Refusal.RATE_LIMITED
    assert effects[1:] == (Pause(500),)


def test_a_pause_is_never_longer_than_a_second() -> None:
    session = new_session(Limits(requests=Rate(per_minute=1, burst=1)))
    receive(session, GetPrekeys(1, KEY))

    refused, pause = receive(session, GetPrekeys(2, KEY))

    assert isinstance(refused, Send)
    assert isinstance(refused.message, Refused)
    assert (refused.message.retry_after_ms, pause) == (60_000, Pause(1_000))


def test_bytes_are_rated_as_well_as_requests() -> None:
    session = new_session(Limits(traffic=Rate(per_minute=60, burst=40)))
    receive(session, GetPrekeys(1, KEY))

    assert reason(receive(session, GetPrekeys(2, KEY))) is Refusal.RATE_LIMITED


def test_two_sessions_of_one_peer_share_its_rate() -> None:
    desk = new_desk(Limits(requests=Rate(per_minute=60, burst=1)))
    first, second = (Session(desk, PEER, CHALLENGE) for _ in range(2))
    receive(first, GetPrekeys(1, KEY))

    assert reason(receive(second, GetPrekeys(1, KEY))) is Refusal.RATE_LIMITED


def test_a_pull_reads_and_gives_the_page() -> None:
    session = new_session()

    read = job(receive(session, pull(DESK, request_id=9, cursor=4)))
    page = said(session.settle(1, FOUND))

    assert read == ReadPage(mailbox(DESK), 4, 64, NOW)
    assert page == Page(9, mailbox(DESK), 1, (ITEM,), 5, more=True)


def test_a_cursor_beyond_what_the_disk_can_count_is_cut() -> None:
    read = job(receive(new_session(), pull(DESK, cursor=2**64 - 1)))

    assert read.cursor == 2**63 - 1


@pytest.mark.parametrize("limit", [0, 65, 2**64 - 1])
def test_a_page_of_no_or_too_many_items_is_refused(limit: int) -> None:
    request = Pull(1, access(DESK, Purpose.PULL), 0, limit)

    assert reason(receive(new_session(), request)) is Refusal.BAD_LIMIT


def test_a_pull_by_a_grant_for_watching_is_refused() -> None:
    request = Pull(1, access(DESK, Purpose.WATCH), 0, 64)

    assert reason(receive(new_session(), request)) is Refusal.BAD_SIGNATURE


def test_a_pull_replayed_in_another_session_is_refused() -> None:
    elsewhere = Session(new_desk(), PEER, b"d" * 32)

    assert reason(receive(elsewhere, pull(DESK))) is Refusal.BAD_SIGNATURE


def test_no_further_page_comes_before_the_ack() -> None:
    assert reason(receive(with_page(), pull(DESK))) is Refusal.PAGE_OUTSTANDING


def test_an_empty_page_needs_no_ack() -> None:
    session = new_session()
    receive(session, pull(DESK))
    session.settle(1, EMPTY)

    assert isinstance(job(receive(session, pull(DESK))), ReadPage)


@pytest.mark.parametrize(("acked", "nacked"), [((ITEM.message_id,), ()), ((), (ITEM.message_id,))])
def test_an_ack_or_a_nack_gives_the_next_page(acked: Any, nacked: Any) -> None:
    session = with_page()

    clear = job(receive(session, ack(acked=acked, nacked=nacked)))
    done = said(session.settle(2, Cleared(1, 0)))

    assert clear == Clear(mailbox(DESK), acked, nacked)
    assert done == Acked(2)
    assert isinstance(job(receive(session, pull(DESK))), ReadPage)


@pytest.mark.parametrize(
    ("acked", "nacked"),
    [
        ((), ()),
        ((b"2" * 32,), ()),
        ((ITEM.message_id, b"2" * 32), ()),
        ((ITEM.message_id, ITEM.message_id), ()),
        ((ITEM.message_id,), (ITEM.message_id,)),
    ],
)
def test_an_ack_must_name_every_item_once(acked: Any, nacked: Any) -> None:
    session = with_page()

    refused = receive(session, ack(acked=acked, nacked=nacked))

    assert reason(refused) is Refusal.PAGE_NOT_COVERED
    assert isinstance(job(receive(session, ack())), Clear)


def test_an_ack_of_another_page_is_refused() -> None:
    assert reason(receive(with_page(), ack(page_id=2))) is Refusal.NO_SUCH_PAGE


def test_an_ack_without_a_page_is_refused() -> None:
    assert reason(receive(new_session(), ack())) is Refusal.NO_SUCH_PAGE


def test_a_repeated_ack_is_refused() -> None:
    session = with_page()
    receive(session, ack())

    assert reason(receive(session, ack())) is Refusal.NO_SUCH_PAGE


def test_a_page_that_cannot_be_read_may_be_pulled_again() -> None:
    session = new_session()
    receive(session, pull(DESK))

    assert said(session.settle(1, Failed())).code == Refusal.STORAGE_UNAVAILABLE
    assert isinstance(job(receive(session, pull(DESK))), ReadPage)


def test_an_ack_that_did_not_reach_the_disk_may_be_repeated() -> None:
    session = with_page()
    receive(session, ack())

    assert said(session.settle(2, Failed())).code == Refusal.STORAGE_UNAVAILABLE
    assert isinstance(job(receive(session, ack())), Clear)


def test_open_pages_are_bounded() -> None:
    session = new_session(Limits(max_open_pages=1))
    receive(session, pull(DESK))

    refused = receive(session, pull(DESK, seed=b"o" * 32))

    assert reason(refused) is Refusal.TOO_MANY_MAILBOXES


def test_with_all_pages_open_a_repeated_pull_is_told_what_to_do() -> None:
    session = new_session(Limits(max_open_pages=1))
    receive(session, pull(DESK))

    assert reason(receive(session, pull(DESK))) is Refusal.PAGE_OUTSTANDING


def test_a_watch_of_an_empty_mailbox_waits() -> None:
    effects = receive(new_session(), watch(DESK, request_id=4))

    assert effects == (Subscribe(mailbox(DESK)), Send(Watching(4)))


def test_a_watch_of_a_mailbox_with_mail_says_so_at_once() -> None:
    desk = new_desk()
    session = Session(desk, PEER, CHALLENGE)
    receive(session, Deposit(1, envelope(desk)))

    effects = receive(session, watch(DESK, request_id=4))

    assert effects[2:] == (Send(Mail(4, mailbox(DESK))),)


def test_mail_is_told_once_until_the_mailbox_is_pulled() -> None:
    session = new_session()
    receive(session, watch(DESK, request_id=4))

    first, second = session.notice(mailbox(DESK)), session.notice(mailbox(DESK))
    receive(session, pull(DESK))
    third = session.notice(mailbox(DESK))

    assert (first, second, third) == ((Send(Mail(4, mailbox(DESK))),), (), first)


def test_mail_in_a_mailbox_nobody_watches_is_not_told() -> None:
    assert new_session().notice(mailbox(DESK)) == ()


def test_a_watch_by_a_grant_for_pulling_is_refused() -> None:
    session = new_session()
    stolen = access(DESK, Purpose.PULL)

    effects = receive(session, type(watch(DESK))(1, stolen))

    assert (reason(effects), len(effects)) == (Refusal.BAD_SIGNATURE, 1)


def test_watches_are_bounded_but_may_be_renewed() -> None:
    session = new_session(Limits(max_watches=1))
    receive(session, watch(DESK))

    assert reason(receive(session, watch(DESK, seed=b"o" * 32))) is Refusal.TOO_MANY_WATCHES
    assert receive(session, watch(DESK, request_id=9))[1] == Send(Watching(9))


def test_a_quiet_session_leaves_at_once_when_drained() -> None:
    session = new_session()

    assert session.drain() == (Drop("drained"),)
    assert session.phase is Phase.CLOSED


def test_a_draining_session_refuses_new_requests_and_answers_old_ones() -> None:
    session = new_session()
    receive(session, GetPrekeys(1, KEY))

    assert session.drain() == ()
    assert reason(receive(session, GetPrekeys(2, KEY))) is Refusal.DRAINING
    answered, leaves = session.settle(1, NotThere())
    assert (isinstance(answered, Send), leaves) == (True, Drop("drained"))


def test_an_outcome_after_the_end_is_silent() -> None:
    session = new_session()
    receive(session, GetPrekeys(1, KEY))
    session.receive(b"\xc1", NOW)

    assert session.settle(1, NotThere()) == ()


def test_mail_after_the_end_is_silent() -> None:
    session = new_session()
    receive(session, watch(DESK))
    session.receive(b"\xc1", NOW)

    assert session.notice(mailbox(DESK)) == ()


def test_an_outcome_of_another_job_is_our_bug() -> None:
    pulling, acking = new_session(), with_page()
    receive(pulling, pull(DESK))
    receive(acking, ack())

    with pytest.raises(LocalProtocolError):
        pulling.settle(1, KeysHeld(1))
    with pytest.raises(LocalProtocolError):
        acking.settle(2, KeysHeld(1))
