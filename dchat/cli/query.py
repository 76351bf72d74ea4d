"""`dchat query`: what the chains hold, proved unless told otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import trio
import typer

from abci_chat import keys as chat_keys
from abci_chat.state import handles
from abci_chat.state.identities import IDENTITY, MAX_HANDLE_BYTES
from dchat.cli import (
    checked,
    digits,
    listing,
    query_beacon,
    query_channels,
    query_gov,
    query_keys,
    query_moderation,
    query_posts,
    query_relays,
    query_reputation,
    query_rewards,
    query_slashing,
    query_staking,
    query_supply,
    query_vesting,
)
from dchat.cli.asking import (
    Asked,
    Fields,
    MaxAge,
    Node,
    NotThere,
    Source,
    Trusting,
    answer,
    asking,
    named,
    show_answer,
)
from dchat.cli.chains import Chain, Network, entry_of, with_chain
from dchat.cli.checked import Checked, NoProof, Proof
from dchat.cli.show import Json, Value, tokens
from dchat.kernel import accounts
from dchat.kernel.accounts import Account, AccountId
from dchat.kernel.errors import OperatorError, ProtocolError
from dchat.kernel.ids import Height, TxHash
from dchat.node import network as networks
from dchat.node.chain import MAX_AGE_S, Asking, OpenChain
from dchat.node.network import ChainEntry
from dchat.node.outcome import prove_outcome
from dchat.node.rfc3339 import show_time
from dchat.node.rpc import Chain as Rpc
from dchat.node.rpc import Included, NodeUnreachable, connect

TX_HASH_BYTES = 32
STATUS_PATIENCE_S = 5.0
ECONOMY = (
    *(query_supply, query_staking, query_rewards),
    *(query_slashing, query_vesting, query_relays),
)
"""The files with the currency chain's own queries."""
SOCIETY = (
    query_beacon,
    query_channels,
    query_gov,
    query_keys,
    query_moderation,
    query_posts,
    query_reputation,
)
"""The files with the chat chain's own queries."""

Account_ = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Account id, dchat1….")]


def register(app: typer.Typer) -> None:
    """Add the `query` group to `app`."""
    group = typer.Typer(help="Ask the chains, and check their answers by proof.")
    group.callback()(_group)
    group.command("account")(account)
    group.command("balance")(balance)
    group.command("identity")(identity)
    group.command("block")(block)
    group.command("tx")(tx)
    group.command("status")(status)
    group.command("entries")(listing.entries)
    group.command("roots")(listing.roots)
    for own in (*ECONOMY, *SOCIETY):
        own.register(group)
    app.add_typer(group, name="query")


@asking
def account(asked: Asked, account_id: Account_, *, chain: Chain = "currency") -> None:
    """Show an account's key, next nonce and balance; one never seen has nothing."""
    wanted = accounts.key(accounts.parse_account(account_id))

    async def ask(source: Source) -> Fields:
        held = _decode(await source.value(wanted))
        return {
            "account": account_id,
            "public_key": held.public_key or None,
            "key_version": held.key_version,
            "nonce": held.nonce,
            "balance_base_units": held.balance,
        }

    answer(asked, chain, ask)


@asking
def balance(asked: Asked, account_id: Account_) -> None:
    """Show what an account holds on the currency chain."""
    wanted = accounts.key(accounts.parse_account(account_id))

    async def ask(source: Source) -> Fields:
        held = _decode(await source.value(wanted))
        return {"account": account_id, "balance": tokens(held.balance)}

    answer(asked, "currency", ask)


@asking
def identity(
    asked: Asked,
    handle: Annotated[str, typer.Argument(help="Handle on the chat chain, or an account id.")],
) -> None:
    """Show the keys and home relays behind a handle."""

    async def ask(source: Source) -> Fields:
        owner = await _owner(source, handle)
        record = await source.value(chat_keys.identity(owner))
        if record is None:
            raise NotThere(f"no identity is registered for {handle!r}")
        found = IDENTITY.decode(record)
        return {
            "handle": found.handle,
            "account": accounts.show_account(owner),
            "public_key": found.public_key,
            "inbox_key": found.inbox_key,
            "home_relays": found.home_relays,
            "prekey_hash": found.prekey_hash,
            "registered_at": found.registered_at,
            "deactivated": bool(found.deactivated_at),
            "key_log_entries": found.log_length,
            "key_log_head": found.log_head,
        }

    answer(asked, "chat", ask)


