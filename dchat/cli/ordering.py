"""What every transaction by hand has in common: its options, its way into a block, its proof.

A command makes a body; it is signed, submitted, and waited for. Its block and its result are proved
by the header after the block, and so is what the command shows of the state that it left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final, Generic, TypeVar

import typer

from dchat.cli import checked
from dchat.cli.asking import Fields, Node, Source, named, show_answer
from dchat.cli.chains import ChainName, Network, entry_of, with_chain
from dchat.cli.checked import Proof
from dchat.cli.options import with_options
from dchat.cli.show import Json, tokens
from dchat.cli.unlock import PassphraseFile, unlock
from dchat.kernel import accounts, tx
from dchat.kernel.errors import OperatorError
from dchat.kernel.family import Family
from dchat.kernel.ids import AccountId, Amount, Nonce
from dchat.node.chain import INCLUSION_S, Asking, OpenChain, Order, Refused, order_of
from dchat.node.identity import Identity
from dchat.node.outcome import prove_outcome
from dchat.node.rpc import Included

T = TypeVar("T")
After = Callable[[Source, AccountId], Awaitable[Fields]]
"""What a command shows of the state behind its block; the account is the sender's."""

NOTE: Final = ", as is the state shown; of a refusal the numbers are the node's word"
SENDER: Final = "Identity file of the sender."
AmountText = Annotated[
    str, typer.Option("--amount", help="Tokens like 5 or 0.25, or base units: 5000udchat.")
]


class RefusedInBlock(OperatorError):
    """A block carries the transaction and refused it: proved. Attributes: code, name."""

    exit_code = 13

    def __init__(self, did: Included) -> None:
        refused = Refused(did.code, did.log)
        super().__init__(f"{refused}; in block {did.height}, its fee is spent", refused.hint)
        self.code = did.code
        self.name = refused.name


@dataclass(frozen=True, slots=True)
class Sending:
    """The options that every transaction by hand takes."""

    identity_file: Path
    network: str
    passphrase_file: Path | None
    node: str | None
    as_json: bool


def _sending(
    *,
    identity_file: Annotated[Path, typer.Option("--identity", help=SENDER)],
    network: Network,
    passphrase_file: PassphraseFile = None,
    rpc: Node = None,
    as_json: Json = False,
) -> Sending:
    return Sending(identity_file, network, passphrase_file, rpc, as_json)


ordering = with_options(_sending)
"""Puts the options of every transaction by hand behind a command's own."""


async def nothing_more(_source: Source, _sender: AccountId) -> Fields:
    """Return nothing: the balance, which every command shows, says enough."""
    return {}


@dataclass(frozen=True, slots=True)
class Told:
    """What a command shows beside what all of them do."""

    done: Fields
    """What was ordered."""
    after: After = nothing_more
    chain: ChainName = "currency"


@dataclass(frozen=True, slots=True)
class Plan(Generic[T]):
    """A body, and what is shown of it."""

    body: T
    told: Told
    worked_at: Nonce | None = None
    """The nonce that work in the body is bound to, which stands for the fee then."""


Make = Callable[[Source, Identity], Awaitable[Plan[T]]]
"""What makes a body of the newest state, proved; the identity is the sender's, opened once."""


def carry_out(sending: Sending, family: Family[T], body: T, told: Told) -> None:
    """Sign, submit, wait, prove, and show what became of a body.

    Raises: TxRejected where it is plain without a state, Refused before a block, RefusedInBlock,
    NotIncluded, and as OpenChain.sign().
    """
    family.check(body)
    family.body(body)

    async def make(_source: Source, _sender: Identity) -> Plan[T]:
        return Plan(body, told)

    plan_and_carry_out(sending, family, make, told.chain)


def plan_and_carry_out(
    sending: Sending, family: Family[T], make: Make[T], chain: ChainName = "currency"
) -> None:
    """Do as carry_out() with a body that depends on the state. Raises: as that, and as make."""
    sender = unlock(sending.identity_file, sending.passphrase_file)

    async def run(opened: OpenChain) -> tuple[Included, Fields, Proof]:
        source = Source(opened, await opened.reader.latest())
        plan = await make(source, sender)
        family.check(plan.body)
        nonce = plan.worked_at
        order = replace(
            order_of(sender, family, plan.body), nonce=nonce, is_worked=nonce is not None
        )
        return await _carry_out(opened, order, plan.told)

    asking = Asking(named(sending.node))
    did, shown, proof = with_chain(entry_of(sending.network, chain), run, asking)
    show_answer(shown, proof, as_json=sending.as_json)
    if did.code:
        raise RefusedInBlock(did)


async def _carry_out(chain: OpenChain, order: Order, told: Told) -> tuple[Included, Fields, Proof]:
    raw = await chain.sign(order)
    submitted = await chain.submit(raw)
    found = await prove_outcome(chain.reader, chain.rpc, submitted.tx_hash, INCLUSION_S)
    did, source = found.included, Source(chain, found.block)
    refused = Refused(did.code, did.log).name if did.code else None
    after: Fields = {} if refused else await told.after(source, order.sender)
    shown: Fields = {
        "hash": did.tx_hash,
        "height": did.height,
        "from": accounts.show_account(order.sender),
        **({"refused": refused, "code": did.code} if refused else {}),
        **told.done,
        **_fee(tx.decode(raw).envelope.fee, told.chain),
        **after,
        **await _balance(source, order.sender, told.chain),
    }
    return did, shown, replace(checked.proof(chain, found.block, "result"), note=NOTE)


def _fee(fee: Amount, chain: ChainName) -> Fields:
    return {"fee_credits": fee} if chain == "chat" else {"fee": tokens(fee)}


async def _balance(source: Source, sender: AccountId, chain: ChainName) -> Fields:
    record = await source.value(accounts.key(sender))
    held = accounts.decode(record) if record else accounts.EMPTY
    if chain == "chat":
        return {"credits": held.balance}
    return {"balance": tokens(held.balance)}
