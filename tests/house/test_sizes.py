"""Functions stop at 40 lines, files at 500 (N12)."""

from __future__ import annotations

import ast

from tests.house.rooms import HOUSE, PACKAGES, is_docstring, modules, offenders, shown, tree

FUNCTION_LINES = 40
FILE_LINES = 500
FOLDERS = [*PACKAGES, "tests", *(["benchmarks"] if (HOUSE / "benchmarks").is_dir() else [])]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first to the last statement, the docstring left out."""
    body = [line for line in function.body if not is_docstring(line)]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def too_long(module: ast.Module) -> list[str]:
    nodes = ast.walk(module)
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [f"{f.name}: {body_lines(f)}" for f in functions if body_lines(f) > FUNCTION_LINES]


def test_a_function_fits_on_a_screen() -> None:
    assert offenders(modules(*FOLDERS), lambda file: too_long(tree(file))) == {}


def test_a_file_stays_readable() -> None:
    lengths = {shown(file): len(file.read_text().splitlines()) for file in modules(*FOLDERS)}

    assert {file: lines for file, lines in lengths.items() if lines > FILE_LINES} == {}


def test_the_rule_bites() -> None:
    long = "def f():\n    '''Doc.'''\n" + "    x = 1\n" * 41

    assert too_long(ast.parse(long)) == ["f: 41"]
    assert too_long(ast.parse(long.replace("    x = 1\n", "", 1))) == []
