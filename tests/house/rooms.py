"""The tree as the house tests see it: every file that git would take, and the rooms of code."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import tomllib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

Found = TypeVar("Found")
HOUSE = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((HOUSE / "pyproject.toml").read_text())
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
# Written by a tool from the protocol's own files; see scripts/regenerate-protos.
GENERATED = HOUSE / "dchat" / "node" / "proto"


def modules(*rooms: str) -> list[Path]:
    """The Python files of these folders, generated ones left out, in a fixed order."""
    return [
        file
        for room in rooms
        for file in sorted((HOUSE / room).rglob("*.py"))
        if GENERATED not in file.parents
    ]


@cache
def tree(file: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(file.read_text(), str(file))


def shown(file: Path) -> str:
    """A file's name as a person would type it from the root."""
    return str(file.relative_to(HOUSE))


def offenders(files: Iterable[Path], find: Callable[[Path], Found]) -> dict[str, Found]:
    """What `find` finds, by the names of the files where it finds something."""
    return {shown(file): found for file in files if (found := find(file))}


def is_docstring(statement: ast.stmt) -> bool:
    """Whether a statement is a bare string."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case _:
            return False


def load_rooms() -> None:
    """Import every module of ours, process entries left out, so that all classes are known."""
    for package in PACKAGES:
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
