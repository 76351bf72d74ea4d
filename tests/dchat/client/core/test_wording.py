from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.client.core import wording
from dchat.client.core.conversation import Delivery, Fault
from dchat.client.core.wording import (
    Command,
    Explain,
    Open,
    Pay,
    Quit,
    Register,
    Say,
    ShowBalance,
    ShowContacts,
    ShowHistory,
)
from dchat.kernel.ids import Amount


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("hello there\n", Say("hello there")),
        ("//me waves", Say("/me waves")),
        ("", Explain("")),
        ("   ", Explain("")),
        ("/msg bob", Open("bob", "")),
        ("/msg  bob  hello  there ", Open("bob", "hello  there")),
        ("/pay bob 5", Pay("bob", Amount(5_000_000))),
        ("/pay bob 0.25", Pay("bob", Amount(250_000))),
        ("/contacts", ShowContacts()),
        ("/history", ShowHistory("")),
        ("/history bob", ShowHistory("bob")),
        ("/balance", ShowBalance()),
        ("/register alice", Register("alice")),
        ("/help", Explain(wording.HELP)),
        ("/quit", Quit()),
    ],
)
def test_a_line_means_what_help_says(line: str, command: Command) -> None:
    assert wording.parse(line) == command


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/pay bob", "/pay HANDLE AMOUNT"),
        ("/pay bob five", "is not an amount"),
        ("/pay bob -5", "is not an amount"),
        ("/msg", "/msg HANDLE [TEXT]"),
        ("/register", "/register HANDLE"),
        ("/quit now", "/quit"),
        ("/dance", "/dance is no command"),
        ("/\x1b[2J", "\\x1b[2J is no command"),
    ],
)
def test_a_line_that_means_nothing_is_explained(line: str, said: str) -> None:
    command = wording.parse(line)

    assert isinstance(command, Explain)
    assert said in command.text


@given(st.text())
def test_every_line_means_something(line: str) -> None:
    assert isinstance(wording.parse(line), Command)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, grüße, 你好, 🙂", "plain, grüße, 你好, 🙂"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("over\rwritten", "over\n    written"),
        ("\u202egnihton", "\\u202egnihton"),
        ("in\u200bvisible", "in\\u200bvisible"),
        ("family 👨\u200d👩", "family 👨\u200d👩"),
        ("one\nbob: two", "one\n    bob: two"),
        ("\x00\x08\x7f", "\\x00\\x08\\x7f"),
    ],
)
def test_text_is_shown_without_its_power(text: str, shown: str) -> None:
    assert wording.visible(text) == shown


@given(st.text())
def test_nothing_shown_can_steer_a_terminal(text: str) -> None:
    steering = [
        char
        for char in wording.visible(text)
        if unicodedata.category(char).startswith(("C", "Z")) and char not in "\n\u200d"
    ]

    assert [char for char in steering if unicodedata.category(char) != "Zs"] == []


@given(st.text())
def test_every_further_line_is_indented(text: str) -> None:
    _, *further = wording.visible(text).split("\n")

    assert [line for line in further if not line.startswith("    ")] == []


def test_a_failure_is_told_with_its_reason() -> None:
    assert wording.state_in_words(Delivery.FAILED, Fault.REFUSED).startswith("failed: every home")


def test_a_state_without_fault_is_one_word() -> None:
    assert wording.state_in_words(Delivery.DELIVERED, Fault.NONE) == "delivered"
