"""Every module with code in it has the test file of its name (STYLE §1)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.rooms import HOUSE, PACKAGES, is_docstring, modules, shown, tree

# A module may go without a mirror only with a reason that says what tests it instead.
EXEMPT: dict[str, str] = {}


def has_code(module: ast.Module) -> bool:
    """Whether a function in `module` does anything; protocols and plain records do not count."""
    functions = (n for n in ast.walk(module) if isinstance(n, ast.FunctionDef))
    coroutines = (n for n in ast.walk(module) if isinstance(n, ast.AsyncFunctionDef))
    return any(does_something(function) for function in (*functions, *coroutines))


def does_something(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    body = [line for line in function.body if not is_docstring(line)]
    return any(ast.unparse(line) not in {"...", "pass"} for line in body)


def mirror(file: Path) -> Path:
    place = file.relative_to(HOUSE)
    return HOUSE / "tests" / place.with_name(f"test_{place.stem.strip('_')}.py")


@pytest.mark.parametrize("file", modules(*PACKAGES), ids=shown)
def test_a_module_with_code_has_its_test(file: Path) -> None:
    assert not has_code(tree(file)) or shown(file) in EXEMPT or mirror(file).is_file()


@pytest.mark.parametrize("name", EXEMPT)
def test_an_exemption_is_still_needed(name: str) -> None:
    assert (HOUSE / name).is_file()
    assert not mirror(HOUSE / name).exists()


@pytest.mark.parametrize("file", modules(*PACKAGES), ids=shown)
def test_a_package_file_holds_a_docstring_only(file: Path) -> None:
    extra = [line for line in tree(file).body if not is_docstring(line)]

    assert file.name != "__init__.py" or not extra or shown(file) == "dchat/__init__.py"
