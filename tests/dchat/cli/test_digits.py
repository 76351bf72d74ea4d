from __future__ import annotations

import pytest

from dchat.cli import digits


def test_sixty_four_digits_are_thirty_two_bytes() -> None:
    assert digits.parse("0a" * 32, "a hash") == b"\n" * 32


@pytest.mark.parametrize("text", ["", "0a", "0a" * 31, "0a" * 33, "0g" * 32, "é" * 64])
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(digits.BadDigits, match=r"is not a public key$") as caught:
        digits.parse(text, "a public key")

    assert (caught.value.exit_code, "64 hexadecimal digits" in caught.value.hint) == (2, True)
