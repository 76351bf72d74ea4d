"""Common options stand behind a command's own, and come to it as one value."""

from __future__ import annotations

import inspect

from dchat.cli.options import with_options


def pair(*, left: int, right: int = 2) -> tuple[int, int]:
    return left, right


def test_a_command_is_called_with_what_the_common_options_make() -> None:
    calls: list[tuple[tuple[int, int], str]] = []

    @with_options(pair)
    def command(both: tuple[int, int], name: str) -> None:
        """Say it."""
        calls.append((both, name))

    command(left=1, right=5, name="it")

    assert calls == [((1, 5), "it")]
    assert (command.__name__, command.__doc__) == ("command", "Say it.")


def test_its_signature_names_its_own_options_first() -> None:
    @with_options(pair)
    def command(both: tuple[int, int], name: str) -> None:
        del both, name

    assert list(inspect.signature(command).parameters) == ["name", "left", "right"]
