"""The pool beside the plainest thing that could be right: a list, walked anew for each question."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.kernel import accounts, errors, tx
from dchat.kernel.ids import Amount
from dchat.kernel.machine import Block, run_block
from dchat.kernel.pool import Pool, Room
from tests.fakes.memory import ALICE, BOB, CAROL, MemoryState, Person, at_height, opened, signed

ROOM = 5
FEE = 150
people = st.sampled_from([ALICE, BOB, CAROL])
amounts = st.integers(1, 900)
lasts = st.integers(0, 2)
picks = st.lists(st.integers(0, 30), max_size=4)


def pay(who: Person, to: Person, amount: int, nonce: int, last: int) -> bytes:
    body = transfer.FAMILY.body(Transfer(to.id, Amount(amount)))
    return signed(who, body, nonce, fee=FEE, cost_limit=FEE, valid_until_height=last)


def may_spend(envelope: tx.Envelope) -> int:
    amount = envelope.body[2]
    assert isinstance(amount, int)
    return envelope.fee + amount


class Model:
    """What waits, in order, and the committed state it waits on."""

    def __init__(self, state: MemoryState) -> None:
        self.state = state
        self.height = 1
        self.waiting: list[bytes] = []

    def check(self, raw: bytes) -> int:
        code = errors.PoolFull.code if len(self.waiting) >= ROOM else self.judge(raw)
        self.waiting += [raw] if code == 0 else []
        return code

    def judge(self, raw: bytes) -> int:
        envelope = tx.decode(raw).envelope
        account, ahead = accounts.load(self.state, envelope.sender), self.ahead(envelope.sender)
        if envelope.valid_until_height < self.height:
            return errors.Expired.code
        if envelope.nonce != account.nonce + len(ahead):
            return errors.NonceMismatch.code
        left = account.balance - sum(may_spend(each) for each in ahead)
        return 0 if left >= envelope.fee else errors.CannotPayFee.code

    def ahead(self, sender: bytes) -> list[tx.Envelope]:
        envelopes = [tx.decode(raw).envelope for raw in self.waiting]
        return [each for each in envelopes if each.sender == sender]

    def commit(self, txs: list[bytes]) -> None:
        block = Block(at_height(self.height), txs)
        self.state = self.state.after(run_block(MACHINE, self.state, block, {}).writes)
        self.height += 1

    def recheck(self, left: list[bytes]) -> list[int]:
        self.waiting = []
        codes: list[int] = []
        for raw in left:
            codes.append(self.judge(raw))
            self.waiting += [raw] if codes[-1] == 0 else []
        return codes


class PoolBesideModel(RuleBasedStateMachine):
    @initialize(alice=st.integers(0, 2000), bob=st.integers(0, 2000))
    def start(self, alice: int, bob: int) -> None:
        self.model = Model(opened(MACHINE, alice=alice, bob=bob))
        self.pool = Pool(MACHINE, Room(ROOM, 10**6))
        self.seen: list[bytes] = []

    @rule(who=people, to=people, amount=amounts, gap=st.sampled_from([0, 0, 1]), last=lasts)
    def offer(self, who: Person, to: Person, amount: int, gap: int, last: int) -> None:
        account, ahead = accounts.load(self.model.state, who.id), self.model.ahead(who.id)
        nonce = account.nonce + len(ahead) + gap
        self.seen.append(pay(who, to, amount, nonce, self.model.height + last))
        self.check(self.seen[-1:])

    @rule(picks=picks)
    def offer_again(self, picks: list[int]) -> None:
        """What was refused, what waits, what a block has carried: in any order, some twice."""
        self.check([self.seen[pick] for pick in picks if pick < len(self.seen)])

    @rule(picks=picks, who=people, amount=amounts)
    def block(self, picks: list[int], who: Person, amount: int) -> None:
        """Some of what waits, in whatever order, behind one that this node has never seen."""
        nonce = accounts.load(self.model.state, who.id).nonce
        foreign = pay(who, BOB, amount, nonce, self.model.height)
        txs = [foreign, *(self.model.waiting[at] for at in picks if at < len(self.model.waiting))]
        self.execute(txs)

    @rule()
    def block_of_all(self) -> None:
        self.execute(list(self.model.waiting))

    def check(self, raws: list[bytes]) -> None:
        at = at_height(self.model.height)
        outcomes = self.pool.check_many(self.model.state, raws, at)
        assert [outcome.code for outcome in outcomes] == [self.model.check(raw) for raw in raws]

    def execute(self, txs: list[bytes]) -> None:
        self.model.commit(txs)
        self.pool.commit(txs)
        left = [raw for raw in self.model.waiting if raw not in txs]
        at = at_height(self.model.height)
        codes = [self.pool.check(self.model.state, raw, at).code for raw in left]
        assert codes == self.model.recheck(left)

    @invariant()
    def the_same_waits_in_the_same_order(self) -> None:
        assert list(self.pool.verified) == self.model.waiting

    @invariant()
    def whatever_waits_would_pay_in_the_next_block(self) -> None:
        block = Block(at_height(self.model.height), self.model.waiting)
        result = run_block(MACHINE, self.model.state, block, self.pool.recognise(block.txs))
        assert [outcome for outcome in result.outcomes if not outcome.cost_used] == []
        assert result == run_block(MACHINE, self.model.state, block, {})


TestPoolBesideModel = PoolBesideModel.TestCase
