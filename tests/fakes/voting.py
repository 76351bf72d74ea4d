"""A chat chain in memory with a clock, on which proposals are put to the vote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from abci_chat import params
from abci_chat.machine import MACHINE
from abci_chat.params import Governance
from abci_chat.state import ballots, execution, foreign, pools, proposals, weights
from abci_chat.state.ballots import Choice
from abci_chat.state.foreign import Bound, ForeignSection
from abci_chat.state.proposals import Proposal, Status
from abci_chat.txs import ballot, proposal
from abci_chat.txs.ballot import CastBallot, CommitBallot, RevealBallot
from abci_chat.txs.proposal import ProposeText
from dchat.kernel import accounts, genesis, machine, supply
from dchat.kernel.family import Event, Family
from dchat.kernel.genesis import Allocation, Genesis
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.machine import Block, BlockContext, Outcome
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, START, MemoryState, Person, signed

T = TypeVar("T")
FUNDS = Amount(1_000_000_000)
RULES = Governance()
DEPOSIT, BOND = RULES.deposit, RULES.ballot_bond
FEE = 2000
"""Of every transaction that signed() makes; it is burned."""
ENDS_AT = EpochMs(START + RULES.voting_ms)
REVEALS_UNTIL = EpochMs(ENDS_AT + RULES.reveal_ms)
WEIGHTS: Mapping[Person, int] = MappingProxyType({ALICE: 50, BOB: 30, CAROL: 20})
STAKING = ForeignSection("staking", (Bound("max_validators", 1, 500), Bound("unbonding_ms", 5, 9)))
"""What this chain knows of the currency chain's parameters."""
OPINION = ProposeText("Keep it simple", "As simple as that.", DEPOSIT)
DAVE = Person(b"\x04" * 32)
"""Holds credits, but has no weight."""


def salt_of(who: Person) -> bytes:
    """Return the salt of somebody's private ballots."""
    return bytes([who.seed[0] + 100]) * ballots.SALT_BYTES


def hidden(who: Person, choice: Choice, number: int = 1) -> CommitBallot:
    """Return somebody's private ballot."""
    said = ballots.commitment(CHAIN, number, who.id, choice, salt_of(who))
    return CommitBallot(number, said, BOND)


class Assembly:
    """A chat chain that makes a block for each transaction, at the time that `now` says."""

    def __init__(self, votes: Mapping[Person, int] = WEIGHTS, rules: Governance = RULES) -> None:
        draft = Draft(MemoryState())
        holders = sorted(each.id for each in (ALICE, BOB, CAROL, DAVE))
        held = tuple(Allocation(each, FUNDS) for each in holders)
        genesis.begin(draft, CHAIN, Genesis(params.DEFAULT, held))
        params.GOVERNANCE.save(draft, rules)
        foreign.begin(draft, (STAKING,))
        for voter, weight in votes.items():
            weights.set_weight(draft, voter.id, weight, Height(0), EpochMs(0))
        self.state = MemoryState().after(draft.writes())
        self.now = START
        self.height = Height(1)
        self.nonces: dict[Person, int] = {}

    def send(self, who: Person, family: Family[T], fields: T) -> Outcome:
        """Carry out who's transaction in a block of its own and return its outcome."""
        raw = signed(who, family.body(fields), self.nonces.get(who, 0), valid_until_height=5000)
        return self.send_raw(raw, who)

    def send_raw(self, raw: bytes, who: Person = ALICE) -> Outcome:
        """Carry out a transaction in a block of its own and return its outcome."""
        outcome = self._run(raw).outcomes[0]
        self.nonces[who] = accounts.load(self.state, who.id).nonce
        return outcome

    def _run(self, *txs: bytes) -> machine.BlockResult:
        context = BlockContext(CHAIN, self.height, self.now)
        result = machine.run_block(MACHINE, self.state, Block(context, txs), {})
        self.state = self.state.after(result.writes)
        self.height = Height(self.height + 1)
        return result

    def block(self) -> tuple[Event, ...]:
        """Make an empty block, and return what its hooks tell."""
        return self._run().events

    def pass_ms(self, span_ms: int) -> None:
        """Let block time go by."""
        self.now = EpochMs(self.now + span_ms)

    def reach(self, at: EpochMs) -> tuple[Event, ...]:
        """Let block time come to that, and return what the block of that time tells."""
        self.now = at
        return self.block()

    def propose(self, who: Person = DAVE) -> Outcome:
        """Put an opinion to the vote."""
        return self.send(who, proposal.TEXT, OPINION)

    def vote(self, who: Person, choice: Choice, number: int = 1) -> Outcome:
        """Vote openly."""
        return self.send(who, ballot.CAST, CastBallot(number, choice))

    def hide(self, who: Person, choice: Choice, number: int = 1) -> Outcome:
        """Vote privately."""
        return self.send(who, ballot.COMMIT, hidden(who, choice, number))

    def reveal(self, who: Person, choice: Choice, number: int = 1) -> Outcome:
        """Let a private ballot count."""
        return self.send(who, ballot.REVEAL, RevealBallot(number, choice, salt_of(who)))

    def pass_vote(self, number: int = 1) -> tuple[Event, ...]:
        """Let alice and bob vote yes, and end the vote."""
        self.vote(ALICE, Choice.YES, number)
        self.vote(BOB, Choice.YES, number)
        return self.reach(self.found(number).ends_at)

    def found(self, number: int = 1) -> Proposal:
        """Return a proposal."""
        return proposals.load(self.state, number)

    def status(self, number: int = 1) -> Status:
        """Return what became of a proposal."""
        return self.found(number).status

    def draft(self) -> Draft:
        """Return a draft for what other rules will do; keep() makes it the state."""
        return Draft(self.state)

    def keep(self, draft: Draft) -> None:
        """Take over what was done to a draft."""
        self.state = self.state.after(draft.writes())

    def weigh(self, who: Person, weight: int) -> None:
        """Give somebody another weight, in the next block."""
        draft = self.draft()
        weights.set_weight(draft, who.id, weight, self.height, self.now)
        self.keep(draft)

    def govern(self, **changes: int) -> None:
        """Put other rules of votes in force."""
        draft = self.draft()
        params.GOVERNANCE.save(draft, replace(params.GOVERNANCE.load(draft), **changes))
        self.keep(draft)

    def balance(self, account: AccountId) -> int:
        """Return what an account or pool holds."""
        return accounts.load(self.state, account).balance

    def pools(self) -> tuple[int, int]:
        """Return all deposits and all bonds."""
        return self.balance(pools.PROPOSAL_DEPOSITS), self.balance(pools.BALLOT_BONDS)

    def audit(self) -> None:
        """Return if every credit and every weight is where the records say."""
        supply.check_invariant(self.state)
        weights.check_invariant(self.state)
        execution.check_invariant(self.state)


def opened(**changes: int) -> Assembly:
    """Return a chain on which dave's opinion is voted on, by these rules."""
    chain = Assembly(rules=replace(RULES, **changes))
    chain.propose()
    return chain
