"""Ids, hashes and keys as hexadecimal digits on the command line."""

from __future__ import annotations

from typing import Final

from dchat.kernel.errors import OperatorError

BYTES: Final = 32
"""Of an id, a hash or a public key."""


class BadDigits(OperatorError):
    """The text is not what it should spell."""

    exit_code = 2
    hint = "write all 64 hexadecimal digits, as dchat prints them with --json"


def parse(text: str, what: str) -> bytes:
    """Return the 32 bytes that the text spells; what: `a public key`. Raises: BadDigits."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != BYTES:
        raise BadDigits(f"{text!r} is not {what}")
    return found
