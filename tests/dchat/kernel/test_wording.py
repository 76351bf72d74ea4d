from __future__ import annotations

import pytest

from dchat.kernel.wording import is_line, is_lines

UNSHOWN = [
    "\0",
    "\t",
    "\r",
    "\x1b",
    "\x7f",
    "\x85",
    "\u061c",
    "\u200e",
    "\u2028",
    "\u202e",
    "\u2069",
]


@pytest.mark.parametrize("text", ["a", "Grüße, 世界 🎉", " "])
def test_what_can_be_shown_is_a_line(text: str) -> None:
    assert (is_line(text), is_lines(text)) == (True, True)


@pytest.mark.parametrize("sign", UNSHOWN)
def test_what_moves_the_cursor_or_turns_the_line_is_neither(sign: str) -> None:
    assert (is_line(f"a{sign}b"), is_lines(f"a{sign}b")) == (False, False)


@pytest.mark.parametrize("text", ["", "\n", "a\nb"])
def test_nothing_and_several_lines_are_lines_alone(text: str) -> None:
    assert (is_line(text), is_lines(text)) == (False, True)
