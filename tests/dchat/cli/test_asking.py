"""The options that every query of state shares; test_query.py has what they do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import trio
import typer
from typer.testing import CliRunner

from dchat.cli.asking import Asked, Source, asking, named
from dchat.kernel.queries import Listing
from tests.dchat.node.test_chain import opened
from tests.fakes.node import FakeNode


@dataclass
class Heard:
    """What a command was called with."""

    calls: list[tuple[Asked, str, int]] = field(default_factory=list[tuple[Asked, str, int]])

    def app(self) -> typer.Typer:
        app = typer.Typer()

        @asking
        def look(asked: Asked, name: Annotated[str, typer.Argument()], *, count: int = 3) -> None:
            """Look at something."""
            self.calls.append((asked, name, count))

        app.command()(look)
        return app


def test_a_command_gets_the_common_options_as_one_and_keeps_its_own() -> None:
    heard = Heard()

    ran = CliRunner().invoke(
        heard.app(), ["it", "--network", "n", "--height", "5", "--rpc", "u", "--count", "4"]
    )

    asked, name, count = heard.calls[0]
    assert (ran.exit_code, name, count) == (0, "it", 4)
    assert asked == Asked("n", "u", asked.height, trust=False, as_json=False, max_age_s=600)
    assert (asked.height, asked.asking.nodes, asked.asking.max_age_s) == (5, ("u",), 600)


def test_without_options_the_newest_state_is_asked_for_with_proof() -> None:
    heard = Heard()

    CliRunner().invoke(heard.app(), ["it", "--network", "n"])

    asked, _, count = heard.calls[0]
    assert asked == Asked("n", None, asked.height, trust=False, as_json=False, max_age_s=600)
    assert (asked.height, count) == (0, 3)


def test_help_names_own_and_common_options() -> None:
    shown = CliRunner().invoke(Heard().app(), ["--help"], env={"COLUMNS": "200"}).output

    assert "Look at something." in shown
    assert all(option in shown for option in ("--count", "--height", "--trust", "--json", "--rpc"))


def test_an_empty_name_is_a_node_that_nobody_answers_for_and_not_the_usual_one() -> None:
    assert (named(None), named("")) == ((), ("",))


def test_pages_on_a_nodes_word_are_of_one_height_while_blocks_are_made() -> None:
    node = FakeNode({at: {b"a": b"1", b"b": b"1"} for at in range(1, 9)}, 3)
    source = Source(opened(node), None)

    async def main() -> None:
        page = await source.page(Listing(b"", limit=1))
        node.height += 3
        await source.page(Listing(b"", after=page.next_after))

    trio.run(main)

    assert node.asked == ["query 2"] * 3
