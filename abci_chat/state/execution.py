"""Execution: a vote is decided once, and what it orders is carried out once, or not at all.

What a proposal orders runs on a fork of the block's draft, which is thrown away where it is
refused: the proposal then has FAILED, with the refusal's code, and changed nothing. Shares are held
against each other as whole products, so that no rounding decides a vote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from abci_chat.params import BASIS_POINTS
from abci_chat.state import (
    ballots,
    cases,
    contents,
    decisions,
    parameters,
    pools,
    proposals,
    upgrades,
)
from abci_chat.state.ballots import Tally
from abci_chat.state.contents import Chain
from abci_chat.state.decisions import Decision
from abci_chat.state.proposals import Kind, Proposal, Status
from dchat.kernel import accounts, codec, due, holdings
from dchat.kernel.due import Due
from dchat.kernel.errors import InvariantBroken, TxRejected
from dchat.kernel.family import Event
from dchat.kernel.ids import Amount, Height
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft, State


@dataclass(frozen=True, slots=True)
class ProposalDecided(Event):
    """A vote is over."""

    proposal: int
    status: Status
    code: int
    """Of the refusal where it FAILED, else 0."""
    burned: Amount
    """Of the deposit and of bonds."""


@dataclass(frozen=True, slots=True)
class DecisionMade(Event):
    """Something was ordered on the currency chain."""

    proposal: int
    decision: int


def end(draft: Draft, key: bytes, _: Due, context: BlockContext) -> tuple[Event, ...]:
    """Decide the proposal of that key, once nobody can vote or reveal any more."""
    number = codec.U64.lift(codec.unpack_array(key)[1])
    proposal, summed = proposals.load(draft, number), ballots.tally(draft, number)
    if proposal.status != Status.OPEN:
        return ()
    if summed.hidden and context.block_time_ms < proposal.reveals_until:
        due.put(draft, proposal.reveals_until, key)
        return ()
    status = verdict(proposal, summed)
    burned = ballots.forfeit(draft, number)
    burned = Amount(burned + _settle_deposit(draft, proposal, status))
    decided = replace(proposal, status=status, decided_at=context.height)
    told: tuple[Event, ...] = ()
    if status is Status.EXECUTED:
        decided, told = _carry_out(draft, number, decided, context)
    proposals.save(draft, number, decided)
    return (ProposalDecided(number, decided.status, decided.code, burned), *told)


def verdict(proposal: Proposal, summed: Tally) -> Status:
    """Return what the ballots say: EXECUTED where it is to be carried out.

    Vetoes count as no where they are too few to reject by themselves.
    """
    terms, cast = proposal.terms, summed.cast
    if not cast or cast * BASIS_POINTS < terms.quorum_bp * proposal.total_weight:
        return Status.SHORT_OF_QUORUM
    if summed.veto * BASIS_POINTS >= terms.veto_bp * cast:
        return Status.VETOED
    for_or_against = summed.yes + summed.no + summed.veto
    if summed.yes * BASIS_POINTS <= terms.threshold_bp * for_or_against:
        return Status.REJECTED
    return Status.EXECUTED


def check_invariant(state: State) -> None:
    """Return if the pools hold deposits and bonds of all votes that are not decided. For audits.

    Raises: InvariantBroken.
    """
    numbers = range(1, proposals.opening(state).count + 1)
    votes = {number: proposals.load(state, number) for number in numbers}
    votes = {number: each for number, each in votes.items() if each.status is Status.OPEN}
    owed = (
        sum([each.deposit for each in votes.values()]),
        sum([ballots.tally(state, number).bonds for number in votes]),
        sum([each.bond for number in votes for _, each in ballots.ballots(state, number)]),
    )
    deposits, bonds = (
        accounts.load(state, pool).balance for pool in (pools.PROPOSAL_DEPOSITS, pools.BALLOT_BONDS)
    )
    if owed != (deposits, bonds, bonds):
        raise InvariantBroken(f"votes owe {owed}, the pools hold {deposits} and {bonds}")


def try_out(draft: Draft, proposal: Proposal, context: BlockContext) -> None:
    """Return if the proposal could be carried out at this moment; it changes nothing.

    Raises: TxRejected, as it would be refused.
    """
    _run(draft.fork(), 0, proposal, context)


def _settle_deposit(draft: Draft, proposal: Proposal, status: Status) -> Amount:
    """Give the deposit back, or burn it where the vote says so; return what was burned."""
    if status in {Status.VETOED, Status.SHORT_OF_QUORUM}:
        holdings.burn(draft, pools.PROPOSAL_DEPOSITS, proposal.deposit)
        return proposal.deposit
    holdings.move(draft, pools.PROPOSAL_DEPOSITS, proposal.proposer, proposal.deposit)
    return Amount(0)


def _carry_out(
    draft: Draft, number: int, proposal: Proposal, context: BlockContext
) -> tuple[Proposal, tuple[Event, ...]]:
    """Return the proposal as it is afterwards, and what happened; a refusal changes nothing."""
    trial = draft.fork()
    try:
        told = _run(trial, number, proposal, context)
    except TxRejected as refusal:
        return replace(proposal, status=Status.FAILED, code=refusal.code), ()
    draft.merge(trial)
    return proposal, told


def _run(draft: Draft, number: int, proposal: Proposal, context: BlockContext) -> tuple[Event, ...]:
    return _RUNS[proposal.kind](draft, number, proposal.content, context)


def _nothing(_: Draft, __: int, ___: bytes, ____: BlockContext) -> tuple[Event, ...]:
    return ()


def _set_params(
    draft: Draft, number: int, content: bytes, context: BlockContext
) -> tuple[Event, ...]:
    order = contents.PARAMS.decode_own(content)
    if order.chain is Chain.CHAT:
        return (parameters.change(draft, order),)
    parameters.check_foreign(draft, order)
    return _decide(draft, Kind.PARAMS, number, content, context.height)


def _plan_upgrade(
    draft: Draft, number: int, content: bytes, context: BlockContext
) -> tuple[Event, ...]:
    return (upgrades.decide(draft, contents.UPGRADE.decode_own(content), number, context.height),)


def _spend(draft: Draft, number: int, content: bytes, context: BlockContext) -> tuple[Event, ...]:
    return _decide(draft, Kind.SPEND, number, content, context.height)


def _overturn(draft: Draft, _: int, content: bytes, context: BlockContext) -> tuple[Event, ...]:
    return cases.overturn(draft, contents.APPEAL.decode_own(content).case, context)


def _decide(
    draft: Draft, kind: Kind, number: int, content: bytes, height: Height
) -> tuple[Event, ...]:
    made = decisions.add(draft, Decision(kind, number, content, height))
    return (DecisionMade(number, made),)


_Run = Callable[[Draft, int, bytes, BlockContext], tuple[Event, ...]]
_RUNS: Final[Mapping[Kind, _Run]] = MappingProxyType(
    {
        Kind.TEXT: _nothing,
        Kind.PARAMS: _set_params,
        Kind.UPGRADE: _plan_upgrade,
        Kind.SPEND: _spend,
        Kind.APPEAL: _overturn,
    }
)
