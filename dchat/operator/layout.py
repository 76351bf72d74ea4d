"""What a devnet consists of, and where each part lies in its directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dchat.operator.ports import Ports

USERS: Final = ("alice", "bob")
FOLDERS: Final = ("identities", "passphrases", "relay", "users", "logs")
"""Beside one folder for each node."""
MOST: Final = 16
"""Validators, or full nodes, of one devnet: each is six processes."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many nodes of each kind; genesis fixes the first number."""

    validators: int = 1
    full_nodes: int = 0

    @property
    def nodes(self) -> int:
        """All nodes together."""
        return self.validators + self.full_nodes


@dataclass(frozen=True, slots=True)
class Member:
    """One `dchat validator` process; a full node is one whose keys are not in genesis."""

    name: str
    place: int
    """Counted from 0; decides the ports."""
    validates: bool


@dataclass(frozen=True, slots=True)
class Estate:
    """A devnet on disk."""

    root: Path
    name: str
    ports: Ports
    size: Size = Size()

    @property
    def validators(self) -> tuple[Member, ...]:
        """The founders, first place first."""
        return tuple(
            Member(f"validator-{n + 1}", n, validates=True) for n in range(self.size.validators)
        )

    @property
    def members(self) -> tuple[Member, ...]:
        """Every node: the validators, then the full nodes."""
        followers = range(self.size.full_nodes)
        after = self.size.validators
        full = tuple(Member(f"full-node-{n + 1}", after + n, validates=False) for n in followers)
        return (*self.validators, *full)

    def ports_of(self, member: Member) -> Ports:
        """Where that node listens."""
        return self.ports.at(member.place)

    def identity(self, who: str) -> Path:
        """Identity file of a node, the relay, or a user."""
        return self.root / "identities" / f"{who}.json"

    def passphrase(self, user: str) -> Path:
        """Passphrase file of a user."""
        return self.root / "passphrases" / f"{user}.txt"

    def user_dir(self, user: str) -> Path:
        """Where a user's client keeps its messages."""
        return self.root / "users" / user

    def settings(self, who: str) -> Path:
        """Settings file of a node or the relay."""
        return self.root / f"{who}.toml"

    @property
    def network(self) -> Path:
        """The network file."""
        return self.root / "network.toml"
