"""What a person types, understood; what others wrote, made harmless to show."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from dchat.client.core.conversation import EXPLANATIONS, Delivery, Fault
from dchat.kernel.amounts import BadAmount, parse_amount
from dchat.kernel.ids import Amount

HELP: Final = """\
/msg HANDLE [TEXT]    open a conversation, and write TEXT if there is any
TEXT                  write to the open conversation; //TEXT writes /TEXT
/pay HANDLE AMOUNT    pay tokens, like 5 or 0.25
/contacts             everybody you know
/history [HANDLE]     what was written, in the open conversation or with HANDLE
/balance              what you hold, with its proof
/register HANDLE      be found under HANDLE
/quit                 leave"""

_ZERO_WIDTH_JOINER: Final = "\u200d"


@dataclass(frozen=True, slots=True)
class Say:
    """Write to the open conversation."""

    text: str


@dataclass(frozen=True, slots=True)
class Open:
    """Open a conversation; `text` is written there unless it is empty."""

    handle: str
    text: str


@dataclass(frozen=True, slots=True)
class Pay:
    """Pay base units to a handle."""

    handle: str
    amount: Amount


@dataclass(frozen=True, slots=True)
class ShowContacts:
    """List everybody known."""


@dataclass(frozen=True, slots=True)
class ShowHistory:
    """Show what was written; an empty handle means the open conversation."""

    handle: str


@dataclass(frozen=True, slots=True)
class ShowBalance:
    """Show what we hold."""


@dataclass(frozen=True, slots=True)
class Register:
    """Take a handle."""

    handle: str


@dataclass(frozen=True, slots=True)
class Explain:
    """Say something to the person who typed: help, or what was wrong; empty for nothing."""

    text: str


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave."""


Command = Say | Open | Pay | ShowContacts | ShowHistory | ShowBalance | Register | Explain | Quit


def parse(line: str) -> Command:
    """Return what a typed line means; one that means nothing is explained, never refused."""
    line = line.strip()
    if line.startswith("//"):
        return Say(line[1:])
    if not line.startswith("/"):
        return Say(line) if line else Explain("")
    verb, _, rest = line.partition(" ")
    return _parse_command(verb, rest.strip())


def _parse_command(verb: str, rest: str) -> Command:
    match verb, rest.split():
        case "/msg", [handle, *_]:
            return Open(handle, rest[len(handle) :].strip())
        case "/pay", [handle, amount]:
            return _pay(handle, amount)
        case "/register", [handle]:
            return Register(handle)
        case "/history", [handle]:
            return ShowHistory(handle)
        case _, []:
            return _parse_word(verb)
        case _:
            return _unknown(verb)


def _parse_word(verb: str) -> Command:
    words: dict[str, Command] = {
        "/contacts": ShowContacts(),
        "/history": ShowHistory(""),
        "/balance": ShowBalance(),
        "/help": Explain(HELP),
        "/quit": Quit(),
    }
    return words.get(verb) or _unknown(verb)


def _unknown(verb: str) -> Explain:
    usage = [line for line in HELP.splitlines() if line.split()[0] == verb]
    return Explain(usage[0] if usage else f"{visible(verb)} is no command; /help lists them")


def _pay(handle: str, amount: str) -> Command:
    try:
        return Pay(handle, parse_amount(amount))
    except BadAmount as fault:
        return Explain(f"{fault}; {fault.hint}")


def visible(text: str) -> str:
    """Return text that cannot steer a terminal or hide what stands around it.

    Escape sequences, other control characters, and the invisible ones that reverse or join text
    appear as their escapes. Line breaks stay, each new line indented, so that no line of a message
    can pass for a line of ours.
    """
    return "\n    ".join("".join(_visible(char) for char in line) for line in text.splitlines())


def _visible(char: str) -> str:
    harmless = not unicodedata.category(char).startswith(("C", "Zl", "Zp"))
    if harmless or char == _ZERO_WIDTH_JOINER:
        return char
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


def state_in_words(state: Delivery, fault: Fault) -> str:
    """Return `delivered`, or `failed: ` and why."""
    word = state.name.lower()
    return f"{word}: {EXPLANATIONS[fault]}" if fault else word
