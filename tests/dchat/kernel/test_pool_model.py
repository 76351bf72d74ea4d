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
    """What counts as waiting, in order, and the committed state it waits on."""

    def __init__(self, state: MemoryState) -> None:
        self.state = state
        self.height = 1
        self.waiting: list[bytes] = []

    def check(self, raw: bytes) -> int:
        if raw in self.waiting:
            return 0
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
        self.mempool: list[bytes] = []

    @rule(who=people, to=people, amount=amounts, gap=st.sampled_from([0, 0, 1]), last=lasts)
    def offer(self, who: Person, to: Person, amount: int, gap: int, last: int) -> None:
        self.seen.append(self.next_of(who, to, amount, gap, last))
        self.submit(self.seen[-1:])

    @rule(who=people, amount=amounts)
    def ask(self, who: Person, amount: int) -> None:
        """RPC's `check_tx`: the mempool never holds it, unless it is offered afterwards."""
        self.seen.append(self.next_of(who, BOB, amount, 0, 1))
        self.check(self.seen[-1:])

    def next_of(self, who: Person, to: Person, amount: int, gap: int, last: int) -> bytes:
        account, ahead = accounts.load(self.model.state, who.id), self.model.ahead(who.id)
        nonce = account.nonce + len(ahead) + gap
        return pay(who, to, amount, nonce, self.model.height + last)

    @rule(picks=picks)
    def offer_again(self, picks: list[int]) -> None:
        """What was refused, what waits, what a block has carried: in any order, some twice."""
        self.submit([self.seen[pick] for pick in picks if pick < len(self.seen)])

    @rule(picks=picks, who=people, amount=amounts)
    def block(self, picks: list[int], who: Person, amount: int) -> None:
        """Some of what waits, in whatever order, behind one that this node has never seen."""
        nonce = accounts.load(self.model.state, who.id).nonce
        foreign = pay(who, BOB, amount, nonce, self.model.height)
        self.execute([foreign, *(self.mempool[at] for at in picks if at < len(self.mempool))])

    @rule()
    def own_block(self) -> None:
        self.execute(self.proposal())

    @rule()
    def restart(self) -> None:
        """CometBFT's mempool is gone with what waited in it."""
        self.pool.forget()
        self.mempool, self.model.waiting = [], []

    def check(self, raws: list[bytes]) -> list[int]:
        at = at_height(self.model.height)
        codes = [each.code for each in self.pool.check_many(self.model.state, raws, at)]
        assert codes == [self.model.check(raw) for raw in raws]
        return codes

    def submit(self, raws: list[bytes]) -> None:
        accepted = [raw for raw, code in zip(raws, self.check(raws), strict=True) if code == 0]
        self.mempool = list(dict.fromkeys([*self.mempool, *accepted]))

    def proposal(self) -> list[bytes]:
        at = at_height(self.model.height)
        return list(self.pool.propose(self.model.state, self.mempool, 10**6, at))

    def execute(self, txs: list[bytes]) -> None:
        self.model.commit(txs)
        self.pool.commit(txs)
        left = [raw for raw in self.mempool if raw not in txs]
        at = at_height(self.model.height)
        codes = [self.pool.check(self.model.state, raw, at).code for raw in left]
        assert codes == self.model.recheck(left)
        self.mempool = list(self.model.waiting)

    @invariant()
    def the_same_waits_in_the_same_order(self) -> None:
        assert list(self.pool.verified) == self.model.waiting

    @invariant()
    def whatever_is_proposed_pays(self) -> None:
        block = Block(at_height(self.model.height), self.proposal())
        result = run_block(MACHINE, self.model.state, block, self.pool.recognise(block.txs))
        assert [outcome for outcome in result.outcomes if not outcome.cost_used] == []
        assert result == run_block(MACHINE, self.model.state, block, {})

    @invariant()
    def nothing_is_left_out_without_need(self) -> None:
        """Nobody only asked: then all that waits is proposed."""
        assert self.mempool != self.model.waiting or self.proposal() == self.mempool


TestPoolBesideModel = PoolBesideModel.TestCase
