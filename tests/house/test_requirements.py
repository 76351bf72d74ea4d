"""The list of CometBFT's requirements in the docs is the list of the tests."""

from __future__ import annotations

import ast
import re

from tests.house.rooms import HOUSE, tree

PAGE = HOUSE / "docs" / "API_SPECIFICATION.md"
TESTS = HOUSE / "tests" / "dchat" / "node" / "test_requirements.py"
ROW = re.compile(r"^\| (\d+|section) .*\|(?: `(test_\w+)`)? \|$", re.MULTILINE)


def test_the_list_of_requirements_is_the_list_of_the_tests() -> None:
    listed = [test for _, test in ROW.findall(PAGE.read_text()) if test]
    written = [
        each.name
        for each in tree(TESTS).body
        if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
    ]

    assert sorted(listed) == sorted(written)


def test_every_number_is_listed_with_a_test_of_its_name() -> None:
    rows = ROW.findall(PAGE.read_text())
    numbered = [(int(number), test) for number, test in rows if number.isdigit()]

    assert [number for number, _ in numbered] == list(range(1, 14))
    assert [test for number, test in numbered if f"requirement_{number:02}_" not in test] == []
