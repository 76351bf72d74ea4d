"""What the vectors of votes begin with, and what is sent to them."""

from __future__ import annotations

from dataclasses import replace

from abci_chat import keys, params
from abci_chat.state import ballots, contents, foreign, pools, proposals, weights
from abci_chat.state.ballots import Ballot, Choice
from abci_chat.state.contents import Binary, Chain, Change, ParamsChange
from abci_chat.state.proposals import Kind, Proposal, Terms
from abci_chat.txs import ballot, proposal
from abci_chat.txs.ballot import CastBallot, CommitBallot, RevealBallot
from abci_chat.txs.proposal import (
    ProposeAppeal,
    ProposeParams,
    ProposeSpend,
    ProposeText,
    ProposeUpgrade,
)
from dchat.kernel import accounts, codec, due, holdings, supply
from dchat.kernel import params as kernel
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, START, MemoryState, signed
from tests.fakes.voting import BOND, DEPOSIT, RULES, STAKING, WEIGHTS, hidden, salt_of

FUNDS = Amount(10**9)
SOON, LATER = EpochMs(START + 12), EpochMs(START + 10**9)
"""The first vote is decided in the block of that time, all others go on."""
TERMS = Terms(BOND, RULES.quorum_bp, RULES.threshold_bp, RULES.veto_bp)
FASTER = ParamsChange(Chain.CHAT, "governance", (Change("voting_ms", 5000),))
REVEALING = 2
"""The number of the vote whose ballots are revealed."""


def start() -> MemoryState:
    """Return a state in which one vote ends soon and one is revealed.

    It has no parameters but these, so that nothing else can change the vectors.
    """
    draft = Draft(MemoryState())
    kernel.save(draft, kernel.DEFAULT)
    params.GOVERNANCE.save(draft, params.GOVERNANCE.default)
    foreign.begin(draft, (STAKING,))
    supply.issue(draft, Amount(3 * FUNDS))
    for who, weight in WEIGHTS.items():
        accounts.credit(draft, who.id, FUNDS)
        weights.set_weight(draft, who.id, weight, Height(0), EpochMs(0))
    _open(draft, _vote(Kind.PARAMS, contents.PARAMS.encode(FASTER), SOON))
    _open(draft, _vote(Kind.TEXT, b"", EpochMs(START)))
    for who in (ALICE, BOB):
        said = hidden(who, Choice.YES, REVEALING).commitment
        kept = Ballot(WEIGHTS[who], Choice.HIDDEN, said, BOND)
        ballots.place(draft, REVEALING, who.id, kept)
    return MemoryState().after(draft.writes())


def _vote(kind: Kind, content: bytes, ends_at: EpochMs) -> Proposal:
    return Proposal(
        *(kind, CAROL.id, "as agreed", "", content, DEPOSIT, Height(1), 100),
        TERMS,
        *(ends_at, LATER),
    )


def _open(draft: Draft, record: Proposal) -> None:
    holdings.move(draft, record.proposer, pools.PROPOSAL_DEPOSITS, record.deposit)
    number = proposals.add(draft, record)
    due.put(draft, min(record.ends_at, record.reveals_until), keys.proposal(number))


def orders() -> list[bytes]:
    """Return every order once as it is carried out, and those that are refused most often."""
    text = ProposeText("an opinion", "in\ntwo lines", DEPOSIT)
    pay = ProposeSpend("pay bob", "", DEPOSIT, BOB.id, Amount(5))
    slower = ProposeParams(
        "unbond slower", "", DEPOSIT, Chain.CURRENCY, "staking", (Change("unbonding_ms", 9),)
    )
    plan = ProposeUpgrade(
        *("go on", "", DEPOSIT, "v2", Height(2000), Height(3000)),
        (Binary("linux-x86_64", b"\x5a" * 32),),
    )
    return [
        signed(ALICE, proposal.TEXT.body(text)),
        signed(ALICE, proposal.TEXT.body(replace(text, deposit=Amount(5))), 1),
        signed(ALICE, proposal.PARAMS.body(slower), 2),
        signed(
            ALICE,
            proposal.PARAMS.body(replace(slower, changes=(Change("unbonding_ms", 10),))),
            3,
        ),
        signed(ALICE, proposal.UPGRADE.body(plan), 4),
        signed(ALICE, proposal.UPGRADE.body(replace(plan, chat_height=Height(1000))), 5),
        signed(ALICE, proposal.SPEND.body(pay), 6),
        signed(ALICE, proposal.APPEAL.body(ProposeAppeal("no spam", "", DEPOSIT, 1)), 7),
        signed(ALICE, ballot.CAST.body(CastBallot(1, Choice.YES)), 8),
        signed(BOB, ballot.CAST.body(CastBallot(1, Choice.NO))),
        signed(BOB, ballot.CAST.body(CastBallot(1, Choice.ABSTAIN)), 1),
        signed(CAROL, ballot.CAST.body(CastBallot(1, Choice.YES))),
        signed(CAROL, ballot.COMMIT.body(hidden(CAROL, Choice.NO, 3)), 1),
        signed(CAROL, ballot.COMMIT.body(CommitBallot(3, bytes(32), Amount(5))), 2),
        signed(CAROL, ballot.CAST.body(CastBallot(99, Choice.YES)), 3),
        signed(ALICE, _reveal(Choice.YES, 3), 9),
        signed(ALICE, _reveal(Choice.NO, REVEALING), 10),
        signed(ALICE, _reveal(Choice.YES, REVEALING), 11),
        signed(ALICE, _reveal(Choice.YES, REVEALING), 12),
    ]


def _reveal(choice: Choice, number: int) -> tuple[codec.Raw, ...]:
    return ballot.REVEAL.body(RevealBallot(number, choice, salt_of(ALICE)))
