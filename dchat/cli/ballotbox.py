"""Private ballots as their voter keeps them: what to reveal, in an owner-only file.

The file lies beside the identity file, one for each chain, account and proposal:

    {"version": 1, "ballots": [{"choice": "yes", "salt": "…", "commitment": "…"}, …]}

Every ballot that was ever made for the proposal is in it, the newest last: which of them the chain
took, its commitment tells. It is written before the ballot is sent, so none is on the chain that
could not be revealed. Whoever reads it knows the vote; whoever loses it loses the bond.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from abci_chat.state import ballots
from abci_chat.state.ballots import Choice
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import AccountId, ChainId
from dchat.node.files import read_bounded
from dchat.operator.home import replace_file

VERSION: Final = 1
MODE: Final = 0o600
MAX_BALLOTS: Final = 64
MAX_BYTES: Final = 64 * 1024
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")
_ACCOUNT_DIGITS: Final = 8


class NoBallot(OperatorError):
    """What the chain has of the voter is in no file here. Attribute: path."""

    exit_code = 11

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}", "bring the file that dchat gov vote --private has kept")
        self.path = path


class TooManyBallots(OperatorError):
    """The file is full: a ballot that is not kept could never be revealed."""

    hint = "keep the vote that is on the chain, or vote openly"


@dataclass(frozen=True, slots=True)
class Kept:
    """A private ballot that can be revealed."""

    choice: Choice
    salt: bytes = field(repr=False)
    commitment: bytes


@dataclass(frozen=True, slots=True)
class Vote:
    """Whose ballot on what."""

    chain_id: ChainId
    proposal: int
    voter: AccountId

    def file(self, identity_file: Path) -> Path:
        """Return where the ballots of an identity are kept."""
        chain, who = _UNSAFE.sub("_", self.chain_id), self.voter.hex()[:_ACCOUNT_DIGITS]
        name = f"{identity_file.stem}.ballot-{chain}-{self.proposal}-{who}.json"
        return identity_file.with_name(name)


def keep(path: Path, vote: Vote, choice: Choice) -> Kept:
    """Make a private ballot and add it to the file. Raises: NoBallot, TooManyBallots, OSError."""
    before = load(path) if path.exists() else ()
    if len(before) >= MAX_BALLOTS:
        raise TooManyBallots(f"{path} holds {len(before)} ballots already")
    salt = secrets.token_bytes(ballots.SALT_BYTES)
    made = ballots.commitment(vote.chain_id, vote.proposal, vote.voter, choice, salt)
    kept = Kept(choice, salt, made)
    replace_file(path, _document((*before, kept)), MODE)
    return kept


def find(path: Path, commitment: bytes) -> Kept:
    """Return the ballot that the chain took. Raises: NoBallot, OSError."""
    if not path.exists():
        raise NoBallot(path, "there is no such file")
    for each in load(path):
        if each.commitment == commitment:
            return each
    raise NoBallot(path, "the ballot on the chain is not in it")


def load(path: Path) -> tuple[Kept, ...]:
    """Return all ballots in the file, the newest last. Raises: NoBallot, OSError."""
    try:
        document = cast("Mapping[str, object]", json.loads(read_bounded(path, MAX_BYTES)))
        if document["version"] != VERSION:
            raise NoBallot(path, f"version {document['version']} is not known here")
        rows = cast("list[Mapping[str, str]]", document["ballots"])
        return tuple([_kept(row) for row in rows])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise NoBallot(path, "it is not a file of ballots") from fault


def _kept(row: Mapping[str, str]) -> Kept:
    salt, commitment = bytes.fromhex(row["salt"]), bytes.fromhex(row["commitment"])
    if len(salt) != ballots.SALT_BYTES:
        raise ValueError("no ballot has such a salt")
    return Kept(Choice[row["choice"].upper()], salt, commitment)


def _document(all_of: tuple[Kept, ...]) -> bytes:
    rows = [
        {
            "choice": each.choice.name.lower(),
            "salt": each.salt.hex(),
            "commitment": each.commitment.hex(),
        }
        for each in all_of
    ]
    return json.dumps({"version": VERSION, "ballots": rows}, indent=2).encode() + b"\n"
