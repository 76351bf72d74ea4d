from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable

import pytest
import typer

from dchat import __version__
from dchat.cli import main
from dchat.cli.main import Verdict
from dchat.kernel.errors import InsufficientFunds, InvariantBroken, OperatorError
from tests.conftest import Ran

Dchat = Callable[..., Ran]


class Unplugged(OperatorError):
    """A fault of its own for these tests."""

    exit_code = 42
    hint = "plug it in"


def raising(fault: BaseException) -> typer.Typer:
    def fail() -> None:
        raise fault

    app = typer.Typer()
    app.callback()(lambda: None)
    app.command()(fail)
    return app


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch, dchat: Dchat) -> Callable[[BaseException], Ran]:
    """Run a command line whose command raises the given fault."""

    def run(fault: BaseException) -> Ran:
        monkeypatch.setattr(main, "build", lambda _noun: raising(fault))
        return dchat("fail")

    return run


def test_version_is_printed(dchat: Dchat) -> None:
    assert dchat("--version") == Ran(0, f"dchat {__version__}\n", "")


def test_without_arguments_every_noun_is_listed(dchat: Dchat) -> None:
    ran = dchat()

    listed = [line.split()[0] for line in ran.out.partition("Commands:\n")[2].splitlines()]
    assert (ran.code, listed, ran.err) == (0, list(main.NOUNS), "")


def test_help_loads_no_command_and_no_third_party_network_code() -> None:
    code = (
        "import sys; from dchat.cli import main; main.run(['--help']);"
        "sys.exit(any(m in sys.modules for m in ('trio', 'httpx', 'libp2p', 'dchat.cli.keygen')))"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)

    assert done.returncode == 0


@pytest.mark.parametrize("noun", main.NOUNS)
def test_a_listed_noun_says_of_itself_what_the_list_says(noun: str, dchat: Dchat) -> None:
    ran = dchat(noun, "--help")

    assert ran.code == 0
    assert main.NOUNS[noun].help in " ".join(ran.out.split())


@pytest.mark.parametrize(
    ("args", "error", "hint"),
    [
        (("keygn",), "no such command 'keygn'. Did you mean 'keygen'?", "run `dchat --help`"),
        (("--frob",), "no such option: --frob", "run `dchat --help`"),
        (("keygen", "--frob"), "no such option: --frob", "run `dchat keygen --help`"),
        (("identity",), "missing command", "run `dchat identity --help`"),
        (("\x1b[2J",), "no such command '\\x1b[2J'", "run `dchat --help`"),
    ],
)
def test_wrong_usage_is_told_in_two_lines(
    args: tuple[str, ...], error: str, hint: str, dchat: Dchat
) -> None:
    assert dchat(*args) == Ran(2, "", f"dchat: error: {error}\ndchat: hint: {hint}\n")


def test_an_operator_error_gives_its_hint_and_status(
    fails: Callable[[BaseException], Ran],
) -> None:
    told = "dchat: error: the relay is off\ndchat: hint: plug it in\n"

    assert fails(Unplugged("The relay\nis off.")) == Ran(42, "", told)


def test_a_message_cannot_steer_the_terminal(fails: Callable[[BaseException], Ran]) -> None:
    told = "dchat: error: off \\x1b[2J\ndchat: hint: plug it in\n"

    assert fails(Unplugged("off \x1b[2J")).err == told


def test_a_fault_inside_a_nursery_is_told_the_same(fails: Callable[[BaseException], Ran]) -> None:
    group = BaseExceptionGroup("nursery", [BaseExceptionGroup("inner", [Unplugged("off")])])

    assert fails(group).code == Unplugged.exit_code


def test_an_interrupt_inside_a_nursery_is_quiet(fails: Callable[[BaseException], Ran]) -> None:
    assert fails(BaseExceptionGroup("nursery", [KeyboardInterrupt()])) == Ran(130, "", "")


def test_an_unknown_fault_keeps_its_traceback(fails: Callable[[BaseException], Ran]) -> None:
    with pytest.raises(BaseExceptionGroup):
        fails(BaseExceptionGroup("nursery", [Unplugged("off"), ZeroDivisionError()]))


def test_a_broken_invariant_keeps_its_traceback(fails: Callable[[BaseException], Ran]) -> None:
    with pytest.raises(InvariantBroken):
        fails(InvariantBroken("supply"))


def test_a_refusal_shows_name_numbers_and_hint() -> None:
    assert main.judge(InsufficientFunds(3, 4), "tx") == Verdict(
        "refused, InsufficientFunds (21): holds 3 base units, needs 4",
        "lower the amount or fund the account",
        1,
    )


def test_a_system_fault_names_the_file() -> None:
    fault = OSError(errno.ENOSPC, "No space left on device", "/data/x")

    verdict = main.judge(fault, "relay")

    assert (verdict.message, verdict.exit_code) == ("/data/x: No space left on device", 1)
    assert "the space left" in verdict.hint
