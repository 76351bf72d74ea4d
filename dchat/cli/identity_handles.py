"""`dchat identity`, handles: taking one, giving it up, passing it on; giving up an identity."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from abci_chat.state import handles, identities
from abci_chat.state.handles import Handle
from abci_chat.txs import handle as families
from abci_chat.txs.handle import ClaimHandle, ReleaseHandle, TransferHandle
from abci_chat.txs.identity import DEACTIVATE, Deactivate, deactivating
from dchat.cli import checked
from dchat.cli.asking import Fields, Node, NotThere, Source, named, show_answer
from dchat.cli.chains import Network, entry_of, with_chain
from dchat.cli.checked import Proof
from dchat.cli.foresee import foresee
from dchat.cli.ordering import Plan, Sending, Told, carry_out, ordering, plan_and_carry_out
from dchat.cli.show import Json
from dchat.cli.unlock import PassphraseFile, unlock
from dchat.client import work
from dchat.client.ledger import Ledger
from dchat.client.registration import Registrar
from dchat.kernel import accounts
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import AccountId, Height
from dchat.kernel.signing import SIGNATURE_BYTES
from dchat.node.chain import Asking, OpenChain
from dchat.node.identity import Identity

CONSENT_BLOCKS: Final = 1000
"""How long whoever has the handle has time to pass it on, unless another time is named."""


class BadConsentText(OperatorError):
    """The text is no consent."""

    exit_code = 2
    hint = "a consent is 128 hexadecimal digits, as dchat identity accept-handle prints it"


class NotMeant(OperatorError):
    """What cannot be undone was asked for without a word that it is meant."""

    exit_code = 2
    hint = "add --yes if you mean it: nobody can bring an identity back"


def register(group: typer.Typer) -> None:
    """Add the commands to the group `identity`."""
    group.command("claim-handle")(claim_handle)
    group.command("release-handle")(release_handle)
    group.command("accept-handle")(accept_handle)
    group.command("transfer-handle")(transfer_handle)
    group.command("deactivate")(deactivate)


@ordering
def claim_handle(
    sending: Sending,
    *,
    handle: Annotated[str, typer.Argument(help="The handle, 3 to 32 of a-z0-9_.")],
) -> None:
    """Take a handle for your identity, which has none: committed first, then revealed."""
    handles.check(handle)

    async def make(source: Source, sender: Identity) -> Plan[ClaimHandle]:
        salt = await Registrar(Ledger(source.chain, sender), sender).promise(handle)
        return Plan(ClaimHandle(handle, salt), _told({"handle": handle}))

    plan_and_carry_out(sending, families.CLAIM, make, "chat")


@ordering
def release_handle(sending: Sending) -> None:
    """Give up your handle; nobody gets it for a while."""
    carry_out(sending, families.RELEASE, ReleaseHandle(), _told({}))


def accept_handle(  # noqa: PLR0913 -- Typer: one parameter per option
    *,
    handle: Annotated[str, typer.Argument(help="The handle that somebody passes on to you.")],
    identity_file: Annotated[
        Path, typer.Option("--identity", help="Identity file of whoever is to get it.")
    ],
    network: Network,
    blocks: Annotated[int, typer.Option(min=1, help="Blocks for which it is good.")] = (
        CONSENT_BLOCKS
    ),
    passphrase_file: PassphraseFile = None,
    rpc: Node = None,
    as_json: Json = False,
) -> None:
    """Sign that you take a handle over: its holder sends that with `transfer-handle`."""
    receiver = unlock(identity_file, passphrase_file)
    entry = entry_of(network, "chat")

    async def run(chain: OpenChain) -> tuple[Fields, Proof]:
        block = await chain.reader.latest()
        source = Source(chain, block)
        held = await foresee(source, lambda state: _held(handles.load(state, handle), handle))
        until = Height(source.at + blocks)
        to = receiver.account_id
        consent = handles.accept(receiver.account_seed, entry.chain_id, held, to, until)
        shown: Fields = {
            "handle": handle,
            "from": accounts.show_account(held.owner),
            "to": accounts.show_account(to),
            "until": until,
            "consent": consent,
        }
        return shown, checked.proof(chain, block, "presence")

    shown, proof = with_chain(entry, run, Asking(named(rpc)))
    show_answer(shown, proof, as_json=as_json)


def _held(found: Handle | None, name: str) -> Handle:
    if found is None or found.name != name or found.free_from:
        raise NotThere(f"nobody has the handle {name!r}")
    return found


@ordering
def transfer_handle(
    sending: Sending,
    *,
    to: Annotated[str, typer.Option(help="Account id of whoever gets your handle.")],
    until: Annotated[int, typer.Option(min=1, help="The height that accept-handle printed.")],
    consent: Annotated[str, typer.Option(help="The consent that accept-handle printed.")],
) -> None:
    """Pass your handle on to somebody who has signed for it."""
    receiver = accounts.parse_account(to)
    body = TransferHandle(receiver, Height(until), _parse_consent(consent))
    carry_out(sending, families.TRANSFER, body, _told({"to": to}))


@ordering
def deactivate(
    sending: Sending, *, yes: Annotated[bool, typer.Option("--yes", help="You mean it.")] = False
) -> None:
    """Give up your identity for good: it signs for nothing any more, and its handle is free.

    A burner works for it in place of the fee.
    """
    if not yes:
        raise NotMeant("this gives up the identity for good")

    async def make(source: Source, sender: Identity) -> Plan[Deactivate]:
        told = _told({})
        if sender.kind != "burner":
            return Plan(Deactivate(), told)
        ledger, body = Ledger(source.chain, sender), deactivating(Deactivate())
        nonce, proof = await work.in_place_of_fee(ledger, sender.account_id, body)
        return Plan(Deactivate(proof), told, nonce)

    plan_and_carry_out(sending, DEACTIVATE, make, "chat")


def _parse_consent(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != SIGNATURE_BYTES:
        raise BadConsentText("this is no consent")
    return raw


def _told(done: Fields) -> Told:
    return Told(done, _now, "chat")


async def _now(source: Source, owner: AccountId) -> Fields:
    """Return what is left of the sender's identity."""
    record = await foresee(source, lambda state: identities.load(state, owner))
    if record is None:
        return {}
    return {"identity_handle": record.handle or None, "deactivated": bool(record.deactivated_at)}
