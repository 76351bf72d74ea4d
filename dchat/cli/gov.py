"""`dchat gov`: putting something to the vote, voting openly or privately, revealing."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Final, TypeVar

import typer

from abci_chat import keys, params
from abci_chat.state import ballots, contents, weights
from abci_chat.state.ballots import Choice
from abci_chat.state.contents import Binary, Change
from abci_chat.state.proposals import Proposal
from abci_chat.txs import ballot, proposal
from abci_chat.txs.ballot import CastBallot, CommitBallot, RevealBallot
from abci_chat.txs.proposal import (
    ProposeAppeal,
    ProposeParams,
    ProposeSpend,
    ProposeText,
    ProposeUpgrade,
)
from dchat.cli import ballotbox
from dchat.cli.asking import Fields, NotThere, Source
from dchat.cli.ballotbox import Vote
from dchat.cli.chains import Chain
from dchat.cli.foresee import block_time, foresee
from dchat.cli.ordering import (
    After,
    AmountText,
    Plan,
    Sending,
    Told,
    ordering,
    plan_and_carry_out,
)
from dchat.cli.query_gov import count_of, proposal_fields, proposal_of
from dchat.cli.show import moment
from dchat.kernel import accounts
from dchat.kernel.amounts import parse_amount
from dchat.kernel.errors import OperatorError
from dchat.kernel.family import Family
from dchat.kernel.ids import AccountId, Amount, Height
from dchat.node.identity import Identity

HELP: Final = "Put something to the vote, and vote."
LOOK_BACK: Final = 100
"""Proposals among which the one that was just opened is looked for, the newest first."""
_CHANGE: Final = re.compile(r"([a-z0-9_]+)=([0-9]{1,20})", re.ASCII)
_BINARY: Final = re.compile(r"([a-z0-9][a-z0-9_-]*)=([0-9a-f]{64})", re.ASCII)
_MAX_U64: Final = 2**64 - 1

T = TypeVar("T")
Title = Annotated[str, typer.Option(help="One line, 1 to 140 bytes.")]
Text = Annotated[str, typer.Option(help="What speaks for it, up to 4096 bytes.")]
MaxDeposit = Annotated[
    int | None,
    typer.Option(min=0, help="Credits to set aside at most; as voted when absent."),
]
Number = Annotated[int, typer.Option("--proposal", min=1, help="The proposal's number.")]


class Said(StrEnum):
    """What a ballot says, as people type it."""

    YES = "yes"
    NO = "no"
    ABSTAIN = "abstain"
    VETO = "veto"


class BadOrder(OperatorError):
    """An option of a proposal does not say what it should."""

    exit_code = 2


class RevealTooEarly(OperatorError):
    """Nobody can reveal yet, and the fee would be lost."""

    hint = "wait until the time named; an idle chain makes a block every few seconds"


class Weightless(OperatorError):
    """The ballot would count nothing, and the fee would be lost."""

    hint = "vote with an account that had weight when the proposal opened; see dchat query weights"


def register(app: typer.Typer) -> None:
    """Add the `gov` group to `app`."""
    group, propose = typer.Typer(help=HELP), typer.Typer(help="Put something to the vote.")
    group.callback()(_group)
    propose.callback()(_propose)
    propose.command("text")(propose_text)
    propose.command("params")(propose_params)
    propose.command("upgrade")(propose_upgrade)
    propose.command("spend")(propose_spend)
    propose.command("appeal")(propose_appeal)
    group.add_typer(propose, name="propose")
    group.command("vote")(vote)
    group.command("reveal")(reveal)
    app.add_typer(group, name="gov")


def _group() -> None:
    """Put something to the vote, and vote."""


def _propose() -> None:
    """Put something to the vote."""


@ordering
def propose_text(
    sending: Sending, *, title: Title, text: Text = "", max_deposit: MaxDeposit = None
) -> None:
    """Put an opinion to the vote; it does nothing but stand on record."""
    _propose_it(sending, proposal.TEXT, max_deposit, lambda most: ProposeText(title, text, most))


@ordering
def propose_params(  # noqa: PLR0913 -- Typer: one parameter per option
    sending: Sending,
    *,
    title: Title,
    section: Annotated[str, typer.Option(help="As `dchat query params` has it.")],
    changes: Annotated[
        list[str], typer.Option("--set", help="name=value, in base units; once for each number.")
    ],
    chain: Chain = "chat",
    text: Text = "",
    max_deposit: MaxDeposit = None,
) -> None:
    """Put other parameters to the vote, of the chat chain or of the currency chain."""
    parsed = tuple(sorted([_change(each) for each in changes], key=lambda each: each.name))
    whose = contents.Chain[chain.upper()]

    def make(most: Amount) -> ProposeParams:
        return ProposeParams(title, text, most, whose, section, parsed)

    _propose_it(sending, proposal.PARAMS, max_deposit, make)


def _change(text: str) -> Change:
    found = _CHANGE.fullmatch(text)
    if found is None or int(found[2]) > _MAX_U64:
        raise BadOrder(f"{text!r} sets no number", "write --set voting_ms=604800000")
    return Change(found[1], int(found[2]))


@ordering
def propose_upgrade(  # noqa: PLR0913 -- Typer: one parameter per option
    sending: Sending,
    *,
    title: Title,
    name: Annotated[str, typer.Option(help="The upgrade's name, such as v2.")],
    chat_height: Annotated[
        int, typer.Option(min=0, help="The chat chain's first block of the new binary; 0 cancels.")
    ],
    currency_height: Annotated[
        int, typer.Option(min=0, help="The same on the currency chain; 0 cancels.")
    ],
    binaries: Annotated[
        list[str] | None,
        typer.Option("--binary", help="PLATFORM=SHA256, such as linux-x86_64=…; one each."),
    ] = None,
    text: Text = "",
    max_deposit: MaxDeposit = None,
) -> None:
    """Put an upgrade of both chains to the vote, or the cancelling of the one that is ahead."""
    parsed = tuple(sorted(map(_binary, binaries or ()), key=lambda each: each.platform))
    heights = Height(chat_height), Height(currency_height)

    def make(most: Amount) -> ProposeUpgrade:
        return ProposeUpgrade(title, text, most, name, *heights, parsed)

    _propose_it(sending, proposal.UPGRADE, max_deposit, make)


def _binary(text: str) -> Binary:
    found = _BINARY.fullmatch(text)
    if found is None:
        raise BadOrder(f"{text!r} names no binary", "write --binary linux-x86_64=SHA256")
    return Binary(found[1], bytes.fromhex(found[2]))


@ordering
def propose_spend(  # noqa: PLR0913 -- Typer: one parameter per option
    sending: Sending,
    *,
    title: Title,
    to: Annotated[str, typer.Option(help="Whom the treasury pays, dchat1….")],
    amount: AmountText,
    text: Text = "",
    max_deposit: MaxDeposit = None,
) -> None:
    """Put a payment from the currency chain's treasury to the vote."""
    whom, units = accounts.parse_account(to), parse_amount(amount)

    def make(most: Amount) -> ProposeSpend:
        return ProposeSpend(title, text, most, whom, units)

    _propose_it(sending, proposal.SPEND, max_deposit, make)


@ordering
def propose_appeal(
    sending: Sending,
    *,
    title: Title,
    case: Annotated[int, typer.Option(min=1, help="The case's number; see dchat query cases.")],
    text: Text = "",
    max_deposit: MaxDeposit = None,
) -> None:
    """Put to the vote that what a jury decided is reversed."""
    _propose_it(
        sending, proposal.APPEAL, max_deposit, lambda most: ProposeAppeal(title, text, most, case)
    )


def _propose_it(
    sending: Sending, family: Family[T], max_deposit: int | None, make: Callable[[Amount], T]
) -> None:
    async def plan(source: Source, _sender: Identity) -> Plan[T]:
        rules = await foresee(source, params.GOVERNANCE.load)
        most = rules.deposit if max_deposit is None else Amount(max_deposit)
        return Plan(make(most), Told({}, _newest_of, "chat"))

    plan_and_carry_out(sending, family, plan, "chat")


async def _newest_of(source: Source, sender: AccountId) -> Fields:
    """Return the newest proposal of the sender: the one that was just opened."""
    newest = await count_of(source)
    for number in range(newest, max(0, newest - LOOK_BACK), -1):
        if (await proposal_of(source, number)).proposer == sender:
            return await proposal_fields(source, number)
    raise NotThere("the chain has no proposal of the sender's")


@ordering
def vote(
    sending: Sending,
    *,
    number: Number,
    choice: Annotated[Said, typer.Option(help="What you vote.")],
    private: Annotated[
        bool, typer.Option("--private", help="Commit to it now, and reveal it once voting ends.")
    ] = False,
    max_bond: Annotated[
        int | None,
        typer.Option(min=0, help="Credits to set aside for a private ballot at most."),
    ] = None,
) -> None:
    """Vote on a proposal; an open ballot may be changed until voting ends."""
    said = Choice[choice.name]
    if private:
        _vote_privately(sending, number, said, max_bond)
        return

    async def plan(source: Source, sender: Identity) -> Plan[CastBallot]:
        await _voted_on(source, number, sender.account_id)
        told = Told({"choice": choice.value}, _showing(number), "chat")
        return Plan(CastBallot(number, said), told)

    plan_and_carry_out(sending, ballot.CAST, plan, "chat")


def _vote_privately(sending: Sending, number: int, choice: Choice, max_bond: int | None) -> None:
    async def plan(source: Source, sender: Identity) -> Plan[CommitBallot]:
        found = await _voted_on(source, number, sender.account_id)
        mine = Vote(source.chain.entry.chain_id, number, sender.account_id)
        path = mine.file(sending.identity_file)
        kept = ballotbox.keep(path, mine, choice)
        bond = found.terms.ballot_bond if max_bond is None else Amount(max_bond)
        done: Fields = {
            "choice": "hidden",
            "ballot_file": str(path),
            "reveal_with": f"dchat gov reveal --proposal {number}",
            "reveal_from": moment(found.ends_at),
            "reveal_until": moment(found.reveals_until),
        }
        return Plan(CommitBallot(number, kept.commitment, bond), Told(done, chain="chat"))

    plan_and_carry_out(sending, ballot.COMMIT, plan, "chat")


async def _voted_on(source: Source, number: int, voter: AccountId) -> Proposal:
    """Return the proposal, on which the voter's ballot counts. Raises: NotThere, Weightless."""
    found = await proposal_of(source, number)
    if not await foresee(source, lambda state: weights.at(state, voter, found.snapshot)):
        raise Weightless(f"the account had no weight at height {found.snapshot}")
    return found


@ordering
def reveal(sending: Sending, *, number: Number) -> None:
    """Let your private ballot count and take its bond back, from the file that `vote` kept."""

    async def plan(source: Source, sender: Identity) -> Plan[RevealBallot]:
        await _refuse_early(source, number)
        mine = Vote(source.chain.entry.chain_id, number, sender.account_id)
        value = await source.value(keys.ballot(number, sender.account_id))
        held = ballots.BALLOT.decode(value) if value else None
        if held is None or held.choice is not Choice.HIDDEN:
            raise NotThere(f"no private ballot of yours on proposal {number} is to be revealed")
        kept = ballotbox.find(mine.file(sending.identity_file), held.commitment)
        told = Told({"choice": kept.choice.name.lower()}, _showing(number), "chat")
        return Plan(RevealBallot(number, kept.choice, kept.salt), told)

    plan_and_carry_out(sending, ballot.REVEAL, plan, "chat")


async def _refuse_early(source: Source, number: int) -> None:
    found = await proposal_of(source, number)
    if await block_time(source) < found.ends_at:
        raise RevealTooEarly(f"ballots are revealed from {moment(found.ends_at)} on")


def _showing(number: int) -> After:
    async def after(source: Source, _sender: AccountId) -> Fields:
        return await proposal_fields(source, number)

    return after
