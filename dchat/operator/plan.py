"""What `dchat validator` will run, worked out and checked before anything is started."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from dchat.kernel.errors import OperatorError
from dchat.node import identity, network
from dchat.node.address import Address, PeerAddress, parse_multiaddr
from dchat.node.config import ValidatorConfig
from dchat.node.files import read_bounded
from dchat.node.identity import Identity
from dchat.node.network import MAX_GENESIS_BYTES
from dchat.operator import beacon, chains, terms
from dchat.operator.bonding import Bonding
from dchat.operator.chains import Chain
from dchat.operator.home import Keys, check_genesis, read_genesis
from genesis.check import Summary, check

RPC_ABOVE_P2P: Final = 1
"""By convention a node's RPC port is the one above its peer port."""


class NoGenesis(OperatorError):
    """Nothing says how this chain begins."""

    hint = "give --network FILE, or --genesis-file for both chains, at the first start"


class WrongChain(OperatorError):
    """A genesis file is of another chain than the one to run."""

    hint = "--chain-id X names the chat chain; the currency chain is X-currency"


class BlockSizeDiffers(OperatorError):
    """The settings ask for a block size that genesis decided otherwise."""

    hint = "leave consensus.max_block_size out: genesis decides it for everybody"


@dataclass(frozen=True, slots=True)
class ChainPlan:
    """One chain's two processes: where they keep things, listen and whom they know."""

    chain: Chain
    home: Path
    state_dir: Path
    keys: Keys
    genesis: bytes
    summary: Summary
    p2p: Address
    rpc: Address
    known: Mapping[Address, str]
    """Node ids that the network file gives, by address."""
    bootstrap: tuple[PeerAddress, ...]
    names: Mapping[bytes, str]
    """What genesis calls its validators, by the address that their votes carry."""

    @property
    def rpc_url(self) -> str:
        """Where this machine reaches the node's RPC."""
        return f"http://{self.rpc.dialled()}"

    @property
    def is_founder(self) -> bool:
        """Whether this node's key is among the validators of genesis."""
        return self.keys.consensus_key in self.summary.validators


@dataclass(frozen=True, slots=True)
class ValidatorPlan:
    """Both chains, in starting order, and the settings they came from."""

    settings: ValidatorConfig
    data_dir: Path
    chains: tuple[ChainPlan, ...]
    bonding: Bonding | None = None
    """What the node is to stake once it runs."""


def plan(settings: ValidatorConfig) -> ValidatorPlan:
    """Return what to run; reads the identity, the genesis files and the network file.

    Raises: OperatorError for whatever is missing or does not fit together.
    """
    owner = identity.load(settings.validator.identity_file)
    found = network.load(settings.validator.network) if settings.validator.network else None
    given = _read_files(settings.validator.genesis_files)
    planned = [
        _plan_chain(settings, chain, owner, found, given)
        for chain in chains.both(settings.validator.chain_id)
    ]
    staked = _bonding(settings, owner, planned[0])
    return ValidatorPlan(settings, settings.validator.data_dir, tuple(planned), staked)


def _bonding(settings: ValidatorConfig, owner: Identity, currency: ChainPlan) -> Bonding | None:
    """Return what is to be staked on the currency chain; its genesis is asked whether it may be."""
    rules = currency.summary.rules
    if rules is not None:
        terms.check_rules(settings, rules)
        if not currency.is_founder:
            terms.check_stake(settings, rules)
    return terms.bonding_of(settings, owner, currency.keys.consensus, currency.chain.chain_id)


def keys_of(owner: Identity, name: chains.Name) -> Keys:
    """Return what a validator signs with on one chain, and what it draws with."""
    drawing = beacon.secret(owner) if name == "chat" else b""
    return Keys(owner.child(f"cometbft-node/{name}"), owner.child(f"consensus/{name}"), drawing)


