"""The file that holds what a validator's contributions are made from."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dchat.kernel.errors import OperatorError
from dchat.node import identity

SECRET_BYTES: Final = 32


class SecretUnreadable(OperatorError):
    """The file is not there, or not a secret."""

    hint = "dchat validator writes it anew from its identity at every start"


def read(path: Path) -> bytes:
    """Return the secret in a file that its owner alone can read.

    Raises: SecretUnreadable; IdentityUnsafe, IdentityMalformed for a file that others can read or
    write, or that is none.
    """
    try:
        content = identity.read_private(path, SECRET_BYTES)
    except (OSError, ValueError) as fault:
        raise SecretUnreadable(f"{path}: {fault}") from None
    if len(content) != SECRET_BYTES:
        raise SecretUnreadable(f"{path} has {len(content)} bytes, a secret {SECRET_BYTES}")
    return content
