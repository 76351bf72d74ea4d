"""`dchat query` of governance: proposals, ballots, weights, and the upgrade that is ahead."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from abci_chat import keys
from abci_chat.state import ballots, contents, proposals, upgrades, weights
from abci_chat.state.ballots import Ballot, Tally
from abci_chat.state.contents import UpgradePlan
from abci_chat.state.proposals import Kind, Opening, Proposal, Status
from abci_chat.state.weights import Mark
from dchat.cli import records
from dchat.cli.asking import Asked, Fields, NotThere, Source, answer, asking
from dchat.cli.foresee import block_time
from dchat.cli.records import DEFAULT_LISTED, After, Limit, Owner, Paging, account_at, must_equal
from dchat.cli.show import Value, moment, percent, tokens
from dchat.kernel import accounts
from dchat.kernel.ids import EpochMs
from dchat.kernel.refusals import REFUSALS, Refusal

WEIGHTS: Final = "weights"
_UNKNOWN: Final = Refusal("Unknown", "")

Number = Annotated[int, typer.Argument(metavar="PROPOSAL", min=1, help="The proposal's number.")]
Before = Annotated[
    int | None, typer.Option(min=1, help="Go on below this number: `next_before` of a page.")
]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `query`."""
    group.command("proposals")(show_proposals)
    group.command("proposal")(show_proposal)
    group.command("ballots")(show_ballots)
    group.command("upgrade")(show_upgrade)
    group.command("weights")(show_weights)


@asking
def show_proposals(asked: Asked, *, before: Before = None, limit: Limit = DEFAULT_LISTED) -> None:
    """List proposals, the newest first, each by proof: none can be left out."""

    async def ask(source: Source) -> Fields:
        newest = await count_of(source)
        if newest == 0:
            raise NotThere("nothing was ever put to the vote")
        first = newest if before is None else min(before - 1, newest)
        last = max(1, first - limit + 1)
        rows = [await _row(source, number) for number in range(first, last - 1, -1)]
        return {"proposals": rows, "next_before": last if last > 1 else None}

    answer(asked, "chat", ask)


async def count_of(source: Source) -> int:
    """Return how many proposals there were so far."""
    value = await source.value(keys.PROPOSAL_COUNT)
    return proposals.OPENING.decode(value).count if value else Opening(0, proposals.NEVER).count


async def _row(source: Source, number: int) -> Fields:
    found = await proposal_of(source, number)
    return {
        "proposal": number,
        "kind": found.kind.name.lower(),
        "title": found.title,
        "state": state_of(found, await block_time(source)),
        "ends_at": moment(found.ends_at),
        "reveals_until": moment(found.reveals_until),
    }


async def proposal_of(source: Source, number: int) -> Proposal:
    """Return a proposal. Raises: NotThere."""
    value = await source.value(keys.proposal(number))
    if value is None:
        raise NotThere(f"there is no proposal {number}")
    return proposals.PROPOSAL.decode(value)


def state_of(found: Proposal, now: EpochMs) -> str:
    """Return what became of a proposal, or what can be done about it now."""
    if found.status is not Status.OPEN:
        return found.status.name.lower().replace("_", " ")
    if now < found.ends_at:
        return "voting"
    return "revealing" if now < found.reveals_until else "ending"


@asking
def show_proposal(asked: Asked, number: Number) -> None:
    """Show a proposal: what it would do, its rules, its ballots so far, what became of it."""
    answer(asked, "chat", lambda source: proposal_fields(source, number))


async def proposal_fields(source: Source, number: int) -> Fields:
    """Return all that the chain knows of a proposal. Raises: NotThere."""
    found, summed = await proposal_of(source, number), await tally_of(source, number)
    terms = found.terms
    return {
        "proposal": number,
        "kind": found.kind.name.lower(),
        "title": found.title,
        "text": found.text,
        "orders": content_fields(found.kind, found.content),
        "proposer": accounts.show_account(found.proposer),
        "deposit": found.deposit,
        "state": state_of(found, await block_time(source)),
        "refused": None if not found.code else REFUSALS.get(found.code, _UNKNOWN).name,
        "code": found.code or None,
        "decided_at": found.decided_at or None,
        "snapshot": found.snapshot,
        "total_weight": found.total_weight,
        "ballots": _tally(summed),
        "quorum": percent(terms.quorum_bp),
        "threshold": percent(terms.threshold_bp),
        "veto": percent(terms.veto_bp),
        "ballot_bond": terms.ballot_bond,
        "ends_at": moment(found.ends_at),
        "reveals_until": moment(found.reveals_until),
    }


