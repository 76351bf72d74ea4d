"""A chat chain behind real HTTP that takes transactions, for commands that send and look."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from abci_chat.machine import MACHINE as CHAT
from abci_chat.state import channels, epochs, identities, members
from abci_chat.state.channels import Channel, JoinRule, Kind, Policy, Role
from abci_chat.state.epochs import Epoch
from abci_chat.state.identities import Identity
from abci_chat.state.members import Member
from abci_currency.machine import MACHINE as CURRENCY
from dchat.kernel import signing
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.store import Draft
from dchat.node import network
from dchat.node.network import NetworkFile
from tests.conftest import Ran
from tests.dchat.cli.market import NAMES, PEOPLE, MarketNode, Setting, idle, running
from tests.fakes.people import identity_of
from tests.fakes.rpc_node import serving

PUBLIC, PRIVATE = b"\x0a" * 32, b"\x0b" * 32
EPOCH = 3
OPEN = Policy(Role.MEMBER, slow_mode_ms=0, retention_ms=0, join=JoinRule.OPEN)
POSTING_KEY = "dave"
"""Whose identity's key is the private channel's posting key."""


@dataclass(frozen=True)
class Lounge:
    """The chat node, its network file, and everybody's identity file beside it."""

    file: Path
    node: MarketNode
    dchat: Callable[..., Ran]

    def run(self, name: str, *words: object) -> Ran:
        """Run a command that sends something as somebody."""
        return self.dchat(*words, "--identity", self.identity(name), "--network", self.file)

    def query(self, *words: object) -> Ran:
        """Run `dchat query`."""
        return self.dchat("query", *words, "--network", self.file)

    def identity(self, name: str) -> Path:
        """Return somebody's identity file."""
        return self.file.with_name(f"{name}.json")


@contextmanager
def lounge(folder: Path, dchat: Callable[..., Ran], *settings: Setting) -> Generator[Lounge]:
    """Give a lounge where everybody but dave has credits, after two blocks on these settings."""

    node = running(CHAT, folder / "chat", settings)
    currency, file = idle(CURRENCY, folder / "currency"), folder / "network.toml"
    with serving(node) as url, serving(currency) as other:
        network.save(file, NetworkFile("test", (), node.entry(url), currency.entry(other)))
        yield Lounge(file, node, dchat)


def everybody_is_registered(draft: Draft) -> None:
    """Everybody but dave has an identity without a handle."""
    for name in NAMES[:3]:
        whose = identity_of(name)
        key = signing.public_key(whose.account_seed)
        record = Identity("", key, key, ("/x",), bytes(32), Height(0))
        identities.save(draft, whose.account_id, record)


def has_channels(policy: Policy = OPEN) -> Setting:
    """Alice owns a public and a private channel, bob and carol are members of the public one."""

    def begin(draft: Draft) -> None:
        owner, then = PEOPLE["alice"], EpochMs(0)
        for channel_id, kind in ((PUBLIC, Kind.PUBLIC), (PRIVATE, Kind.PRIVATE)):
            record = Channel(kind, owner, Amount(0), policy, channels.NO_GATE, then, then)
            channels.save(draft, channel_id, record)
        key = signing.public_key(identity_of(POSTING_KEY).account_seed)
        epochs.save(draft, PUBLIC, Epoch(EPOCH))
        epochs.save(draft, PRIVATE, Epoch(EPOCH, posting_key=key))
        for name in ("bob", "carol"):
            members.save(draft, PUBLIC, PEOPLE[name], Member(Role.MEMBER, then))

    return begin
