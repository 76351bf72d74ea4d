"""`dchat tx`, relays: registering one, and setting postage aside for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from abci_currency.state import relays
from abci_currency.txs import escrow as escrows
from abci_currency.txs import relay as families
from abci_currency.txs.escrow import CloseEscrow, OpenEscrow, SettleEscrow, TopUpEscrow
from abci_currency.txs.relay import EditRelay, RegisterRelay, SettleRelay, TopUpRelay, UnbondRelay
from dchat.cli import digits
from dchat.cli.asking import Fields, NotThere, Source
from dchat.cli.foresee import foresee
from dchat.cli.ordering import (
    After as Afterwards,
)
from dchat.cli.ordering import (
    AmountText,
    Plan,
    Sending,
    Told,
    carry_out,
    ordering,
    plan_and_carry_out,
)
from dchat.cli.query_relays import ESCROWS, escrow_row, relay_fields
from dchat.cli.records import list_records, owned
from dchat.cli.show import tokens
from dchat.cli.unlock import unlock
from dchat.kernel import accounts, params, signing
from dchat.kernel.amounts import parse_amount
from dchat.kernel.ids import AccountId, Height
from dchat.node.identity import Identity
from relay.net.address import PeerId
from relay.registration import as_registered, build_registration, peer_key

PROOF_BLOCKS: Final = 1000
"""How long the peer's word that this account may register it is good."""
CHEQUES: Final = "cheques"
"""The child of an identity that signs its cheques, unless another key is named."""

PeerText = Annotated[str, typer.Option("--relay", help="The relay's peer id, 12D3Koo….")]
Addresses = Annotated[
    list[str],
    typer.Option("--address", help="Where it listens, /ip4/…/tcp/…; up to 8 times."),
]
Number = Annotated[int, typer.Option(min=0, help="The escrow's number, as `query escrows` has it.")]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `tx`."""
    group.command("register-relay")(register_relay)
    group.command("edit-relay")(edit_relay)
    group.command("top-up-relay")(top_up_relay)
    group.command("unbond-relay")(unbond_relay)
    group.command("settle-relay")(settle_relay)
    group.command("open-escrow")(open_escrow)
    group.command("top-up-escrow")(top_up_escrow)
    group.command("close-escrow")(close_escrow)
    group.command("settle-escrow")(settle_escrow)


@ordering
def register_relay(
    sending: Sending,
    *,
    relay_identity: Annotated[Path, typer.Option(help="Identity file of the relay: it agrees.")],
    addresses: Addresses,
    stake: Annotated[str, typer.Option(help="Tokens of the sender's to bond for it.")],
) -> None:
    """Bond stake for a relay, so that clients find it and escrows may pay it."""
    amount = parse_amount(stake)
    seed = unlock(relay_identity).child("libp2p")

    async def make(source: Source, sender: Identity) -> Plan[RegisterRelay]:
        until, chain = await _proof_until(source), source.chain.entry.chain_id
        bond = (sender.account_id, amount)
        body = build_registration(seed, bond, addresses, chain, until)
        return Plan(body, Told({"bonded": tokens(amount)}, _relay(body.peer)))

    plan_and_carry_out(sending, families.REGISTER, make)


async def _proof_until(source: Source) -> Height:
    rules = await foresee(source, params.load)
    return Height(source.at + min(PROOF_BLOCKS, rules.max_validity_blocks - 1))


@ordering
def edit_relay(sending: Sending, *, relay: PeerText, addresses: Addresses) -> None:
    """Let your relay be found at these addresses, and no others."""
    peer = peer_key(PeerId(relay))
    body = EditRelay(peer, as_registered(addresses, peer))
    carry_out(sending, families.EDIT, body, Told({}, _relay(body.peer)))


@ordering
def top_up_relay(sending: Sending, *, relay: PeerText, amount: AmountText) -> None:
    """Add to what your relay has at stake."""
    body = TopUpRelay(peer_key(PeerId(relay)), parse_amount(amount))
    done = {"amount": tokens(body.amount)}
    carry_out(sending, families.TOP_UP, body, Told(done, _relay(body.peer)))


@ordering
def unbond_relay(sending: Sending, *, relay: PeerText) -> None:
    """Take your relay off the registry; its stake stays liable until it can be settled."""
    body = UnbondRelay(peer_key(PeerId(relay)))
    carry_out(sending, families.UNBOND, body, Told({}, _relay(body.peer)))


@ordering
def settle_relay(sending: Sending, *, relay: PeerText) -> None:
    """Have a relay that left paid out to its owner, whoever asks, once the time is over."""
    carry_out(
        sending, families.SETTLE, SettleRelay(peer_key(PeerId(relay))), Told({"relay": relay})
    )


def _relay(peer: relays.PeerKey) -> Afterwards:
    async def after(source: Source, _sender: AccountId) -> Fields:
        return await relay_fields(source, peer)

    return after


@ordering
def open_escrow(
    sending: Sending,
    *,
    relay: PeerText,
    amount: AmountText,
    cheque_key: Annotated[
        str | None, typer.Option(help="Key that signs your cheques; your identity's if absent.")
    ] = None,
) -> None:
    """Set postage aside for a relay, to be paid out by cheques that you sign."""
    peer, units = peer_key(PeerId(relay)), parse_amount(amount)
    named = None if cheque_key is None else digits.parse(cheque_key, "a public key")
    told = Told({"relay": relay, "amount": tokens(units)}, escrows_of)

    async def make(_source: Source, sender: Identity) -> Plan[OpenEscrow]:
        key = signing.public_key(sender.child(CHEQUES)) if named is None else named
        return Plan(OpenEscrow(peer, key, units), told)

    plan_and_carry_out(sending, escrows.OPEN, make)


@ordering
def top_up_escrow(sending: Sending, *, number: Number, amount: AmountText) -> None:
    """Add to an escrow of yours."""
    body = TopUpEscrow(number, parse_amount(amount))
    done: Fields = {"number": number, "amount": tokens(body.amount)}
    carry_out(sending, escrows.TOP_UP, body, Told(done, escrows_of))


@ordering
def close_escrow(sending: Sending, *, number: Number) -> None:
    """Close an escrow of yours: it pays claims until the delay is over, then it can be settled."""
    carry_out(sending, escrows.CLOSE, CloseEscrow(number), Told({"number": number}, escrows_of))


@ordering
def settle_escrow(
    sending: Sending,
    *,
    number: Number,
    payer: Annotated[
        str | None, typer.Option(help="Whose escrow; the sender's when absent. dchat1….")
    ] = None,
) -> None:
    """Have what is left of a closed escrow paid back to its payer, whoever asks."""

    async def make(_source: Source, sender: Identity) -> Plan[SettleEscrow]:
        whose = sender.account_id if payer is None else accounts.parse_account(payer)
        done: Fields = {"payer": accounts.show_account(whose), "number": number}
        return Plan(SettleEscrow(whose, number), Told(done))

    plan_and_carry_out(sending, escrows.SETTLE, make)


async def escrows_of(source: Source, payer: AccountId) -> Fields:
    """Return a payer's escrows."""
    try:
        found = await list_records(source, owned(ESCROWS, accounts.show_account(payer)))
    except NotThere:
        return {"escrows": []}
    return {"escrows": [escrow_row(*entry) for entry in found.entries]}
