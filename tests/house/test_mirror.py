"""Every module with code in it has the test file of its name (STYLE §1)."""

from __future__ import annotations

import ast
from pathlib import Path

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


def needs_test(file: Path) -> bool:
    return has_code(tree(file)) and shown(file) not in EXEMPT


def test_every_module_with_code_has_its_test() -> None:
    needy = [file for file in modules(*PACKAGES) if needs_test(file)]

    assert len(needy) > 50
    assert [shown(file) for file in needy if not mirror(file).is_file()] == []


def test_every_exemption_is_still_needed() -> None:
    assert [name for name in EXEMPT if not (HOUSE / name).is_file()] == []
    assert [name for name in EXEMPT if mirror(HOUSE / name).exists()] == []


def test_a_package_file_holds_a_docstring_only() -> None:
    inits = [file for file in modules(*PACKAGES) if file.name == "__init__.py"]
    full = [file for file in inits if not all(map(is_docstring, tree(file).body))]

    assert [shown(file) for file in full] == ["dchat/__init__.py"]
