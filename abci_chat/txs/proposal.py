"""Proposals: families that put something to the vote, one for each kind.

Whoever proposes pays a deposit into a pool. It goes back when the vote is decided; where too few
vote, or vetoes reject the proposal, it is burned. What could not be carried out as things stand is
refused at once, before anybody votes on it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from abci_chat import keys, params
from abci_chat.state import cases, contents, execution, pools, proposals, weights
from abci_chat.state.contents import Appeal, Binary, Chain, Change, ParamsChange, Spend, UpgradePlan
from abci_chat.state.proposals import Kind, Proposal, Terms
from dchat.kernel import codec, due, holdings, wording
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import TxRejected, ZeroAmount
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.headers import MAX_HEIGHT
from dchat.kernel.ids import AccountId, Amount, Cost, EpochMs, Height
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft

_UPGRADE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_PLATFORM: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
_NO_CONTENT: Final = b""


class BadProposal(TxRejected):
    """Title or text cannot be shown."""

    code = 300


class ProposalDepositTooLow(TxRejected):
    """A proposal takes a larger deposit. Attributes: have, need -- credits."""

    code = 301

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"allows a deposit of {have} credits, it takes {need}")
        self.have = have
        self.need = need


class NobodyVotes(TxRejected):
    """No voter had any weight when the block began."""

    code = 302


class BadUpgradePlan(TxRejected):
    """The plan has no name, no heights, or no binaries that could be told apart."""

    code = 304


class BadChanges(TxRejected):
    """Nothing is changed, or one number twice."""

    code = 307


@dataclass(frozen=True, slots=True)
class ProposeText:
    """Put an opinion to the vote."""

    title: str
    text: str
    deposit: Amount
    """What the proposer is ready to set aside; no more is taken than the rules say."""


@dataclass(frozen=True, slots=True)
class ProposeParams:
    """Put other parameters to the vote."""

    title: str
    text: str
    deposit: Amount
    chain: Chain
    section: str
    changes: tuple[Change, ...]
    """Strictly ascending by name."""


@dataclass(frozen=True, slots=True)
class ProposeUpgrade:
    """Put an upgrade of both chains to the vote, or its cancelling: both heights 0."""

    title: str
    text: str
    deposit: Amount
    name: str
    chat_height: Height
    currency_height: Height
    binaries: tuple[Binary, ...]
    """Strictly ascending by platform."""


@dataclass(frozen=True, slots=True)
class ProposeSpend:
    """Put a payment from the currency chain's treasury to the vote."""

    title: str
    text: str
    deposit: Amount
    to: AccountId
    amount: Amount
    """In base units of that chain."""


@dataclass(frozen=True, slots=True)
class ProposeAppeal:
    """Put to the vote that what a jury decided is reversed."""

    title: str
    text: str
    deposit: Amount
    case: int


@dataclass(frozen=True, slots=True)
class ProposalOpened(Event):
    """Something is put to the vote."""

    proposal: int
    proposer: AccountId
    kind: Kind
    deposit: Amount
    ends_at: EpochMs
    reveals_until: EpochMs


AnyProposal = ProposeText | ProposeParams | ProposeUpgrade | ProposeSpend | ProposeAppeal


def check_text(tx: AnyProposal) -> None:
    """Apply the rules that need no state. Raises: BadProposal."""
    if not wording.is_line(tx.title):
        raise BadProposal("the title is empty, or has characters that are no text")
    if not wording.is_lines(tx.text):
        raise BadProposal("the text has characters that are no text")


def check_params(tx: ProposeParams) -> None:
    """Apply the rules that need no state. Raises: BadProposal, BadChanges."""
    check_text(tx)
    names = [each.name for each in tx.changes]
    if not names or not _is_ascending(names):
        raise BadChanges("name at least one number, each once and in ascending order")


def check_upgrade(tx: ProposeUpgrade) -> None:
    """Apply the rules that need no state. Raises: BadProposal, BadUpgradePlan."""
    check_text(tx)
    if not _UPGRADE_NAME.fullmatch(tx.name):
        raise BadUpgradePlan("a name is made of a-z, 0-9, '.', '_' and '-'")
    platforms = [each.platform for each in tx.binaries]
    if not all(map(_PLATFORM.fullmatch, platforms)) or not _is_ascending(platforms):
        raise BadUpgradePlan("platforms are words, each once and in ascending order")
    if max(tx.chat_height, tx.currency_height) > MAX_HEIGHT:
        raise BadUpgradePlan(f"no chain has a block above {MAX_HEIGHT}")
    if len({tx.chat_height > 0, tx.currency_height > 0, bool(platforms)}) != 1:
        raise BadUpgradePlan("a plan has two heights and a binary, one that cancels has neither")


def check_spend(tx: ProposeSpend) -> None:
    """Apply the rules that need no state. Raises: BadProposal, ZeroAmount."""
    check_text(tx)
    if tx.amount == 0:
        raise ZeroAmount("a payment is of at least one base unit")


def _is_ascending(names: Sequence[str]) -> bool:
    return all(left < right for left, right in pairwise(names))


def propose_text(draft: Draft, tx: ProposeText, ctx: TxContext) -> tuple[Event, ...]:
    """Open the vote. Raises: ProposalDepositTooLow, NobodyVotes, InsufficientFunds."""
    return (open_vote(draft, tx, Kind.TEXT, _NO_CONTENT, ctx),)


