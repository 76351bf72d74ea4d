"""What import contracts cannot see in pure rooms (D2): floats, true division, set order, I/O."""

from __future__ import annotations

import ast

import pytest

from tests.house.rooms import modules, offenders, tree

PURE = ("dchat/kernel", "dchat/client/core", "abci_chat", "abci_currency", "relay/core")
FILES = [file for file in modules(*PURE) if file.name != "__main__.py"]
# Non-deterministic across processes or machines, or a door to the outside.
BANNED = {
    "__import__",
    "breakpoint",
    "eval",
    "exec",
    "float",
    "globals",
    "hash",
    "id",
    "input",
    "locals",
    "open",
    "print",
    "round",
    "vars",
}
ORDERING = {"dict", "enumerate", "iter", "list", "map", "next", "reversed", "tuple", "zip"}
SETS = {"set", "frozenset"}


def is_set(node: ast.AST) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in SETS
        case _:
            return False


def faults(module: ast.AST) -> list[tuple[int, str]]:
    """Line and name of each thing in `module` that D2 forbids."""
    return sorted((line, why) for node in ast.walk(module) for line, why in fault(node))


def fault(node: ast.AST) -> list[tuple[int, str]]:
    match node:
        case ast.Constant(value=float() | complex()):
            return [(node.lineno, "float literal")]
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            return [(node.lineno, "true division")]
        case ast.Name(id=name, ctx=ast.Load()) if name in BANNED:
            return [(node.lineno, name)]
        case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
            return [(node.lineno, "async")]
        case ast.ExceptHandler(type=None | ast.Name(id="Exception" | "BaseException")):
            return [(node.lineno, "broad except")]
        case _:
            return order(node)


def order(node: ast.AST) -> list[tuple[int, str]]:
    match node:
        case ast.For(iter=source) | ast.comprehension(iter=source) if is_set(source):
            return [(source.lineno, "set order")]
        case ast.Call(func=ast.Name(id=name), args=args) if name in ORDERING:
            return [(node.lineno, "set order") for arg in args if is_set(arg)]
        case ast.Call(func=ast.Attribute(attr="join"), args=args):
            return [(node.lineno, "set order") for arg in args if is_set(arg)]
        case _:
            return []


def test_pure_modules_give_the_same_bytes_everywhere() -> None:
    assert len(FILES) > 30
    assert offenders(FILES, lambda file: faults(tree(file))) == {}


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("x = 0.5", "float literal"),
        ("x = 1j", "float literal"),
        ("x = a / b", "true division"),
        ("x /= 2", "true division"),
        ("hash(x)", "hash"),
        ("f = id", "id"),
        ("open('x')", "open"),
        ("def f(x: float): ...", "float"),
        ("async def f(): ...", "async"),
        ("for a in {1, 2}: ...", "set order"),
        ("[a for a in set(b)]", "set order"),
        ("tuple({a for a in b})", "set order"),
        ("b''.join(frozenset(x))", "set order"),
        ("try: ...\nexcept: ...", "broad except"),
        ("try: ...\nexcept Exception: ...", "broad except"),
    ],
)
def test_the_rule_bites(code: str, why: str) -> None:
    assert [name for _, name in faults(ast.parse(code))] == [why]


def test_what_is_repeatable_is_allowed() -> None:
    code = "x = sorted({1, 2}); y = 7 // 2; z = 1 in {1, 2}; n = len(set(x)); self.id = 3; id: int"

    assert faults(ast.parse(code)) == []
