from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from dchat.node.frames import BadFrame, encode_size
from dchat.node.inbox import AHEAD_BYTES, AHEAD_FRAMES, RECEIVE_BYTES, HungUp, Inbox


def framed(*bodies: bytes) -> bytes:
    return b"".join(encode_size(len(body)) + body for body in bodies)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, Inbox]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(0)
    with ours, theirs:
        yield theirs, Inbox(ours)


def fill(peer: socket.socket, inbox: Inbox, frame: bytes) -> None:
    """Offers frames until neither the inbox nor the socket takes more, or 300 MB went through."""
    unit = rest = framed(frame)
    most = min(len(inbox) + 50 * AHEAD_FRAMES, 300_000_000 // len(frame))
    while len(inbox) < most:
        rest = rest or unit
        try:
            rest = rest[peer.send(rest) :]
        except BlockingIOError:
            before = len(inbox)
            inbox.top_up()
            if len(inbox) == before:
                return


def test_frames_are_taken_in_the_order_they_came(pair: tuple[socket.socket, Inbox]) -> None:
    peer, inbox = pair
    peer.send(framed(b"one", b"two"))
    inbox.wait()

    assert [inbox.take(), inbox.take(), len(inbox)] == [b"one", b"two", 0]


def test_a_wait_ends_with_the_first_whole_frame(pair: tuple[socket.socket, Inbox]) -> None:
    peer, inbox = pair
    peer.send(framed(b"one") + framed(b"two")[:2])
    inbox.wait()

    assert (len(inbox), inbox.unfinished_bytes()) == (1, 2)


def test_what_arrived_meanwhile_is_added_without_waiting(pair: tuple[socket.socket, Inbox]) -> None:
    peer, inbox = pair
    peer.send(framed(b"one"))
    inbox.wait()
    peer.send(framed(b"two"))
    inbox.top_up()
    inbox.top_up()

    assert len(inbox) == 2


@pytest.mark.parametrize(
    ("frame", "bound"),
    [(b"x" * 8, AHEAD_FRAMES), (b"x" * 60_000, AHEAD_BYTES // 60_000)],
    ids=["frames", "bytes"],
)
def test_no_more_is_taken_in_than_the_bound_and_one_read(
    pair: tuple[socket.socket, Inbox], frame: bytes, bound: int
) -> None:
    peer, inbox = pair
    fill(peer, inbox, frame)

    assert bound <= len(inbox) <= bound + RECEIVE_BYTES // len(frame)


def test_taking_makes_room_again(pair: tuple[socket.socket, Inbox]) -> None:
    peer, inbox = pair
    fill(peer, inbox, b"x" * 60_000)
    full = len(inbox)
    [inbox.take() for _ in range(full)]
    fill(peer, inbox, b"x" * 60_000)

    assert len(inbox) >= AHEAD_BYTES // 60_000


def test_what_came_before_a_hang_up_can_still_be_taken(pair: tuple[socket.socket, Inbox]) -> None:
    peer, inbox = pair
    peer.send(framed(b"last"))
    peer.close()
    inbox.wait()
    inbox.top_up()

    assert inbox.take() == b"last"
    with pytest.raises(HungUp):
        inbox.wait()


def test_a_frame_over_the_bound_is_refused(pair: tuple[socket.socket, Inbox]) -> None:
    peer, inbox = pair
    peer.send(b"\xff" * 16)

    with pytest.raises(BadFrame):
        inbox.wait()


@pytest.mark.parametrize(("frame", "shown"), [(b"\x42\x00", b"\x42"), (b"", b"")])
def test_the_first_byte_of_the_next_frame_can_be_seen(
    pair: tuple[socket.socket, Inbox], frame: bytes, shown: bytes
) -> None:
    peer, inbox = pair
    peer.send(framed(frame))
    inbox.wait()

    assert (inbox.first_byte(), len(inbox)) == (shown, 1)


def test_discarding_reads_until_the_peer_is_gone(pair: tuple[socket.socket, Inbox]) -> None:
    peer, inbox = pair
    peer.send(framed(b"unread"))
    peer.close()

    with pytest.raises(HungUp):
        inbox.discard()
    assert len(inbox) == 0
