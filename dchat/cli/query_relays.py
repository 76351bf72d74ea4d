"""`dchat query` of relays, of postage set aside for them, and of issuers of delivery tokens."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from abci_currency import keys, params
from abci_currency.state import escrows, pools, relays
from abci_currency.state.escrows import Escrow, IssuerBond
from abci_currency.state.relays import PeerKey, Relay
from dchat.cli.asking import Asked, Fields, NotThere, Source, answer, asking
from dchat.cli.foresee import block_time, foresee
from dchat.cli.records import (
    DEFAULT_LISTED,
    After,
    Kind,
    Limit,
    Owner,
    Paging,
    account_at,
    add_up,
    list_records,
    owned,
)
from dchat.cli.show import moment, tokens
from dchat.kernel import accounts, codec
from dchat.kernel.ids import AccountId, Amount, EpochMs
from relay.net.address import PeerId, peer_id_of
from relay.registration import peer_key

RELAYS: Final = Kind("relays", keys.RELAYS, relays.RELAY)
ESCROWS: Final = Kind("escrows", keys.ESCROWS, escrows.ESCROW)
ISSUERS: Final = Kind("issuers", keys.ISSUERS, escrows.ISSUER_BOND)


def register(group: typer.Typer) -> None:
    """Add the commands to the group `query`."""
    group.command("relays")(show_relays)
    group.command("relay")(show_relay)
    group.command("escrows")(show_escrows)
    group.command("issuers")(show_issuers)
    group.command("issuer")(show_issuer)


@asking
def show_relays(asked: Asked, *, after: After = "", limit: Limit = DEFAULT_LISTED) -> None:
    """List registered relays: whose, what they have at stake, and whether they serve."""

    async def ask(source: Source) -> Fields:
        found = await list_records(source, RELAYS, Paging(after, limit))
        await add_up(source, found, pools.RELAY_STAKES, lambda record: record.stake)
        now, least = await block_time(source), await _least(source)
        return found.shown(lambda key, record: _relay_row(key, record, least, now))

    answer(asked, "currency", ask)


async def _least(source: Source) -> Amount:
    return (await foresee(source, params.RELAYS.load)).min_stake


def _relay_row(key: bytes, record: Relay, least: Amount, now: EpochMs) -> Fields:
    return {
        "peer_id": peer_id_of(relays.PEER.lift(codec.unpack_array(key)[1])),
        "owner": accounts.show_account(record.owner),
        "state": state_of(record, least, now),
        "stake": tokens(record.stake),
        "addresses": " ".join(record.addresses),
    }


def state_of(record: Relay, least: Amount, now: EpochMs) -> str:
    """Return whether a relay serves, or why it does not."""
    if record.is_leaving:
        return "leaving"
    if record.jailed_until > now:
        return "jailed"
    return "serving" if record.serves(least, now) else "short of stake"


@asking
def show_relay(
    asked: Asked,
    peer_id: Annotated[str, typer.Argument(metavar="PEER", help="Its peer id, 12D3Koo….")],
) -> None:
    """Show a relay: owner, addresses, stake, and until when it is liable or in jail."""
    peer = peer_key(PeerId(peer_id))
    answer(asked, "currency", lambda source: relay_fields(source, peer))


async def relay_fields(source: Source, peer: PeerKey) -> Fields:
    """Return all that the chain knows of a relay. Raises: NotThere."""
    record = await source.value(keys.relay(peer))
    if record is None:
        raise NotThere(f"no relay has the peer id {peer_id_of(peer)}")
    found = relays.RELAY.decode(record)
    now, least = await block_time(source), await _least(source)
    return {
        "peer_id": peer_id_of(peer),
        "owner": accounts.show_account(found.owner),
        "state": state_of(found, least, now),
        "stake": tokens(found.stake),
        "addresses": found.addresses,
        "registered_at": found.registered_at,
        "jailed_until": moment(found.jailed_until),
        "leaves_at": moment(found.leaves_at),
    }


@asking
def show_escrows(
    asked: Asked, owner: Owner = "", *, after: After = "", limit: Limit = DEFAULT_LISTED
) -> None:
    """List postage that payers set aside: for which relay, how much is left, how much was paid."""
    kind = owned(ESCROWS, owner)

    async def ask(source: Source) -> Fields:
        found = await list_records(source, kind, Paging(after, limit))
        if not owner:
            await add_up(source, found, pools.ESCROWS, lambda record: record.held)
        return found.shown(escrow_row)

    answer(asked, "currency", ask)


def escrow_row(key: bytes, record: Escrow) -> Fields:
    """Return what is shown of an escrow."""
    return {
        "payer": account_at(key, 1),
        "number": codec.U64.lift(codec.unpack_array(key)[2]),
        "relay": peer_id_of(record.relay),
        "payee": accounts.show_account(record.payee),
        "held": tokens(record.held),
        "paid": tokens(record.paid),
        "closes_at": moment(record.closes_at),
        "cheque_key": record.cheque_key,
    }


@asking
def show_issuers(asked: Asked, *, after: After = "", limit: Limit = DEFAULT_LISTED) -> None:
    """List issuers of delivery tokens, and what they bonded."""

    async def ask(source: Source) -> Fields:
        found = await list_records(source, ISSUERS, Paging(after, limit))
        await add_up(source, found, pools.ISSUER_BONDS, lambda record: record.held)
        return found.shown(lambda key, record: {"issuer": account_at(key, 1), **_bond(record)})

    answer(asked, "currency", ask)


def _bond(record: IssuerBond) -> dict[str, str | int | None]:
    return {
        "held": tokens(record.held),
        "closes_at": moment(record.closes_at),
        "token_keys": len(record.keys),
    }


@asking
def show_issuer(
    asked: Asked,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The issuer's, dchat1….")],
) -> None:
    """Show an issuer's bond, and its key for each epoch and denomination."""
    owner = accounts.parse_account(account)
    answer(asked, "currency", lambda source: issuer_fields(source, owner))


async def issuer_fields(source: Source, owner: AccountId) -> Fields:
    """Return what an issuer bonded and committed to. Raises: NotThere."""
    record = await source.value(keys.issuer(owner))
    if record is None:
        raise NotThere(f"{accounts.show_account(owner)} issues no delivery tokens")
    found = escrows.ISSUER_BOND.decode(record)
    rows: list[Fields] = [
        {
            "epoch": key.epoch,
            "token": tokens(10**key.exponent),
            "ends_at": moment(key.ends_at),
            "key_hash": key.key_hash,
        }
        for key in found.keys
    ]
    return {"issuer": accounts.show_account(owner), **_bond(found), "keys": rows}