def propose_params(draft: Draft, tx: ProposeParams, ctx: TxContext) -> tuple[Event, ...]:
    """Open the vote.

    Raises: as propose_text, UnknownParameter, ParameterOutOfBounds.
    """
    order = ParamsChange(tx.chain, tx.section, tx.changes)
    return (open_vote(draft, tx, Kind.PARAMS, contents.PARAMS.encode(order), ctx),)


def propose_upgrade(draft: Draft, tx: ProposeUpgrade, ctx: TxContext) -> tuple[Event, ...]:
    """Open the vote. Raises: as propose_text, UpgradeTooSoon, UnknownUpgrade."""
    plan = UpgradePlan(tx.name, tx.chat_height, tx.currency_height, tx.binaries)
    return (open_vote(draft, tx, Kind.UPGRADE, contents.UPGRADE.encode(plan), ctx),)


def propose_spend(draft: Draft, tx: ProposeSpend, ctx: TxContext) -> tuple[Event, ...]:
    """Open the vote. Raises: as propose_text."""
    order = contents.SPEND.encode(Spend(tx.to, tx.amount))
    return (open_vote(draft, tx, Kind.SPEND, order, ctx),)


def propose_appeal(draft: Draft, tx: ProposeAppeal, ctx: TxContext) -> tuple[Event, ...]:
    """Open the vote, and keep the case open until it is over.

    Raises: as propose_text, UnknownCase, NotAppealable.
    """
    opened = open_vote(draft, tx, Kind.APPEAL, contents.APPEAL.encode(Appeal(tx.case)), ctx)
    cases.appeal(draft, tx.case, opened.reveals_until, ctx.block_time_ms)
    return (opened,)


def open_vote(
    draft: Draft, tx: AnyProposal, kind: Kind, content: bytes, ctx: TxContext
) -> ProposalOpened:
    """Take the deposit and open the vote under the rules in force; try first what it orders.

    Raises: ProposalDepositTooLow, NobodyVotes, InsufficientFunds, and as execution.try_out().
    """
    rules = params.GOVERNANCE.load(draft)
    if tx.deposit < rules.deposit:
        raise ProposalDepositTooLow(tx.deposit, rules.deposit)
    total = weights.total_at(draft, ctx.height)
    if total == 0:
        raise NobodyVotes("nobody has a weight to vote with")
    ends_at = EpochMs(ctx.block_time_ms + rules.voting_ms)
    record = Proposal(
        kind,
        ctx.sender,
        tx.title,
        tx.text,
        content,
        rules.deposit,
        ctx.height,
        total,
        Terms(rules.ballot_bond, rules.quorum_bp, rules.threshold_bp, rules.veto_bp),
        ends_at,
        EpochMs(ends_at + rules.reveal_ms),
    )
    execution.try_out(draft, record, BlockContext(ctx.chain_id, ctx.height, ctx.block_time_ms))
    holdings.move(draft, ctx.sender, pools.PROPOSAL_DEPOSITS, rules.deposit)
    number = proposals.add(draft, record)
    due.put(draft, ends_at, keys.proposal(number))
    return ProposalOpened(number, ctx.sender, kind, rules.deposit, ends_at, record.reveals_until)


def _deposit(tx: AnyProposal) -> Amount:
    return tx.deposit


TEXT: Final = Family(
    type=50,
    name="propose_text",
    shape=codec.Record(ProposeText, title=proposals.TITLE, text=proposals.TEXT, deposit=codec.U64),
    cost=Cost(150),
    check=check_text,
    apply=propose_text,
    spends=_deposit,
)

PARAMS: Final = Family(
    type=51,
    name="propose_params",
    shape=codec.Record(
        ProposeParams,
        title=proposals.TITLE,
        text=proposals.TEXT,
        deposit=codec.U64,
        chain=codec.Choice(Chain),
        section=contents.NAME,
        changes=contents.CHANGES,
    ),
    cost=Cost(250),
    cost_per_entry=Cost(15),
    check=check_params,
    apply=propose_params,
    spends=_deposit,
)

UPGRADE: Final = Family(
    type=52,
    name="propose_upgrade",
    shape=codec.Record(
        ProposeUpgrade,
        title=proposals.TITLE,
        text=proposals.TEXT,
        deposit=codec.U64,
        name=contents.NAME,
        chat_height=codec.U64,
        currency_height=codec.U64,
        binaries=contents.BINARIES,
    ),
    cost=Cost(200),
    cost_per_entry=Cost(10),
    check=check_upgrade,
    apply=propose_upgrade,
    spends=_deposit,
)

SPEND: Final = Family(
    type=53,
    name="propose_spend",
    shape=codec.Record(
        ProposeSpend,
        title=proposals.TITLE,
        text=proposals.TEXT,
        deposit=codec.U64,
        to=ACCOUNT_ID,
        amount=codec.U64,
    ),
    cost=Cost(200),
    check=check_spend,
    apply=propose_spend,
    spends=_deposit,
)

APPEAL: Final = Family(
    type=54,
    name="propose_appeal",
    shape=codec.Record(
        ProposeAppeal,
        title=proposals.TITLE,
        text=proposals.TEXT,
        deposit=codec.U64,
        case=codec.U64,
    ),
    cost=Cost(300),
    check=check_text,
    apply=propose_appeal,
    spends=_deposit,
)

FAMILIES: Final = (TEXT, PARAMS, UPGRADE, SPEND, APPEAL)