async def tally_of(source: Source, number: int) -> Tally:
    """Return the sum of all ballots on a proposal."""
    value = await source.value(keys.tally(number))
    return ballots.TALLY.decode(value) if value else Tally()


def _tally(summed: Tally) -> Fields:
    return {
        "yes": summed.yes,
        "no": summed.no,
        "abstain": summed.abstain,
        "veto": summed.veto,
        "hidden": summed.hidden,
    }


def content_fields(kind: Kind, content: bytes) -> Fields:
    """Return what a proposal would do, as people read it."""
    match kind:
        case Kind.TEXT:
            return {}
        case Kind.PARAMS:
            order = contents.PARAMS.decode(content)
            changes = {each.name: each.value for each in order.changes}
            return {"chain": order.chain.name.lower(), "section": order.section, **changes}
        case Kind.UPGRADE:
            return plan_fields(contents.UPGRADE.decode(content))
        case Kind.SPEND:
            spend = contents.SPEND.decode(content)
            return {"to": accounts.show_account(spend.to), "amount": tokens(spend.amount)}
        case Kind.APPEAL:
            return {"case": contents.APPEAL.decode(content).case}


def plan_fields(plan: UpgradePlan) -> Fields:
    """Return an upgrade plan as people read it."""
    if plan.cancels:
        return {"cancels": plan.name}
    binaries: list[Value] = [
        {"platform": each.platform, "sha256": each.sha256} for each in plan.binaries
    ]
    return {
        "name": plan.name,
        "chat_height": plan.chat_height,
        "currency_height": plan.currency_height,
        "binaries": binaries,
    }


@asking
def show_ballots(
    asked: Asked, number: Number, *, after: After = "", limit: Limit = DEFAULT_LISTED
) -> None:
    """List who voted on a proposal, how, and with what weight; private ones as hidden."""
    kind = records.Kind("ballots", keys.ballots(number), ballots.BALLOT)

    async def ask(source: Source) -> Fields:
        found = await records.list_records(source, kind, Paging(after, limit))
        if found.is_everything:
            summed, all_of = (
                await tally_of(source, number),
                [each.weight for _, each in found.entries],
            )
            must_equal("ballots", sum(all_of), "the proved tally is", summed.cast + summed.hidden)
            source.is_whole = True
        return found.shown(_ballot_row)

    answer(asked, "chat", ask)


def _ballot_row(key: bytes, ballot: Ballot) -> Fields:
    return {
        "voter": account_at(key, 2),
        "choice": ballot.choice.name.lower(),
        "weight": ballot.weight,
        "bond": ballot.bond,
    }


@asking
def show_upgrade(asked: Asked) -> None:
    """Show the upgrade plan that was voted last: heights, and the binary for each platform."""

    async def ask(source: Source) -> Fields:
        value = await source.value(keys.UPGRADE)
        if value is None:
            raise NotThere("no upgrade is planned")
        found = upgrades.DECIDED.decode(value)
        return {
            **plan_fields(found.plan),
            "proposal": found.proposal,
            "decided_at": found.decided_at,
            "ahead": found.plan.chat_height > source.at,
        }

    answer(asked, "chat", ask)


@asking
def show_weights(
    asked: Asked, owner: Owner = "", *, after: After = "", limit: Limit = DEFAULT_LISTED
) -> None:
    """List who votes, and with what weight since when."""
    everybody = records.Kind(WEIGHTS, keys.VOTERS, weights.PAST)
    kind = records.owned(everybody, owner)

    async def ask(source: Source) -> Fields:
        found = await records.list_records(source, kind, Paging(after, limit))
        if found.is_everything and not owner:
            summed = sum(marks[-1].weight for _, marks in found.entries)
            must_equal("weights", summed, "the proved total is", await _total(source))
            source.is_whole = True
        return found.shown(_weight_row)

    answer(asked, "chat", ask)


async def _total(source: Source) -> int:
    value = await source.value(keys.TOTAL_WEIGHT)
    return weights.PAST.decode(value)[-1].weight if value else 0


def _weight_row(key: bytes, marks: tuple[Mark, ...]) -> Fields:
    return {
        "voter": account_at(key, 1),
        "weight": marks[-1].weight,
        "since_height": marks[-1].since_height,
        "kept_before": len(marks) - 1,
    }
