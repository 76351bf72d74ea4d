"""The `dchat` command: finds the noun's module, runs it, and turns every fault into two lines.

A module is imported only when its noun is called: `dchat --help` must not load libp2p. Exit
status: 0 done, 1 failed, 2 wrong usage, 130 interrupted; nouns add their own (docs/cli.md).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final, Protocol, cast

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from dchat import __version__
from dchat.cli.show import printable
from dchat.kernel.errors import (
    DchatError,
    InvariantBroken,
    LocalProtocolError,
    OperatorError,
    TxRejected,
)
from dchat.kernel.refusals import REFUSALS

FAILED: Final = 1
MISUSED: Final = 2
INTERRUPTED: Final = 130
INTERRUPTS: Final = (typer.Abort, KeyboardInterrupt)
FAULTS: Final = (TyperException, DchatError, OSError)
BUGS: Final = (InvariantBroken, LocalProtocolError)


@dataclass(frozen=True, slots=True)
class Noun:
    """Where a command lives and what `dchat --help` says of it; a house test compares them."""

    module: str
    help: str


NOUNS: Final[Mapping[str, Noun]] = MappingProxyType(
    {
        "devnet": Noun(
            "dchat.cli.devnet",
            "Run both chains, a relay and two funded users on this machine, until Ctrl-C.",
        ),
        "user": Noun("dchat.cli.user", "Talk and pay in the terminal, or by lines from a pipe."),
        "keygen": Noun("dchat.cli.keygen", "Create an identity key file that only you can read."),
        "identity": Noun(
            "dchat.cli.identity", "Look into identity files; change an identity's key and handle."
        ),
        "relay": Noun("dchat.cli.relay", "Run a relay: it keeps envelopes for their recipients."),
        "validator": Noun("dchat.cli.validator", "Run a node of both chains."),
        "query": Noun("dchat.cli.query", "Ask the chains, and check their answers by proof."),
        "tx": Noun("dchat.cli.tx", "Send transactions and wait for their blocks."),
        "channel": Noun(
            "dchat.cli.channel", "Create channels, let people in and out, and post there."
        ),
        "gov": Noun("dchat.cli.gov", "Put something to the vote, and vote."),
        "moderation": Noun(
            "dchat.cli.moderation", "Report what should not be there, and judge reports for a bond."
        ),
        "genesis": Noun("dchat.cli.genesis", "Build and check genesis files."),
        "config": Noun("dchat.cli.config", "Look at settings."),
        "health": Noun("dchat.cli.health", "Ask a node for its health."),
    }
)


class NounModule(Protocol):
    """What every module in `NOUNS` offers."""

    def register(self, app: typer.Typer) -> None:
        """Add the noun's command or group to `app`."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the person reads on stderr, and the exit status."""

    message: str
    hint: str
    exit_code: int


def main() -> None:
    """Run the command line of this process; never returns."""
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit status; faults are told on stderr."""
    noun = args[0] if args else ""
    try:
        return _call(build(noun), args or ["--help"])
    except BaseException as fault:  # outermost loop: faults we know are told, bugs keep their trace
        leaves = tuple(_leaves(fault))
        if all(isinstance(leaf, INTERRUPTS) for leaf in leaves):
            return INTERRUPTED
        if not all(isinstance(leaf, FAULTS) and not isinstance(leaf, BUGS) for leaf in leaves):
            raise
        return _tell(judge(leaves[0], noun))


def build(noun: str) -> typer.Typer:
    """The application with `noun` in working order and every other noun by name and help only."""
    app = typer.Typer(
        name="dchat",
        help="Talk, pay and keep the dchat network running.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for name, entry in NOUNS.items():
        if name == noun:
            load(name).register(app)
        else:
            app.command(name, help=entry.help)(_not_loaded)
    return app


def load(noun: str) -> NounModule:
    """The module behind `noun`, imported."""
    return cast("NounModule", cast("object", importlib.import_module(NOUNS[noun].module)))


def judge(fault: BaseException, noun: str) -> Verdict:
    """What a fault means to the person who typed the command."""
    match fault:
        case OperatorError():
            return Verdict(str(fault), fault.hint, fault.exit_code)
        case TyperException():
            command = f"dchat {noun}" if noun in NOUNS else "dchat"
            return Verdict(fault.format_message(), f"run `{command} --help`", MISUSED)
        case TxRejected():
            refusal = REFUSALS[fault.code]
            return Verdict(f"refused, {refusal.name} ({fault.code}): {fault}", refusal.hint, FAILED)
        case OSError(strerror=str(reason), filename=str(path)):
            hint = "check the path, who may use it, and the space left"
            return Verdict(f"{path}: {reason}", hint, FAILED)
        case _:
            return Verdict(str(fault) or type(fault).__name__, "", FAILED)


def _call(app: typer.Typer, args: Sequence[str]) -> int:
    code: object = get_command(app).main(args=list(args), prog_name="dchat", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _leaves(fault: BaseException) -> Iterator[BaseException]:
    """The faults inside a nursery's groups, or the one fault itself."""
    if isinstance(fault, BaseExceptionGroup):
        for part in cast("BaseExceptionGroup[BaseException]", fault).exceptions:
            yield from _leaves(part)
    else:
        yield fault


def _tell(verdict: Verdict) -> int:
    typer.echo(f"dchat: error: {_line(verdict.message)}", err=True)
    if verdict.hint:
        typer.echo(f"dchat: hint: {_line(verdict.hint)}", err=True)
    return verdict.exit_code


def _line(message: str) -> str:
    """`message` in one printable line that starts in lower case, but for names like RPC."""
    line = printable(" ".join(message.split())).removesuffix(".")
    return line if line[1:2].isupper() else line[:1].lower() + line[1:]


def _show_version(wanted: bool) -> None:  # noqa: FBT001 -- Typer passes an option's value so
    if wanted:
        typer.echo(f"dchat {__version__}")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Hold the options that stand before every noun."""
    del version


def _not_loaded() -> None:
    """Stand in for a noun that this command line does not call."""
    raise LocalProtocolError("a noun was called that was not loaded")
