from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import bech32m
from dchat.kernel.bech32m import BadAddress


@pytest.mark.parametrize(
    ("text", "prefix", "payload"),
    [
        ("A1LQFN3A", "a", ""),
        ("a1lqfn3a", "a", ""),
        (
            "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
            "abcdef",
            "ffbbcdeb38bdab49ca307b9ac5a928398a418820",
        ),
    ],
)
def test_bip_350_valid_strings(text: str, prefix: str, payload: str) -> None:
    assert bech32m.decode(prefix, text).hex() == payload


@pytest.mark.parametrize(
    "text",
    [
        "y1b0jsk6g",
        "lt1igcx5c0",
        "in1muywd",
        "mm1crxm3i",
        "au1s5cgom",
        "M1VUXWEZ",
        "16plkw9",
        "1p2gdwpf",
    ],
)
def test_bip_350_invalid_strings(text: str) -> None:
    with pytest.raises(BadAddress):
        bech32m.decode(text.lower().rpartition("1")[0], text)


@given(st.binary(max_size=32))
def test_what_is_encoded_comes_back(payload: bytes) -> None:
    assert bech32m.decode("dchat", bech32m.encode("dchat", payload)) == payload


@given(st.text(max_size=100))
def test_arbitrary_text_is_an_address_or_refused(text: str) -> None:
    with suppress(BadAddress):
        assert bech32m.encode("dchat", bech32m.decode("dchat", text)) == text.lower()


@given(st.integers(6, 60), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_one_mistyped_character_is_noticed(at: int, letter: str) -> None:
    good = bech32m.encode("dchat", bytes(32))
    typo = good[:at] + letter + good[at + 1 :]

    with suppress(BadAddress):
        assert (bech32m.decode("dchat", typo), typo) == (bytes(32), good)


@pytest.mark.parametrize(
    "text",
    [
        "dChat1qqqq",
        "other1" + bech32m.encode("dchat", bytes(32))[6:],
        bech32m.encode("dchat", bytes(32))[:-1],
        "dchat1",
        "",
        "dchat1" + "q" * 100,
    ],
)
def test_what_is_not_ours_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        bech32m.decode("dchat", text)
