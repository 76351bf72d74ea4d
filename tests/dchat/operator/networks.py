"""The files of a small network: one validator, funded people, genesis and network file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dchat.kernel.ids import Amount
from dchat.node import identity
from dchat.node.clock import SystemClock
from dchat.operator.plan import keys_of
from genesis import build
from genesis.settings import AccountEntry, GenesisSettings, NetworkSettings, ValidatorEntry

FUNDS = Amount(10**13)


@dataclass(frozen=True)
class Network:
    """Where the files are."""

    folder: Path
    identity: Path
    file: Path

    def change(self, old: str, new: str) -> None:
        """Replace the first occurrence in the network file."""
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new, 1))


def network(folder: Path, people: Sequence[bytes] = (), rpc_port: int = 26_657) -> Network:
    """Write the files. `people` are public keys whose accounts are funded on both chains."""
    owner = identity.create(folder / "validator.json", "node")
    rich = identity.create(folder / "rich.json", "node")
    chat, currency = keys_of(owner, "chat"), keys_of(owner, "currency")
    held = [AccountEntry(rich.account_id, FUNDS, FUNDS)]
    held += [
        AccountEntry(identity.Identity("node", key, b"").account_id, FUNDS, FUNDS) for key in people
    ]
    settings = GenesisSettings(
        "test",
        SystemClock().now() // 1000 * 10**9,
        (ValidatorEntry("one", 10, chat.consensus_key, currency.consensus_key),),
        tuple(held),
        NetworkSettings("test", (), 604_800),
    )
    reached = replace(
        settings,
        chat=replace(settings.chat, rpc=(f"http://127.0.0.1:{rpc_port}",)),
        currency=replace(settings.currency, rpc=(f"http://127.0.0.1:{rpc_port + 10}",)),
    )
    paths = build.write(reached, folder)
    return Network(folder, folder / "validator.json", paths[-1])
