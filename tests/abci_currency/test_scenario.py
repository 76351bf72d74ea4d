"""The story of docs/economy.md, played: its lines happen, its sums are right, its numbers hold."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Final

from tests.fakes.story import Story

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "economy.md"
STEP: Final = re.compile(r"^### (\d+)\. (.+?)$\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)
ROW: Final = re.compile(r"^\| (?!after it|---)(.+?) \| (.+?) \| ([\d,]+) \|$", re.MULTILINE)
LINES: Final = re.compile(r"^```\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
SIGNS: Final = str.maketrans("\N{MULTIPLICATION SIGN}\N{DIVISION SIGN}\N{MINUS SIGN}", "*/-", ",")
CALCULATES: Final[Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the page."""

    number: int
    lines: tuple[str, ...]
    rows: tuple[tuple[str, str, str], ...]
    """What it is, how it is worked out, and what it comes to."""


@cache
def steps() -> tuple[Step, ...]:
    return tuple(
        Step(int(number), tuple(_lines(text)), tuple(ROW.findall(text)))
        for number, _, text in STEP.findall(PAGE.read_text())
    )


def _lines(text: str) -> list[str]:
    """Return every line that stands between fences."""
    return [line for block in LINES.findall(text) for line in block.splitlines()]


def rows() -> list[tuple[str, str, str]]:
    """Every row of the page with a sum, that of a fee's parts included."""
    return ROW.findall(PAGE.read_text())


@cache
def played() -> tuple[tuple[tuple[str, ...], tuple[tuple[str, int], ...]], ...]:
    """What happens, and what the state says, step by step."""
    story = Story()
    return tuple(
        (
            tuple(story.play(line) for line in step.lines),
            tuple((what, story.value(what)) for what, _, _ in step.rows),
        )
        for step in steps()
    )


def number(text: str) -> int:
    return int(text.replace(",", ""))


def worked_out(text: str) -> int:
    """Return what a sum of the page comes to, in exact fractions and rounded down at its end."""
    sum_ = text.translate(SIGNS)
    return int(_fraction(ast.parse(sum_, mode="eval").body, sum_) // 1)


def _fraction(node: ast.expr, text: str) -> Fraction:
    if isinstance(node, ast.BinOp):
        calculates = CALCULATES[type(node.op)]
        return calculates(_fraction(node.left, text), _fraction(node.right, text))
    return Fraction(ast.get_source_segment(text, node) or "")


def test_every_line_of_the_page_happens_as_it_says() -> None:
    assert [happened for happened, _ in played()] == [step.lines for step in steps()]


def test_after_each_step_the_state_says_what_the_page_says() -> None:
    told = [tuple((what, number(units)) for what, _, units in step.rows) for step in steps()]

    assert [state for _, state in played()] == told


def test_every_sum_of_the_page_comes_to_what_stands_beside_it() -> None:
    sums = [(what, worked_out(text)) for what, text, _ in rows()]

    assert sums == [(what, number(units)) for what, _, units in rows()]


def test_nothing_of_the_page_escapes_its_test() -> None:
    """A row that is no sum, or a step that is none, would be left out in silence."""
    text = PAGE.read_text()
    written = [line for line in text.splitlines() if line.startswith("| ")]
    heads = [line for line in written if line.startswith(("| after it", "| ---", "| of a fee"))]

    assert len(written) - len(heads) == len(rows())
    assert [step.number for step in steps()] == list(range(21))
