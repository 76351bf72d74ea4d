from __future__ import annotations

import json

import pytest

from dchat.cli.show import Value, printable, show, text


def test_a_mapping_is_shown_as_aligned_lines() -> None:
    assert text({"height": 7, "app_hash": b"\x0a\xff"}) == "height:   7\napp_hash: 0aff"


def test_nested_values_are_indented() -> None:
    value = {"chain": {"id": "x", "ok": True}, "peers": [{"id": "a", "n": 1}, "b"], "none": None}

    assert text(value).splitlines() == [
        "chain:",
        "  id: x",
        "  ok: yes",
        "peers:",
        "  - id: a",
        "    n:  1",
        "  - b",
        "none:  -",
    ]


def test_rows_with_the_same_fields_are_a_table() -> None:
    rows = [
        {"module": "account", "entries": 2, "root": b"\x01"},
        {"module": "x", "entries": 10, "root": None},
    ]

    assert text({"height": 7, "modules": rows}).splitlines() == [
        "height:  7",
        "modules:",
        "  module   entries  root",
        "  account  2        01",
        "  x        10       -",
    ]


def test_rows_with_something_nested_are_no_table() -> None:
    assert text([{"a": [1]}, {"a": [2]}]) == "- a:\n    - 1\n- a:\n    - 2"


@pytest.mark.parametrize(
    ("empty", "shown"), [({}, "-"), ([], "-"), ({"a": []}, "a: -"), ([[]], "- -"), ("", "")]
)
def test_an_empty_value_is_shown_as_nothing(empty: Value, shown: str) -> None:
    assert text(empty) == shown


def test_json_holds_the_same_with_bytes_in_hex(capsys: pytest.CaptureFixture[str]) -> None:
    show({"a": [b"\x01", None, True], "b": {"c": 1}}, as_json=True)

    assert json.loads(capsys.readouterr().out) == {"a": ["01", None, True], "b": {"c": 1}}


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\rb\nc", "a\\rb\\nc"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028", "\\u2028"),
        ("\ud800", "\\ud800"),
        ("Zoë 🦊 日本", "Zoë 🦊 日本"),
    ],
)
def test_nothing_printed_can_steer_the_terminal(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown
