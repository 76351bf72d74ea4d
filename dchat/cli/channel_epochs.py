"""`dchat channel`, epochs: committing the next one, and what a hidden member would show."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import typer

from abci_chat.state import epochs, hidden
from abci_chat.state.channels import Role
from abci_chat.txs import epoch as families
from abci_chat.txs.epoch import CommitEpoch
from dchat.cli import digits
from dchat.cli import roster as rosters
from dchat.cli.asking import Asked, Fields, Source, answer, asking
from dchat.cli.channel_members import (
    ChannelOption,
    MemberOption,
    RosterOption,
    epoch_after,
    proof_of,
)
from dchat.cli.foresee import foresee
from dchat.cli.ordering import Plan, Sending, Told, ordering, plan_and_carry_out
from dchat.cli.roster import Roster
from dchat.kernel import accounts
from dchat.kernel.errors import OperatorError
from dchat.kernel.store import Draft
from dchat.node.identity import Identity

MAX_SENT_BYTES: Final = 64 * 1024 * 1024
MadeRoster = Annotated[
    Path, typer.Option("--roster", help="File with the members of the channel's present epoch.")
]


class NeedsOutput(OperatorError):
    """An epoch of a private channel has a roster of its own."""

    exit_code = 2
    hint = "name a new file with --output, and the public key with --posting-key"


class SentTooLong(OperatorError):
    """What the members were sent is too much to be one message. Attribute: limit -- bytes."""

    exit_code = 2
    hint = "name the file with the message itself, not with what it is about"


@dataclass(frozen=True, slots=True)
class _Hidden:
    """What the next epoch of a private channel commits to."""

    member_root: bytes = epochs.NO_ROOT
    size_class: int = 0
    posting_key: bytes = epochs.NO_KEY


def register(group: typer.Typer) -> None:
    """Add the commands to the group `channel`."""
    group.command("epoch")(epoch)
    group.command("prove-member")(prove_member)


@ordering
def epoch(  # noqa: PLR0913 -- Typer: one parameter per option
    sending: Sending,
    *,
    channel: ChannelOption,
    from_epoch: Annotated[
        int | None, typer.Option("--from", min=0, help="The epoch it builds on; the present one.")
    ] = None,
    sent: Annotated[
        Path | None, typer.Option(help="What the members were sent about it; its hash is kept.")
    ] = None,
    roster: RosterOption = None,
    output: Annotated[
        Path | None, typer.Option(help="Private: new file for the members of the next epoch.")
    ] = None,
    posting_key: Annotated[
        str | None, typer.Option(help="Private: public key that signs its posts, 64 hex digits.")
    ] = None,
    seats: Annotated[
        list[str] | None,
        typer.Option("--seat", help="Private: ACCOUNT=member, =moderator or =out; once for each."),
    ] = None,
) -> None:
    """Commit a channel's next epoch; who builds on an older one is told to rebase."""
    channel_id = digits.parse(channel, "a channel id")
    known = None if roster is None else rosters.load(roster, channel_id)
    group_commit = bytes(epochs.HASH_BYTES) if sent is None else _hash_of(sent)
    if (output is None) != (posting_key is None) or (output is None and (known or seats)):
        raise NeedsOutput("the next epoch of a private channel has members, and a file for them")
    committed = _Hidden()
    if output is not None:
        following = _reseated(known or rosters.fresh(channel_id), seats or [])
        committed = _hidden(following, digits.parse(posting_key or "", "a posting key"))
        rosters.save(output, following)

    async def make(source: Source, sender: Identity) -> Plan[CommitEpoch]:
        now = await foresee(source, lambda state: epochs.load(state, channel_id))
        body = CommitEpoch(
            channel=channel_id,
            from_epoch=now.number if from_epoch is None else from_epoch,
            removals=now.removals,
            member_root=committed.member_root,
            size_class=committed.size_class,
            posting_key=committed.posting_key,
            group_commit=group_commit,
            proof=await proof_of(source, known, sender.account_id) if known else (),
        )
        return Plan(body, Told({"channel": channel_id}, epoch_after(channel_id), "chat"))

    plan_and_carry_out(sending, families.COMMIT, make, "chat")


def _hidden(roster: Roster, posting_key: bytes) -> _Hidden:
    leaves = roster.leaves()
    return _Hidden(hidden.root_of(leaves), len(leaves), posting_key)


def _reseated(roster: Roster, seats: list[str]) -> Roster:
    for each in seats:
        account, _, wanted = each.partition("=")
        who = accounts.parse_account(account)
        if wanted == "out":
            roster = roster.without(who)
        else:
            roster = roster.seating(who, rosters.role_of(wanted))
    return roster


def _hash_of(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_SENT_BYTES + 1)
    if len(content) > MAX_SENT_BYTES:
        raise SentTooLong(f"{path} is longer than {MAX_SENT_BYTES} bytes")
    return sha256(content).digest()


@asking
def prove_member(
    asked: Asked, *, channel: ChannelOption, roster: MadeRoster, who: MemberOption
) -> None:
    """Show what a hidden member would show to act, and check that it holds in the present epoch."""
    channel_id, account = digits.parse(channel, "a channel id"), accounts.parse_account(who)
    shown = rosters.load(roster, channel_id).proof(account)

    async def ask(source: Source) -> Fields:
        def check(state: Draft) -> Role:
            return hidden.proved(state, channel_id, account, shown, epochs.load(state, channel_id))

        role = await foresee(source, check)
        present = await foresee(source, lambda state: epochs.load(state, channel_id))
        return {
            "member": who,
            "role": role.name.lower(),
            "epoch": present.number,
            "size_class": present.size_class,
            "index": shown.index,
            "blind": shown.blind,
            "aunts": list(shown.aunts),
        }

    answer(asked, "chat", ask)
