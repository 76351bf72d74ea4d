"""Opening identity files from the command line: the passphrase's ways in, and no others.

A passphrase comes from an owner-only file or a terminal, never from an argument or a variable,
where other processes could read it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dchat.kernel.errors import OperatorError
from dchat.node import identity
from dchat.node.identity import Identity


class PassphrasesDiffer(OperatorError):
    """The second time something else was typed."""

    exit_code = 7
    hint = "run it again"


PassphraseFile = Annotated[
    Path | None, typer.Option(help="Passphrase of a sealed identity, in a file of mode 0600.")
]


def unlock(file: Path, passphrase_file: Path | None = None) -> Identity:
    """Open an identity, asking for its passphrase where that is needed and a terminal is there.

    Raises: as `identity.load`.
    """
    opened, _ = unlock_and_keep(file, passphrase_file)
    return opened


def unlock_and_keep(
    file: Path, passphrase_file: Path | None = None
) -> tuple[Identity, bytes | None]:
    """Open an identity, and return what opened its seal too, for what is to be sealed alike.

    Raises: as `identity.load`.
    """
    sheet = identity.read(file)
    passphrase = identity.read_passphrase(passphrase_file) if passphrase_file else None
    if sheet.seal is not None and passphrase is None and sys.stdin.isatty():
        passphrase = ask(f"passphrase of {file.name}")
    opened = identity.open_sheet(file, sheet, passphrase)
    return opened, None if sheet.seal is None else passphrase


def ask(question: str, *, twice: bool = False) -> bytes | None:
    """Return what is typed without echo on the terminal, None for nothing.

    Raises: PassphrasesDiffer.
    """
    typed = _prompt(question)
    if twice and typed and _prompt("the same again") != typed:
        raise PassphrasesDiffer("the two passphrases differ; nothing was written")
    return typed.encode() or None


def _prompt(question: str) -> str:
    typed: str = typer.prompt(question, default="", show_default=False, hide_input=True, err=True)
    return typed