def _plan_chain(
    settings: ValidatorConfig,
    chain: Chain,
    owner: Identity,
    found: network.NetworkFile | None,
    given: Mapping[str, bytes],
) -> ChainPlan:
    entry = _entry(found, chain)
    home = settings.validator.data_dir / chain.name
    content = _genesis(chain, home, entry, given)
    summary = _checked(settings, chain, content)
    keys = keys_of(owner, chain.name)
    steps = [parse_multiaddr(text) for text in settings.network.bootstrap_validators]
    return ChainPlan(
        chain=chain,
        home=home,
        state_dir=settings.state_dir / chain.name,
        keys=keys,
        genesis=content,
        summary=summary,
        p2p=chain.port(settings.network.listen_address),
        rpc=chain.port(settings.network.rpc_listen_address),
        known=_known(entry, keys.node_id),
        bootstrap=tuple(_on_chain(step, chain) for step in steps),
        names=_names(content),
    )


def _names(genesis: bytes) -> dict[bytes, str]:
    """Return the names in a genesis file that was checked; one without a name is left out."""
    members = cast("list[dict[str, object]]", json.loads(genesis)["validators"])
    named = [(str(each["address"]), str(each.get("name") or "")) for each in members]
    return {bytes.fromhex(address): name for address, name in named if name}


def _on_chain(peer: PeerAddress, chain: Chain) -> PeerAddress:
    """Return the peer's address on a chain; the id in a multiaddr is the chat chain's."""
    return PeerAddress(chain.port(peer.address), peer.peer_id if chain.name == "chat" else None)


def _entry(found: network.NetworkFile | None, chain: Chain) -> network.ChainEntry | None:
    if found is None:
        return None
    entry = found.chat if chain.name == "chat" else found.currency
    if entry.chain_id != chain.chain_id:
        raise WrongChain(f"the network file is of {entry.chain_id}, not of {chain.chain_id}")
    return entry


def _genesis(
    chain: Chain, home: Path, entry: network.ChainEntry | None, given: Mapping[str, bytes]
) -> bytes:
    """Return the genesis of a chain: from a flag, else the network file, else the last start."""
    content = given.get(chain.chain_id)
    if content is None and given:
        raise WrongChain(f"--genesis-file names {', '.join(sorted(given))}, not {chain.chain_id}")
    if content is None and entry is not None:
        content = network.read_genesis(entry)
    present = read_genesis(home)
    if content is None and present is None:
        raise NoGenesis(f"{home} is new and no genesis file for {chain.chain_id} was given")
    if content is not None:
        check_genesis(home, content)
    return content or present or b""


def _checked(settings: ValidatorConfig, chain: Chain, content: bytes) -> Summary:
    summary = check(content)
    if summary.chain_id != chain.chain_id:
        raise WrongChain(f"this genesis is of chain {summary.chain_id}, not {chain.chain_id}")
    wanted = settings.consensus.max_block_size
    if wanted is not None and wanted != summary.max_block_bytes:
        raise BlockSizeDiffers(
            f"max_block_size is {wanted}, genesis says {summary.max_block_bytes}"
        )
    return summary


def _read_files(paths: tuple[Path, ...]) -> dict[str, bytes]:
    """Return genesis files by the chain id each of them names."""
    found: dict[str, bytes] = {}
    for path in paths:
        content = read_bounded(path, MAX_GENESIS_BYTES)
        found[_chain_id(path, content)] = content
    return found


def _chain_id(path: Path, content: bytes) -> str:
    try:
        fields: object = json.loads(content)
    except (ValueError, RecursionError):
        raise WrongChain(f"{path} is not a genesis file") from None
    named = cast("dict[str, object]", fields).get("chain_id") if isinstance(fields, dict) else None
    if not isinstance(named, str):
        raise WrongChain(f"{path} is not a genesis file")
    return named


def _known(entry: network.ChainEntry | None, own_id: str) -> dict[Address, str]:
    known: dict[Address, str] = {}
    for seed in entry.seeds if entry else ():
        node_id, _, place = seed.partition("@")
        host, _, port = place.rpartition(":")
        if node_id != own_id:
            known[Address(host.strip("[]"), int(port))] = node_id
    return known
