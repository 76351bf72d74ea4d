"""What a stranger sends a relay: frames, messages and whole sessions of them."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Final

from dchat.kernel.errors import RemoteProtocolError
from dchat.kernel.ids import EpochMs
from relay.core import messages
from relay.core.access import Purpose
from relay.core.envelope import Receipt
from relay.core.frames import FrameReader, OversizedFrame, encode_frame
from relay.core.jobs import Failed
from relay.core.messages import Refused
from relay.core.session import Drop, Effects, Pause, Perform, Send, Session
from tests.fakes import desk
from tests.fuzz.mutate import change_bytes, change_values
from tests.fuzz.target import Target, named

CUTS: Final = (3, 4, 50, 100, 1000)


def judge_stream(data: bytes) -> str:
    """Cut anywhere, a stream gives the same bodies; they and what is left are all of it."""
    whole, why = _bodies([data])
    size = CUTS[len(data) % len(CUTS)]
    assert _bodies([data[at : at + size] for at in range(0, len(data), size)]) == (whole, why)
    spelled = b"".join(encode_frame(body) for body in whole)
    assert data.startswith(spelled), "bodies that the stream does not hold"
    return f"{why}{min(len(whole), 5)} bodies"


def _bodies(chunks: list[bytes]) -> tuple[list[bytes], str]:
    reader, bodies = FrameReader(), list[bytes]()
    try:
        for chunk in chunks:
            bodies += reader.feed(chunk)
    except OversizedFrame as fault:
        return bodies, named(fault)
    return bodies, ""


def judge_message(data: bytes) -> str:
    """A message is canonical or refused; a session answers, refuses or drops it, and is well."""
    try:
        message = messages.decode(data)
    except RemoteProtocolError as fault:
        assert _ends(_session().receive(data, desk.NOW))
        return named(fault)
    assert messages.encode(message) == data, "two encodings of one message"
    return f"{type(message).__name__}: {_in_session(data)}"


def _session() -> Session:
    return Session(desk.new_desk(), desk.PEER, desk.CHALLENGE)


def _in_session(data: bytes) -> str:
    session = _session()
    first = session.receive(data, desk.NOW)
    again = session.receive(data, EpochMs(desk.NOW + 1))
    settled = [
        session.settle(each.ticket, Failed())
        for each in (*first, *again)
        if isinstance(each, Perform)
    ]
    for effects in (first, again, *settled):
        _check(effects)
    assert session.in_flight == 0
    return " ".join(type(each).__name__ + _code(each) for each in first)


def _check(effects: Effects) -> None:
    for effect in effects:
        if isinstance(effect, Send):
            assert len(messages.encode(effect.message)) <= messages.MAX_MESSAGE_BYTES
        if isinstance(effect, Pause):
            assert 0 <= effect.duration_ms <= 1000


def _code(effect: object) -> str:
    match effect:
        case Send(message=Refused(code=code)):
            return f"({code})"
        case _:
            return ""


def _ends(effects: Effects) -> bool:
    return any(isinstance(each, Drop) for each in effects)


def _seeds() -> tuple[bytes, ...]:
    at = desk.new_desk()
    envelope = desk.envelope(at)
    receipt = Receipt(
        envelope.mailbox_id, b"1" * 32, b"c" * 32, 0, EpochMs(5), EpochMs(4), b"s" * 64
    )
    item = messages.Item(b"1" * 32, EpochMs(9), b"c")
    said: tuple[messages.Message, ...] = (
        messages.Hello(0, b"peer", desk.CHALLENGE, desk.NOW, 1, 2, 3),
        messages.Deposit(1, envelope),
        messages.Deposit(1, replace(envelope, ciphertext=b"short")),
        messages.Custody(1, receipt),
        messages.Refused(1, 2, "detail", 3),
        desk.pull(at),
        messages.Page(1, b"m" * 32, 1, (item,), 2, more=True),
        messages.Ack(1, b"m" * 32, 1, (b"1" * 32,), ()),
        messages.Acked(1),
        desk.watch(at),
        messages.Watching(1),
        messages.Mail(1, b"m" * 32),
        desk.put_prekeys(at),
        desk.put_keys(at, b"one", b"two"),
        messages.PutPrekeys(1, desk.access(at, Purpose.PULL), b"bundle"),
        messages.Stored(1, 2),
        messages.GetPrekeys(1, b"i" * 32),
        messages.Prekeys(1, b"bundle"),
        messages.TakeOneTimeKey(1, b"i" * 32),
        messages.OneTimeKey(1, b"key"),
    )
    return tuple(messages.encode(each) for each in said)


def _change_size(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return (
        data[:at]
        + rng.choice((0, 1, 5, 131_072, 131_073, 2**32 - 1)).to_bytes(4, "big")
        + data[at:]
    )


STREAM: Final = Target(
    "stream",
    "a relay's stream gives the same bodies however it is cut; a size over the bound ends it",
    judge_stream,
    (
        b"".join(encode_frame(body) for body in (b"", b"one", b"x" * 300)),
        encode_frame(b"y" * 2000) + b"\0\0",
        b"\0\2\0\1",
    ),
    (change_bytes, _change_size),
    max_bytes=4096,
)
MESSAGE: Final = Target(
    "message",
    "a relay's message is canonical or refused; whatever comes, a session lives or ends whole",
    judge_message,
    _seeds(),
    (change_values, change_values, change_bytes),
)
