"""A chat chain in memory on which reports are made, and jurors judge them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from abci_chat import params
from abci_chat.machine import MACHINE
from abci_chat.params import MODERATION
from abci_chat.state import cases, handles, identities, jury, pools, reputation, targets
from abci_chat.state.cases import Case, Reason
from abci_chat.state.jury import Juror
from abci_chat.state.targets import Kind, Target
from abci_chat.txs import report, verdict
from abci_chat.txs.report import Report
from abci_chat.txs.verdict import GiveVerdict
from dchat.kernel import accounts, machine, supply
from dchat.kernel.family import Event
from dchat.kernel.ids import AccountId, Amount, Height
from dchat.kernel.machine import Block, BlockContext, Outcome
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, Person, give
from tests.fakes.posting import FUNDS, Room

JURORS: Final = tuple(Person(bytes([0x60 + at]) * 32) for at in range(9))
"""Everybody with the same bond; seven of them are a jury."""
BOND: Final = MODERATION.default.juror_bond
REPORT_BOND: Final = MODERATION.default.report_bond
VERDICT_MS: Final = MODERATION.default.verdict_ms
APPEAL_MS: Final = MODERATION.default.appeal_ms
UNBONDING_MS: Final = MODERATION.default.unbonding_ms
FEE: Final = 20_000
SEED: Final = b"\x5e" * 32
HANDLE: Final = "carols_place"
EVIDENCE: Final = b"e" * 32
CAROLS: Final = Target(Kind.ACCOUNT, CAROL.id)
"""What is reported unless something else is."""
REPORT: Final = Report(CAROLS, (), Reason.ABUSE, EVIDENCE, REPORT_BOND)


class Court(Room):
    """A room with jurors. Alice owns its channel, carol has a handle, bob reports."""

    def __init__(self, jurors: int = len(JURORS)) -> None:
        super().__init__()
        draft = self.draft()
        for who in JURORS:
            give(draft, who.id, FUNDS)
        for who in JURORS[:jurors]:
            jury.bond(draft, who.id, BOND, Height(0))
        carol = identities.load(draft, CAROL.id)
        assert carol is not None
        handles.claim(draft, HANDLE, CAROL.id)
        identities.save(draft, CAROL.id, replace(carol, handle=HANDLE))
        self.keep(draft)

    def draft(self) -> Draft:
        """Return a draft for what other rules do; keep() makes it the state."""
        return Draft(self.state)

    def context(self) -> BlockContext:
        """Return what a hook of the next block knows."""
        return BlockContext(CHAIN, self.height, self.now)

    def block(self, after_ms: int = 0) -> tuple[Event, ...]:
        """Make a block without transactions, so much later; return what its hooks tell."""
        self.pass_ms(after_ms)
        result = machine.run_block(MACHINE, self.state, Block(self.context(), ()), {})
        self.state = self.state.after(result.writes)
        self.height = Height(self.height + 1)
        return result.events

    def report(self, who: Person = BOB, form: Report = REPORT) -> Outcome:
        """Report something."""
        return self.send(who, report.REPORT, form)

    def seat(self, number: int = 1, seed: bytes = SEED) -> tuple[Event, ...]:
        """Draw the jury of a case, as if its window were over now."""
        draft = self.draft()
        told = cases.draw_jury(draft, number, seed, self.context())
        self.keep(draft)
        return told

    def judge(self, *said: bool, case: int = 1) -> list[int]:
        """Let the first jurors of a case say that, in this order; return the codes."""
        return [
            self.send(person, verdict.VERDICT, GiveVerdict(case, upholds)).code
            for person, upholds in zip(self.jurors(case), said, strict=False)
        ]

    def jurors(self, number: int = 1) -> list[Person]:
        """Return who is on a jury."""
        by_id = {each.id: each for each in (*JURORS, ALICE, BOB, CAROL)}
        return [by_id[who] for who in self.case(number).jurors]

    def case(self, number: int = 1) -> Case:
        """Return a case."""
        return cases.load(self.state, number)

    def marks(self, target: Target = CAROLS) -> tuple[int, ...]:
        """Return the cases of a target's mark."""
        return targets.marks(self.state, target)

    def juror(self, who: Person) -> Juror | None:
        """Return somebody's record as a juror."""
        return jury.load(self.state, who.id)

    def held(self, account: AccountId) -> int:
        """Return what an account or pool holds."""
        return accounts.load(self.state, account).balance

    def pools(self) -> tuple[int, int]:
        """Return what reports and jurors have bonded."""
        return self.held(pools.REPORT_BONDS), self.held(pools.JUROR_BONDS)

    def score(self, who: Person) -> int:
        """Return somebody's reputation without what fees have brought."""
        found = reputation.contributions(self.state, who.id, self.height)
        deeds = (reputation.Deed.VERDICT, reputation.Deed.REPORT_UPHELD)
        return sum(each.left for each in found if each.mark.deed in deeds) // 1000

    def set_rules(self, **changes: int) -> None:
        """Put other parameters of moderation in force."""
        draft = self.draft()
        rules = params.MODERATION.load(draft)
        params.MODERATION.save(draft, replace(rules, **{k: Amount(v) for k, v in changes.items()}))
        self.keep(draft)

    def audit(self) -> None:
        """Return if every credit is where the records say."""
        supply.check_invariant(self.state)
        jury.check_invariant(self.state)
        cases.check_invariant(self.state)


def reported() -> Court:
    """Return a court in which bob has reported carol."""
    court = Court()
    court.report()
    return court


def seated() -> Court:
    """Return a court whose jury has the report before it."""
    court = reported()
    court.seat()
    return court


def decided(*said: bool) -> Court:
    """Return a court whose jury has said that, and had its time; the bonds are not settled."""
    court = seated()
    court.judge(*said)
    court.block(VERDICT_MS)
    return court
