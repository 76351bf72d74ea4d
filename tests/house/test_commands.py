"""Every command and option has help, and every command stands in the docs (N13)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from dchat.cli import main
from dchat.kernel.errors import OperatorError
from tests.house.rooms import HOUSE, load_rooms

CLI = (HOUSE / "docs" / "cli.md").read_text()
PAGES = sorted((HOUSE / "docs").glob("*.md"))
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
DOCS = "\n".join(page.read_text() for page in PAGES)


def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every command below `command`, itself included, by the words a person types."""
    yield name, command
    for sub, child in getattr(command, "commands", {}).items():
        yield from walk(f"{name} {sub}", child)


def commands() -> list[tuple[str, Any]]:
    app = typer.Typer()
    app.callback()(lambda: None)
    for noun in main.NOUNS:
        main.load(noun).register(app)
    return list(walk("dchat", get_command(app)))[1:]


COMMANDS = commands()
WORDS = [words for words, _ in COMMANDS]


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=WORDS)
def test_a_command_says_what_it_does(words: str, command: Any) -> None:
    assert command.help
    assert command.help.strip().splitlines()[0].endswith(".")


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=WORDS)
def test_every_option_says_what_it_does(words: str, command: Any) -> None:
    assert [param.name for param in command.params if not param.help] == []


@pytest.mark.parametrize("words", WORDS)
def test_a_command_stands_in_the_docs(words: str) -> None:
    assert f"{words} " in DOCS or f"{words}\n" in DOCS or f"{words}`" in DOCS


def typed(text: str) -> list[str]:
    """Every command that a page shows, in a line of code or in a block of them."""
    blocks = FENCE.findall(text)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    inline = [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", FENCE.sub("", text))]
    said = [line.removeprefix("$ ").strip() for line in (*lines, *inline)]
    return [line for line in said if re.match(r"dchat [a-z]", line) and "…" not in line[:20]]


def unknown_options(line: str) -> list[str]:
    """The options in it that the command which it begins with does not have."""
    words = line.split()
    known = dict(COMMANDS)
    name = next((n for n in (4, 3, 2) if " ".join(words[:n]) in known), 0)
    if not name or "·" in words:
        return []
    params = known[" ".join(words[:name])].params
    options = {option for param in params for option in (*param.opts, *param.secondary_opts)}
    given = [word.partition("=")[0] for word in words[name:] if word.startswith("--")]
    return [option for option in given if option not in {*options, "--help"}]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_a_command_in_the_docs_has_the_options_that_it_is_shown_with(page: Path) -> None:
    wrong = {line: unknown_options(line) for line in typed(page.read_text())}

    assert {line: options for line, options in wrong.items() if options} == {}


def test_an_option_that_is_none_is_found() -> None:
    assert unknown_options("dchat gov vote --proposal 1 --chioce yes") == ["--chioce"]


@pytest.mark.parametrize("noun", main.NOUNS)
def test_a_noun_registers_itself_and_nothing_else(noun: str) -> None:
    assert next(words for words in WORDS if words.split()[1] == noun) == f"dchat {noun}"


def exit_codes(parent: type[OperatorError] = OperatorError) -> set[int]:
    children = [child for child in parent.__subclasses__() if not is_a_test(child)]
    return {child.exit_code for child in children}.union(*map(exit_codes, children))


def is_a_test(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in {"tests", "test_main"}


def test_every_exit_status_stands_in_the_docs() -> None:
    load_rooms()
    rows = {int(number) for number in re.findall(r"^\| (\d+) \|", CLI, re.MULTILINE)}

    assert rows == exit_codes() | {0, main.FAILED, main.MISUSED, main.INTERRUPTED}
