"""Rosters: files in which the members of a private channel know each other.

    {"version": 1, "channel": HEX, "filling": HEX, "members": [{"account", "role", "blind"}, …]}

The chain knows the root of the tree alone. Leaves stand in it in ascending order, filling among
members, so a place tells nothing. Whoever has the file knows who is in, so only its owner may read
it; it is passed on by messages, and never replaced: each epoch has a file of its own.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final, cast

from abci_chat.state import hidden
from abci_chat.state.channels import CHANNEL_ID_BYTES, Role
from abci_chat.state.hidden import BLIND_BYTES, HiddenProof
from dchat.kernel import accounts
from dchat.kernel.accounts import BadAccount
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import AccountId
from dchat.node.identity import read_private, write_new

VERSION: Final = 1
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_MEMBERS: Final = hidden.SIZES[-1]
_FILLING_TAG: Final = b"dchat/channel-filling/v1"
_ROLES: Final = {role.name.lower(): role for role in (Role.MEMBER, Role.MODERATOR)}


class BadRoster(OperatorError):
    """The file is no roster, or not of this channel or account."""

    exit_code = 2
    hint = "use the file that dchat channel epoch --output wrote for this channel"


@dataclass(frozen=True, slots=True)
class Seat:
    """One member."""

    account: AccountId
    role: Role
    blind: bytes


@dataclass(frozen=True, slots=True)
class Roster:
    """All members of a private channel in one epoch, and what fills up their tree."""

    channel: bytes
    filling: bytes
    seats: tuple[Seat, ...]

    @property
    def size(self) -> int:
        """How many leaves the tree has. Raises: BadRoster."""
        found = hidden.size_of(len(self.seats))
        if found is None:
            raise BadRoster(f"{len(self.seats)} members, a channel has {MAX_MEMBERS} at most")
        return found

    def leaves(self) -> list[bytes]:
        """Return the leaves of the tree, in their order."""
        mine = [self.leaf(seat) for seat in self.seats]
        filling = [
            sha256(_FILLING_TAG + self.filling + at.to_bytes(8, "big")).digest()
            for at in range(self.size - len(mine))
        ]
        return sorted(mine + filling)

    def leaf(self, seat: Seat) -> bytes:
        """Return a member's leaf."""
        return hidden.leaf(self.channel, hidden.seat(seat.account, seat.blind), seat.role)

    def of(self, who: AccountId) -> Seat:
        """Return somebody's seat. Raises: BadRoster."""
        found = next((seat for seat in self.seats if seat.account == who), None)
        if found is None:
            raise BadRoster(f"{accounts.show_account(who)} is not on the roster")
        return found

    def proof(self, who: AccountId) -> HiddenProof:
        """Return what somebody shows to act. Raises: BadRoster."""
        seat, leaves = self.of(who), self.leaves()
        return hidden.prove(seat.role, seat.blind, leaves.index(self.leaf(seat)), leaves)

    def seating(self, who: AccountId, role: Role) -> Roster:
        """Return the roster with somebody in that role, with a fresh blind."""
        others = tuple([seat for seat in self.seats if seat.account != who])
        return replace(self, seats=(*others, Seat(who, role, secrets.token_bytes(BLIND_BYTES))))

    def without(self, who: AccountId) -> Roster:
        """Return the roster without somebody who is on it. Raises: BadRoster."""
        gone = self.of(who)
        return replace(self, seats=tuple([seat for seat in self.seats if seat != gone]))


def role_of(name: str) -> Role:
    """Return the role of that name. Raises: BadRoster."""
    if name not in _ROLES:
        raise BadRoster(f"{name!r} is neither {' nor '.join(_ROLES)}")
    return _ROLES[name]


def fresh(channel_id: bytes, seats: Sequence[Seat] = ()) -> Roster:
    """Return a roster whose tree nobody can tell from another of its class."""
    return Roster(channel_id, secrets.token_bytes(BLIND_BYTES), tuple(seats))


def load(path: Path, channel_id: bytes) -> Roster:
    """Return the roster of a channel. Raises: BadRoster, IdentityUnsafe, OSError."""
    try:
        found = _parsed(json.loads(read_private(path, MAX_FILE_BYTES)))
    except (ValueError, LookupError, TypeError, RecursionError, BadAccount) as fault:
        raise BadRoster(f"{path} is no roster: {fault}") from None
    if found.channel != channel_id:
        raise BadRoster(f"{path} is the roster of another channel")
    return found


def save(path: Path, roster: Roster) -> None:
    """Write a roster that is not there yet, for its owner only. Raises: IdentityExists."""
    members = [
        {
            "account": accounts.show_account(seat.account),
            "role": seat.role.name.lower(),
            "blind": seat.blind.hex(),
        }
        for seat in roster.seats
    ]
    sheet = {
        "version": VERSION,
        "channel": roster.channel.hex(),
        "filling": roster.filling.hex(),
        "members": members,
    }
    write_new(path, json.dumps(sheet, indent=1).encode() + b"\n")


def _parsed(sheet: Mapping[str, object]) -> Roster:
    if sheet["version"] != VERSION:
        raise ValueError(f"version {sheet['version']}")
    members = cast("Sequence[Mapping[str, object]]", sheet["members"])
    if len(members) > MAX_MEMBERS:
        raise ValueError("too many members")
    seats = tuple([_seat(each) for each in members])
    if len(frozenset(seat.account for seat in seats)) != len(seats):
        raise ValueError("somebody is on it twice")
    filling = _hex(sheet["filling"], BLIND_BYTES)
    return Roster(_hex(sheet["channel"], CHANNEL_ID_BYTES), filling, seats)


def _seat(each: Mapping[str, object]) -> Seat:
    account = accounts.parse_account(str(each["account"]))
    return Seat(account, _ROLES[str(each["role"])], _hex(each["blind"], BLIND_BYTES))


def _hex(value: object, size: int) -> bytes:
    found = bytes.fromhex(str(value))
    if len(found) != size:
        raise ValueError(f"{value!r} is not {size} bytes in hex")
    return found
