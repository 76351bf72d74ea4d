"""`dchat identity`, recovery: a new key for a lost account, by its guardians.

The owner makes a new identity file and a request, which is no secret; guardians approve it; anybody
finishes it once the timelock is over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from abci_chat.state import recoveries
from abci_chat.state.recoveries import Standing
from abci_chat.txs import recovery as families
from abci_chat.txs.recovery import ApproveRecovery, FinishRecovery
from dchat.cli import digits
from dchat.cli.asking import Asked, Fields, NotThere, Source, answer, asking
from dchat.cli.asking import read as ask
from dchat.cli.foresee import block_time, foresee
from dchat.cli.identity_keys import Whose
from dchat.cli.ordering import After, Sending, Told, carry_out, ordering
from dchat.cli.show import moment, show
from dchat.cli.unlock import PassphraseFile
from dchat.kernel import accounts, codec, signing
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import AccountId, ChainId
from dchat.node import identity
from dchat.node.identity import Identity

PREFIX: Final = "dchat-recovery-"
"""What a request begins with; hexadecimal digits of its packed fields follow."""
_REQUEST: Final = codec.Record(
    ApproveRecovery,
    owner=ACCOUNT_ID,
    public_key=codec.Fixed(signing.PUBLIC_KEY_BYTES),
    inbox_key=codec.Fixed(signing.PUBLIC_KEY_BYTES),
    proof=codec.Fixed(signing.SIGNATURE_BYTES),
)
Key = Annotated[str, typer.Option("--key", help="The new public key, 64 hexadecimal digits.")]


class BadRequest(OperatorError):
    """The text is no request to recover an account."""

    exit_code = 2
    hint = "copy the whole line that `dchat identity request-recovery` printed"


def register(group: typer.Typer) -> None:
    """Add the commands to the group `identity`."""
    group.command("request-recovery")(request_recovery)
    group.command("approve-recovery")(approve_recovery)
    group.command("finish-recovery")(finish_recovery)
    group.command("recovery")(show_recovery)


@asking
def request_recovery(
    asked: Asked,
    account: Whose,
    *,
    output: Annotated[Path, typer.Option(help="New identity file; must not exist.")],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make a new key for an account of yours whose key is lost, and a request for its guardians.

    The new file is good for nothing until they gave the account its key.
    """
    owner = accounts.parse_account(account)
    passphrase = identity.read_passphrase(passphrase_file) if passphrase_file else None

    async def find(source: Source) -> tuple[ChainId, int]:
        version = await foresee(source, lambda draft: recoveries.next_version(draft, owner))
        return source.chain.entry.chain_id, version

    (chain_id, version), _ = ask(asked, "chat", find)
    made = identity.take_over(owner, version, output, passphrase)
    report: Fields = {
        "file": str(output),
        "account": account,
        "public_key": made.public_key,
        "key_version": version,
        "request": show_request(made, chain_id),
    }
    show(report, as_json=asked.as_json)


@ordering
def approve_recovery(
    sending: Sending,
    *,
    request: Annotated[str, typer.Option(help="What the owner's request-recovery printed.")],
) -> None:
    """Let somebody whom you guard have the new key of a request: ask the owner, by voice, first."""
    body = parse_request(request)
    done: Fields = {"account": accounts.show_account(body.owner), "public_key": body.public_key}
    told = Told(done, _standing_of(body.owner, body.public_key), "chat")
    carry_out(sending, families.APPROVE, body, told)


@ordering
def finish_recovery(
    sending: Sending,
    *,
    account: Annotated[str, typer.Option(help="Whose key is lost, dchat1….")],
    key: Key,
) -> None:
    """Give an account the key that its guardians approved, once the timelock is over."""
    body = FinishRecovery(accounts.parse_account(account), digits.parse(key, "a public key"))

    async def after(source: Source, _sender: AccountId) -> Fields:
        held = await foresee(source, lambda draft: accounts.load(draft, body.owner))
        return {"public_key": held.public_key, "key_version": held.key_version}

    carry_out(sending, families.FINISH, body, Told({"account": account}, after, "chat"))


@asking
def show_recovery(asked: Asked, account: Whose, *, key: Key) -> None:
    """Show who approved a new key for an account, and when it can be finished."""
    owner, public_key = accounts.parse_account(account), digits.parse(key, "a public key")

    async def find(source: Source) -> Fields:
        return await _standing_of(owner, public_key)(source, owner)

    answer(asked, "chat", find)


def show_request(made: Identity, chain_id: ChainId) -> str:
    """Return what guardians are asked for a new identity file, in one line."""
    inbox = signing.public_key(made.child("inbox"))
    said = recoveries.statement(chain_id, made.account_id, made.key_version, inbox)
    proof = signing.sign(made.account_seed, recoveries.DOMAIN, said)
    order = ApproveRecovery(made.account_id, made.public_key, inbox, proof)
    return PREFIX + _REQUEST.encode(order).hex()


def parse_request(text: str) -> ApproveRecovery:
    """Return the approval that a request asks for. Raises: BadRequest."""
    try:
        return _REQUEST.decode(bytes.fromhex(text.strip().removeprefix(PREFIX)))
    except (ValueError, codec.CodecError):
        raise BadRequest("that is no request for a recovery") from None


def _standing_of(owner: AccountId, public_key: bytes) -> After:
    async def after(source: Source, _sender: AccountId) -> Fields:
        now = await block_time(source)
        found = await foresee(
            source, lambda draft: recoveries.standing(draft, owner, public_key, now)
        )
        if found is None:
            raise NotThere("nobody has approved that key, or what was approved counts no more")
        return _standing(found, is_ready=found.is_ready(now))

    return after


def _standing(found: Standing, *, is_ready: bool) -> Fields:
    approvals = found.recovery.approvals
    return {
        "approved_by": [accounts.show_account(each.guardian) for each in approvals],
        "needed": found.need,
        "ready_at": moment(found.ready_at or 0),
        "ready": is_ready,
    }
