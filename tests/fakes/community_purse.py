"""Plain books of the chat chain's credits, nonces and reputations, by what blocks tell."""

from __future__ import annotations

from collections import Counter

from abci_chat import keys, params
from abci_chat.genesis import Beginning
from abci_chat.hooks.recoveries import IdentityRecovered
from abci_chat.state import reputation
from abci_chat.state.cases import CaseSettled
from abci_chat.state.execution import ProposalDecided
from abci_chat.state.jury import JurorCharged, JurorLeft
from abci_chat.state.proposals import Status
from abci_chat.state.reputation import Deed
from abci_chat.txs.ballot import BallotCommitted, RevealBallot
from abci_chat.txs.channel import ChannelCreated, ChannelWasClosed
from abci_chat.txs.juror import JoinJury
from abci_chat.txs.proposal import ProposalOpened
from abci_chat.txs.report import Reported
from dchat.kernel import accounts, supply, tx
from dchat.kernel.ids import AccountId, Height
from tests.fakes.community_acts import Act
from tests.fakes.memory import MemoryState
from tests.fakes.world import Made

HALF_LIVES = 8


class Purse:
    """What everybody has by what was told, and what their deeds count."""

    def __init__(self, begun: Beginning) -> None:
        self.liquid: Counter[AccountId] = Counter()
        for each in begun.kernel.allocations:
            self.liquid[each.account] += each.balance
        self.issued, self.burned = self.liquid.total(), 0
        self.orders: Counter[AccountId] = Counter()
        """Transactions that counted."""
        self.deeds: Counter[tuple[AccountId, Deed, int]] = Counter()
        """Thousandths of points by whose they are, what for, and the height where they begin."""
        self.deposits: dict[bytes, int] = {}
        """Of channels."""
        self.votes: dict[int, tuple[AccountId, int]] = {}
        """Proposer and deposit."""
        self.ballots: dict[tuple[int, AccountId], int] = {}
        """Bonds of private ballots."""
        self.reports: dict[int, tuple[AccountId, int]] = {}
        """Reporter and bond."""
        self.jurors: Counter[AccountId] = Counter()

    def pay(self, made: Made) -> None:
        """Count nonces and fees of a block."""
        paid: Counter[AccountId] = Counter()
        for did in made.did:
            if not did.admitted:
                assert did.code
                continue
            envelope = tx.decode(did.raw).envelope
            assert envelope.nonce == self.orders[envelope.sender]
            self.orders[envelope.sender] += 1
            paid[envelope.sender] += envelope.fee
        self.liquid.subtract(paid)
        self.burned += paid.total()
        points = params.REPUTATION.load(made.after).fee_points
        for who, fees in paid.items():
            if made.after.get(keys.identity(who)) is not None:
                self.count(who, Deed.FEES_PAID, fees * points, made.context.height, made.after)

    def count(
        self, who: AccountId, deed: Deed, thousandths: int, height: int, rules: MemoryState
    ) -> None:
        """Count a deed."""
        half = params.REPUTATION.load(rules).half_life_blocks // 2
        self.deeds[who, deed, height - height % half] += thousandths

    def score(self, who: AccountId, height: int, half_life: int) -> int:
        """Return what all deeds of somebody count."""
        ages = {
            (deed, since): (height - since) // half_life
            for owner, deed, since in self.deeds
            if owner == who
        }
        left = [
            self.deeds[who, deed, since] // 2**age
            for (deed, since), age in ages.items()
            if age < HALF_LIVES
        ]
        return sum(left) // 1000

    def enter(self, act: Act) -> None:
        """Book what was set aside, came back or was burned."""
        match act.event:
            case ChannelCreated(channel):
                deposit = int(params.CHANNELS.load(act.rules).deposit)
                self.deposits[channel] = deposit
                self.liquid[act.who] -= deposit
            case ChannelWasClosed(channel, owner, deposit):
                assert deposit == self.deposits.pop(channel)
                self.liquid[owner] += deposit
            case ProposalOpened(number, proposer, _, deposit):
                assert number not in self.votes
                self.votes[number] = (proposer, deposit)
                self.liquid[proposer] -= deposit
            case ProposalDecided():
                self._decided(act.event)
            case BallotCommitted(number, voter, _, __, bond):
                self.liquid[voter] += self.ballots.pop((number, voter), 0) - bond
                self.ballots[number, voter] = bond
            case Reported(number, reporter, _, __, ___, bond):
                self.reports[number] = (reporter, bond)
                self.liquid[reporter] -= bond
            case CaseSettled(number, _, returned, burned):
                reporter, bond = self.reports.pop(number)
                assert returned + burned == bond
                self.liquid[reporter] += returned
                self.burned += burned
            case _:
                self._juror(act)

    def _decided(self, event: ProposalDecided) -> None:
        """Give a deposit back, or burn it with the bonds that nobody came back for."""
        proposer, deposit = self.votes.pop(event.proposal)
        left = [key for key in self.ballots if key[0] == event.proposal]
        burned = sum(self.ballots.pop(key) for key in left)
        if event.status in {Status.VETOED, Status.SHORT_OF_QUORUM}:
            burned += deposit
        else:
            self.liquid[proposer] += deposit
        assert event.burned == burned
        self.burned += burned

    def _juror(self, act: Act) -> None:
        match act.event:
            case JurorLeft(juror, bond):
                assert bond == self.jurors.pop(juror)
                self.liquid[juror] += bond
            case JurorCharged(juror, lost):
                self.jurors[juror] -= lost
                self.burned += lost
            case _:
                match act.form:
                    case JoinJury(amount):
                        self.jurors[act.who] += amount
                        self.liquid[act.who] -= amount
                    case RevealBallot(number):
                        self.liquid[act.who] += self.ballots.pop((number, act.who))
                    case _:
                        self._opened(act)

    def _opened(self, act: Act) -> None:
        """Give a bond back whose voter votes openly now."""
        number = getattr(act.form, "proposal", None)
        if number is not None and not isinstance(act.event, IdentityRecovered):
            self.liquid[act.who] += self.ballots.pop((number, act.who), 0)

    def check(self, state: MemoryState, height: int) -> None:
        """Return if the state has what was told."""
        held = supply.load(state)
        assert (held.issued, held.burned) == (self.issued, self.burned)
        half_life = params.REPUTATION.load(state).half_life_blocks
        for who in self.liquid:
            account = accounts.load(state, who)
            assert account.balance == self.liquid[who]
            assert account.nonce == self.orders[who]
            for at in (height, height + half_life // 2, height + 3 * half_life):
                assert reputation.score(state, who, Height(at)) == self.score(who, at, half_life)
