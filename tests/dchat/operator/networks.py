"""The files of a small network: validators, funded people, genesis and network file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from abci_currency.genesis import Rules
from abci_currency.params import Staking
from dchat.kernel.amounts import UNIT
from dchat.kernel.ids import Amount
from dchat.node import identity
from dchat.node.clock import SystemClock
from dchat.node.identity import Identity
from dchat.operator import beacon, chains
from dchat.operator.chains import Chain
from dchat.operator.plan import keys_of
from dchat.operator.ports import Ports
from genesis import build
from genesis.settings import (
    AccountEntry,
    ChainSettings,
    Economy,
    GenesisSettings,
    NetworkSettings,
    ValidatorEntry,
)

FUNDS = Amount(10**13)
STAKE = Amount(10 * UNIT)
"""Ten units of voting power; a founder has as much again to spend."""
ECONOMY = Economy(Rules(staking=Staking(min_validator_stake=STAKE)))


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


def four(folder: Path, places: Sequence[Ports]) -> Network:
    """Write the files of a network whose i-th validator listens in the i-th place.

    Its genesis lies ten minutes back: a node whose clock is behind would wait for it.
    """
    owners = [
        identity.create(folder / f"validator-{number}.json", "node")
        for number in range(1, len(places) + 1)
    ]
    rich = identity.create(folder / "rich.json", "node")
    plain = GenesisSettings(
        "test",
        (SystemClock().now() // 1000 - 600) * 10**9,
        tuple(_founder(f"validator-{n}", owner) for n, owner in enumerate(owners, 1)),
        (AccountEntry(rich.account_id, FUNDS, FUNDS), *map(_funded, owners)),
        NetworkSettings("test", (), 604_800),
        economy=ECONOMY,
    )
    currency, chat = chains.both("test")
    reached = replace(
        plain,
        chat=_reached(plain.chat, chat, owners, places),
        currency=_reached(plain.currency, currency, owners, places),
    )
    paths = build.write(reached, folder)
    return Network(folder, folder / "validator-1.json", paths[-1])


def _founder(name: str, owner: Identity) -> ValidatorEntry:
    chat, currency = keys_of(owner, "chat"), keys_of(owner, "currency")
    keys = chat.consensus_key, currency.consensus_key
    bound = ValidatorEntry(name, owner.account_id, STAKE, *keys)
    return replace(bound, beacon_head=beacon.head(owner, "test"), beacon_length=beacon.LENGTH)


def _funded(owner: Identity) -> AccountEntry:
    return AccountEntry(owner.account_id, Amount(2 * STAKE), FUNDS)


def _reached(
    settings: ChainSettings, chain: Chain, owners: Sequence[Identity], places: Sequence[Ports]
) -> ChainSettings:
    seeds = [
        f"{keys_of(owner, chain.name).node_id}@127.0.0.1:{place.p2p + chain.port_step}"
        for owner, place in zip(owners, places, strict=True)
    ]
    rpc = [f"http://127.0.0.1:{place.rpc + chain.port_step}" for place in places]
    return replace(settings, rpc=tuple(rpc), seeds=tuple(seeds))


def network(folder: Path, people: Sequence[bytes] = (), rpc_port: int = 26_657) -> Network:
    """Write the files. `people` are public keys whose accounts are funded on both chains."""
    owner = identity.create(folder / "validator.json", "node")
    rich = identity.create(folder / "rich.json", "node")
    held = [AccountEntry(rich.account_id, FUNDS, FUNDS), _funded(owner)]
    held += [
        AccountEntry(identity.Identity("node", key, b"").account_id, FUNDS, FUNDS) for key in people
    ]
    settings = GenesisSettings(
        "test",
        SystemClock().now() // 1000 * 10**9,
        (_founder("one", owner),),
        tuple(held),
        NetworkSettings("test", (), 604_800),
        economy=ECONOMY,
    )
    reached = replace(
        settings,
        chat=replace(settings.chat, rpc=(f"http://127.0.0.1:{rpc_port}",)),
        currency=replace(settings.currency, rpc=(f"http://127.0.0.1:{rpc_port + 10}",)),
    )
    paths = build.write(reached, folder)
    return Network(folder, folder / "validator.json", paths[-1])