def block(  # noqa: PLR0913 -- Typer: one parameter per option
    height: Annotated[
        int | None, typer.Argument(min=1, help="Height; the newest when absent.")
    ] = None,
    *,
    network: Network,
    chain: Chain = "currency",
    rpc: Node = None,
    max_age: MaxAge = MAX_AGE_S,
    as_json: Json = False,
) -> None:
    """Show a block's header, verified from the root of trust."""

    async def ask(opened: OpenChain) -> Proof:
        reader = opened.reader
        found = await (reader.latest() if height is None else reader.header(Height(height)))
        return checked.proof(opened, found, "header")

    asking = Asking(named(rpc), max_age)
    proof = with_chain(entry_of(network, chain), ask, asking)
    fields: Fields = {
        "height": proof.block.height,
        "time": show_time(proof.block.time_ns),
        "header_hash": proof.block.header_hash,
        "app_hash": proof.block.app_hash,
        "validators": len(proof.block.next_validators.validators),
    }
    show_answer(fields, proof, as_json=as_json)


def tx(  # noqa: PLR0913 -- Typer: one parameter per option
    tx_hash: Annotated[str, typer.Argument(metavar="HASH", help="Hash, as `tx send` prints it.")],
    *,
    network: Network,
    chain: Chain = "currency",
    rpc: Node = None,
    wait_s: Annotated[float, typer.Option(min=0, help="Seconds to wait for its block.")] = 1.0,
    trust: Trusting = False,
    max_age: MaxAge = MAX_AGE_S,
    as_json: Json = False,
) -> None:
    """Show what became of a transaction: its block and its result are proved by the next header."""
    wanted = TxHash(digits.parse(tx_hash, "a transaction hash"))

    async def believe(opened: OpenChain) -> tuple[Included, Checked]:
        return await opened.rpc.wait_for(wanted, wait_s), NoProof(checked.TRUSTED)

    async def verify(opened: OpenChain) -> tuple[Included, Checked]:
        found = await prove_outcome(opened.reader, opened.rpc, wanted, wait_s)
        proved = checked.proof(opened, found.block, "result")
        return found.included, replace(proved, note="; its log is the node's word")

    way = believe if trust else verify
    found, proof = with_chain(entry_of(network, chain), way, Asking(named(rpc), max_age))
    fields: Fields = {
        "hash": found.tx_hash,
        "height": found.height,
        "code": found.code,
        "log": found.log,
        "cost_used": found.cost_used,
        "cost_limit": found.cost_wanted,
    }
    show_answer(fields, proof, as_json=as_json)


def status(*, network: Network, as_json: Json = False) -> None:
    """Show how far every node of the network file says it is."""
    found = networks.load_named(network)
    rows = trio.run(_statuses, (("chat", found.chat), ("currency", found.currency)))
    show_answer({"nodes": rows}, NoProof("each node speaks for itself"), as_json=as_json)
    if not any(row["height"] for row in rows):
        raise NodeUnreachable("no node of the network file answers")


async def _statuses(chains: tuple[tuple[str, ChainEntry], ...]) -> list[Fields]:
    """Return a row for every node of both chains, in the order of the network file."""
    found: dict[tuple[str, str], Fields] = {}

    async def ask(name: str, entry: ChainEntry, node: Rpc) -> None:
        found[name, node.url] = await _status(name, entry, node)

    for name, entry in chains:
        async with connect(entry.rpc) as everyone, trio.open_nursery() as nursery:
            for node in everyone.each():
                nursery.start_soon(ask, name, entry, node)
    return [found[name, url] for name, entry in chains for url in entry.rpc]


async def _status(name: str, entry: ChainEntry, node: Rpc) -> Fields:
    row: dict[str, Value] = {"chain": name, "node": node.url, "height": None, "time": None}
    try:
        with trio.fail_after(STATUS_PATIENCE_S):
            said = await node.status()
    except (OperatorError, ProtocolError, trio.TooSlowError) as fault:
        return {**row, "state": f"unreachable: {fault or 'no answer in time'}"}
    if said.chain_id != entry.chain_id:
        return {**row, "state": f"of another chain, {said.chain_id}"}
    state = "catching up" if said.catching_up else "in step"
    return {**row, "height": said.height, "time": show_time(said.time_ns), "state": state}


async def _owner(source: Source, handle: str) -> AccountId:
    """Return whose handle it is; an account id names its own. Raises: NotThere."""
    if len(handle) > MAX_HANDLE_BYTES:
        return accounts.parse_account(handle)
    record = await source.value(chat_keys.handle(handles.skeleton(handle)))
    owner = handles.holder(record, handle)
    if owner is None:
        raise NotThere(f"nobody has the handle {handle!r}{_alike(record, handle)}")
    return owner


def _alike(record: bytes | None, handle: str) -> str:
    found = handles.HANDLE.decode(record) if record else None
    if found is None or found.free_from or found.name == handle:
        return ""
    return f", though somebody has {found.name!r}, which looks like it"


def _decode(record: bytes | None) -> Account:
    return accounts.decode(record) if record else accounts.EMPTY


def _group() -> None:
    """Ask the chains, and check their answers by proof."""
