"""Files of posts that people keep and pass on: commitments, signed parts, proofs.

A file of commitments has one a line, 64 hexadecimal digits. A file of parts has one JSON object a
line: `author`, `device`, `counter`, `commitments`, `signature`. A proof is the canonical encoding
of `[first, commitment, proof]`, as reports of posts carry it (state/targets.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from abci_chat.state import post_proofs, targets
from abci_chat.state.post_proofs import Part
from abci_chat.state.targets import Shown
from abci_chat.txs.post import SignedPart
from dchat.kernel import accounts
from dchat.kernel.accounts import BadAccount
from dchat.kernel.errors import OperatorError
from dchat.kernel.headers import HASH_SIZE, merkle_root
from dchat.kernel.ids import AccountId

MAX_FILE_BYTES: Final = 1024 * 1024
PROOF_SUFFIX: Final = ".proof"
MISTAKES: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError, BadAccount)
"""What reading a line of other JSON, or of none, may run into."""

Leaves = tuple[bytes, ...]


class BadPosts(OperatorError):
    """The file holds no commitments, or no parts."""

    exit_code = 2
    hint = "one commitment a line, 64 hex digits; or one part a line, as sign-posts prints it"


@dataclass(frozen=True, slots=True)
class Signed:
    """A part with its commitments."""

    part: SignedPart
    leaves: Leaves


def keep_proofs(folder: Path, first: int, parts: Sequence[Part], leaves: Sequence[Leaves]) -> None:
    """Write the proof of each post into a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    number = first
    for at, own in enumerate(leaves):
        for place, leaf in enumerate(own):
            proof = post_proofs.prove(parts, at, own, place)
            file = folder / f"{number}{PROOF_SUFFIX}"
            file.write_bytes(targets.PROOF_OF_POST.encode(Shown(first, leaf, proof)))
            number += 1


def read_leaves(path: Path) -> Leaves:
    """Return the commitments in a file. Raises: BadPosts, OSError."""
    try:
        found = tuple([bytes.fromhex(line) for line in _lines(path)])
    except ValueError:
        found = ()
    if not found or any(len(each) != HASH_SIZE for each in found):
        raise BadPosts(f"{path} is no list of commitments")
    return found


def read_parts(path: Path) -> list[Signed]:
    """Return the parts in a file. Raises: BadPosts, OSError."""
    try:
        return [_parsed(json.loads(line)) for line in _lines(path)]
    except MISTAKES as fault:
        raise BadPosts(f"{path} is no list of parts: {fault}") from None


def _lines(path: Path) -> list[str]:
    with path.open("rb") as file:
        found = file.read(MAX_FILE_BYTES + 1)
    if len(found) > MAX_FILE_BYTES:
        raise BadPosts(f"{path} is larger than {MAX_FILE_BYTES} bytes")
    return [line for line in found.decode(errors="replace").splitlines() if line.strip()]


def _parsed(fields: object) -> Signed:
    """Return the part of one line. Raises: MISTAKES."""
    named = cast("dict[str, str]", fields)
    leaves = tuple([bytes.fromhex(each) for each in named["commitments"]])
    part = SignedPart(
        accounts.parse_account(named["author"]),
        bytes.fromhex(named["device"]),
        int(named["counter"]),
        len(leaves),
        merkle_root(leaves),
        bytes.fromhex(named["signature"]),
    )
    return Signed(part, leaves)


def line_of(signed: Signed) -> str:
    """Return the part as a line of a file."""
    part = signed.part
    fields = {
        "author": accounts.show_account(AccountId(part.author)),
        "device": part.device.hex(),
        "counter": part.counter,
        "commitments": [each.hex() for each in signed.leaves],
        "signature": part.signature.hex(),
    }
    return json.dumps(fields)
