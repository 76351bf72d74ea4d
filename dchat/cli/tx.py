"""`dchat tx`: transactions by hand, from signing to the block that carries them out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.cli import checked
from dchat.cli.asking import Fields, show_answer
from dchat.cli.chains import Network, entry_of, with_chain
from dchat.cli.checked import Checked
from dchat.cli.show import Json
from dchat.cli.unlock import PassphraseFile, unlock
from dchat.kernel import accounts
from dchat.kernel.amounts import parse_amount, show_amount
from dchat.node.chain import OpenChain, Order


def register(app: typer.Typer) -> None:
    """Add the `tx` group to `app`."""
    group = typer.Typer(help="Send transactions and wait for their blocks.")
    group.callback()(_group)
    group.command()(send)
    app.add_typer(group, name="tx")


def send(  # noqa: PLR0913 -- Typer: one parameter per option
    *,
    identity_file: Annotated[Path, typer.Option("--identity", help="Identity file of the sender.")],
    network: Network,
    to: Annotated[str, typer.Option(help="Recipient's account, dchat1….")],
    amount: Annotated[str, typer.Option(help="Tokens like 5 or 0.25, or base units: 5000udchat.")],
    memo: Annotated[str, typer.Option(help="Public text for the recipient, to 256 bytes.")] = "",
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Pay somebody and wait until a block has done it."""
    payment = Transfer(accounts.parse_account(to), parse_amount(amount), memo)
    seed = unlock(identity_file, passphrase_file).child("account")
    order = Order(transfer.FAMILY.body(payment), transfer.FAMILY.cost, seed)

    fields, proof = with_chain(
        entry_of(network, "currency"), lambda chain: _pay(chain, order, payment)
    )

    show_answer(fields, proof, as_json=as_json)


async def _pay(chain: OpenChain, order: Order, payment: Transfer) -> tuple[Fields, Checked]:
    """Pay, then prove what the sender holds afterwards."""
    included = await chain.execute(order)
    proved = await chain.reader.read(accounts.key(order.sender), included.height)
    after = accounts.decode(proved.value) if proved.value else accounts.EMPTY
    fields: Fields = {
        "hash": included.tx_hash,
        "height": included.height,
        "from": accounts.show_account(order.sender),
        "to": accounts.show_account(payment.to),
        "amount": f"{show_amount(payment.amount)} DCHAT",
        "cost": included.cost_used,
        "balance": f"{show_amount(after.balance)} DCHAT",
    }
    return fields, checked.proof(chain, proved.block, "presence")


def _group() -> None:
    """Send transactions and wait for their blocks."""
