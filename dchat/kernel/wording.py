"""Text that people see as it was written: nothing in it moves a cursor or turns a line round."""

from __future__ import annotations

import re
from typing import Final

_UNSHOWN: Final = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""Control characters, line separators and marks of direction."""
_LINE: Final = re.compile(rf"[^\x00-\x1f{_UNSHOWN}]+")
_LINES: Final = re.compile(rf"[^\x00-\x09\x0b-\x1f{_UNSHOWN}]*")


def is_line(text: str) -> bool:
    """Tell whether the text is one line that is not empty, and can be shown."""
    return _LINE.fullmatch(text) is not None


def is_lines(text: str) -> bool:
    """Tell whether the text, which may have several lines or none, can be shown."""
    return _LINES.fullmatch(text) is not None
