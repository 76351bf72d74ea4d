"""`dchat query`: what the chains hold, proved unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from abci_chat import keys as chat_keys
from abci_chat.state import IDENTITY
from dchat.cli.chains import (
    Chain,
    Network,
    entry_of,
    show_checked,
    with_chain,
)
from dchat.cli.show import Json, Value, show
from dchat.kernel import accounts, params
from dchat.kernel.accounts import ACCOUNT_ID, Account
from dchat.kernel.amounts import show_amount
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import Height, TxHash
from dchat.kernel.light import TrustedBlock
from dchat.node.chain import OpenChain

TX_HASH_BYTES = 32

Trusting = Annotated[
    bool, typer.Option("--trust", help="Believe the node: no header, no proof, not checked.")
]
Account_ = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Account id, dchat1….")]


class NotThere(OperatorError):
    """The chain holds nothing under that name."""

    exit_code = 11
    hint = "check the spelling; what was just sent is there one block later"


class BadHash(OperatorError):
    """The text is not a transaction hash."""

    exit_code = 2
    hint = "a transaction hash is 64 hexadecimal digits, as `dchat tx send` prints it"


@dataclass(frozen=True, slots=True)
class _Source:
    """Values with proofs under one header, or on the node's word where there is none."""

    chain: OpenChain
    block: TrustedBlock | None

    async def value(self, key: bytes) -> bytes | None:
        if self.block is None:
            return await self.chain.ask("/store", key) or None
        return (await self.chain.reader.read_at(self.block, key)).value

    @property
    def checked(self) -> Value:
        return show_checked(self.block) if self.block else "nothing: --trust was given"


def register(app: typer.Typer) -> None:
    """Add the `query` group to `app`."""
    group = typer.Typer(help="Ask the chains, and check their answers by proof.")
    group.callback()(_group)
    for command in (account, balance, identity, block, tx):
        group.command()(command)
    group.command("params")(parameters)
    app.add_typer(group, name="query")


def account(
    account_id: Account_,
    *,
    network: Network,
    chain: Chain = "currency",
    trust: Trusting = False,
    as_json: Json = False,
) -> None:
    """Show an account's key, next nonce and balance."""
    wanted = accounts.key(accounts.parse_account(account_id))

    async def ask(opened: OpenChain) -> Value:
        source = await _source(opened, trust=trust)
        held = _decode(await source.value(wanted))
        return {
            "account": account_id,
            "public_key": held.public_key or None,
            "key_version": held.key_version,
            "nonce": held.nonce,
            "balance_base_units": held.balance,
            "proved_by": source.checked,
        }

    show(with_chain(entry_of(network, chain), ask), as_json=as_json)


def balance(
    account_id: Account_,
    *,
    network: Network,
    trust: Trusting = False,
    as_json: Json = False,
) -> None:
    """Show what an account holds on the currency chain."""
    wanted = accounts.key(accounts.parse_account(account_id))

    async def ask(opened: OpenChain) -> Value:
        source = await _source(opened, trust=trust)
        held = _decode(await source.value(wanted))
        return {
            "account": account_id,
            "balance": f"{show_amount(held.balance)} DCHAT",
            "proved_by": source.checked,
        }

    show(with_chain(entry_of(network, "currency"), ask), as_json=as_json)


def identity(
    handle: Annotated[str, typer.Argument(help="Handle on the chat chain.")],
    *,
    network: Network,
    trust: Trusting = False,
    as_json: Json = False,
) -> None:
    """Show the keys and home relays behind a handle."""

    async def ask(opened: OpenChain) -> Value:
        source = await _source(opened, trust=trust)
        owner = await source.value(chat_keys.handle(handle))
        if owner is None:
            raise NotThere(f"nobody has the handle {handle!r}")
        account_id = ACCOUNT_ID.decode(owner)
        record = await source.value(chat_keys.identity(accounts.AccountId(account_id)))
        if record is None:
            raise NotThere(f"no identity behind the handle {handle!r}")
        found = IDENTITY.decode(record)
        return {
            "handle": found.handle,
            "account": accounts.show_account(accounts.AccountId(account_id)),
            "public_key": found.public_key,
            "inbox_key": found.inbox_key,
            "home_relays": found.home_relays,
            "prekey_hash": found.prekey_hash,
            "registered_at": found.registered_at,
            "proved_by": source.checked,
        }

    show(with_chain(entry_of(network, "chat"), ask), as_json=as_json)


def parameters(
    *,
    network: Network,
    chain: Chain = "currency",
    trust: Trusting = False,
    as_json: Json = False,
) -> None:
    """Show a chain's prices and bounds."""

    async def ask(opened: OpenChain) -> Value:
        source = await _source(opened, trust=trust)
        value = await source.value(params.KEY)
        rules = params.SHAPE.decode(value) if value else params.DEFAULT
        return {
            "fee_per_1000_cost": rules.fee_per_1000_cost,
            "max_block_cost": rules.max_block_cost,
            "max_block_bytes": rules.max_block_bytes,
            "max_validity_blocks": rules.max_validity_blocks,
            "proved_by": source.checked,
        }

    show(with_chain(entry_of(network, chain), ask), as_json=as_json)


def block(
    height: Annotated[
        int | None, typer.Argument(min=1, help="Height; the newest when absent.")
    ] = None,
    *,
    network: Network,
    chain: Chain = "currency",
    as_json: Json = False,
) -> None:
    """Show a block's header, verified from the root of trust."""

    async def ask(opened: OpenChain) -> Value:
        reader = opened.reader
        found = await (reader.latest() if height is None else reader.header(Height(height)))
        return {
            "height": found.height,
            "app_hash": found.app_hash,
            "validators": len(found.next_validators.validators),
            "proved_by": show_checked(found),
        }

    show(with_chain(entry_of(network, chain), ask), as_json=as_json)


def tx(
    tx_hash: Annotated[str, typer.Argument(metavar="HASH", help="Hash, as `tx send` prints it.")],
    *,
    network: Network,
    chain: Chain = "currency",
    wait_s: Annotated[float, typer.Option(min=0, help="Seconds to wait for its block.")] = 1.0,
    as_json: Json = False,
) -> None:
    """Show what became of a transaction, by the node's word."""
    wanted = _parse_hash(tx_hash)

    async def ask(opened: OpenChain) -> Value:
        found = await opened.rpc.wait_for(wanted, wait_s)
        return {
            "hash": found.tx_hash,
            "height": found.height,
            "code": found.code,
            "log": found.log,
            "cost_used": found.cost_used,
            "cost_limit": found.cost_wanted,
            "proved_by": "nothing: results of transactions come without proof",
        }

    show(with_chain(entry_of(network, chain), ask), as_json=as_json)


async def _source(chain: OpenChain, *, trust: bool) -> _Source:
    return _Source(chain, None if trust else await chain.reader.latest())


def _decode(record: bytes | None) -> Account:
    return accounts.decode(record) if record else accounts.EMPTY


def _parse_hash(text: str) -> TxHash:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != TX_HASH_BYTES:
        raise BadHash(f"{text!r} is not a transaction hash")
    return TxHash(raw)


def _group() -> None:
    """Ask the chains, and check their answers by proof."""
