"""Bundles, their parts and copies of them, in a mempool as CometBFT keeps it."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.kernel import accounts, bundle, tx
from dchat.kernel.ids import Amount
from dchat.kernel.machine import Block, run_block
from dchat.kernel.pool import Pool, Room
from tests.fakes.memory import ALICE, BOB, CAROL, Person, at_height, opened, signed

ROOM = 8
FEE = 150
people = st.sampled_from([ALICE, BOB])
lasts = st.integers(0, 2)
parts = st.lists(st.tuples(people, lasts), min_size=1, max_size=4)
picks = st.lists(st.integers(0, 20), min_size=1, max_size=4)


class BundlesInAMempool(RuleBasedStateMachine):
    @initialize(alice=st.integers(300, 3000), bob=st.integers(300, 3000))
    def start(self, alice: int, bob: int) -> None:
        self.state = opened(MACHINE, alice=alice, bob=bob)
        self.height = 1
        self.pool = Pool(MACHINE, Room(ROOM, 10**6))
        self.made: list[bytes] = []
        self.mempool: list[bytes] = []

    @rule(who=people, gap=st.sampled_from([0, 0, 0, 1]), last=lasts)
    def alone(self, who: Person, gap: int, last: int) -> None:
        self.submit(self.pay(who, self.due(who) + gap, last))

    @rule(parts=parts)
    def together(self, parts: list[tuple[Person, int]]) -> None:
        nonces = {who: self.due(who) for who in (ALICE, BOB)}
        raws: list[bytes] = []
        for who, last in parts:
            raws.append(self.pay(who, nonces[who], last))
            nonces[who] += 1
        self.submit(bundle.build(raws))

    @rule(picks=picks)
    def together_again(self, picks: list[int]) -> None:
        """What came alone, in other bundles, or was refused."""
        parts = [self.made[pick] for pick in picks if pick < len(self.made)]
        if parts:
            self.submit(bundle.build(parts))

    @rule(pick=st.integers(0, 20))
    def alone_again(self, pick: int) -> None:
        if pick < len(self.made):
            self.submit(self.made[pick])

    @rule(picks=st.lists(st.integers(0, 20), max_size=4))
    def block(self, picks: list[int]) -> None:
        """Somebody else's block: parts of bundles that wait here, and what nobody here has seen."""
        self.execute([self.made[pick] for pick in picks if pick < len(self.made)])

    @rule(size=st.integers(1, 4))
    def elsewhere(self, size: int) -> None:
        """Somebody else's block: the first of what waits here, taken out of its bundles."""
        self.execute(self.live()[:size])

    @rule()
    def own_block(self) -> None:
        self.execute(list(self.proposal()))

    def pay(self, who: Person, nonce: int, last: int) -> bytes:
        body = transfer.FAMILY.body(Transfer(CAROL.id, Amount(5)))
        until = self.height + last
        raw = signed(who, body, nonce, fee=FEE, cost_limit=FEE, valid_until_height=until)
        self.made.append(raw)
        return raw

    def due(self, who: Person) -> int:
        waiting = [tx.decode(raw).envelope for raw in self.live()]
        return accounts.load(self.state, who.id).nonce + sum(
            envelope.sender == who.id for envelope in waiting
        )

    def live(self) -> list[bytes]:
        """What of the mempool would be charged, in its order."""
        parts = [part for raw in self.mempool for part in bundle.carried(raw)]
        block = Block(at_height(self.height), parts)
        outcomes = run_block(MACHINE, self.state, block, {}).outcomes
        return [part for part, did in zip(parts, outcomes, strict=True) if did.cost_used]

    def submit(self, raw: bytes) -> None:
        before = self.live()
        code = self.pool.check(self.state, raw, at_height(self.height)).code
        if code == 0 and raw not in self.mempool:
            self.mempool.append(raw)
            assert self.live() == [*before, *bundle.carried(raw)], "let in what would not be paid"

    def proposal(self) -> tuple[bytes, ...]:
        return self.pool.propose(self.state, self.mempool, 10**6, at_height(self.height))

    def execute(self, txs: list[bytes]) -> None:
        block = Block(at_height(self.height), txs)
        result = run_block(MACHINE, self.state, block, self.pool.recognise(txs))
        assert result == run_block(MACHINE, self.state, block, {})
        self.state = self.state.after(result.writes)
        self.pool.commit(txs)
        self.height += 1
        left = [raw for raw in self.mempool if raw not in txs]
        self.mempool = left
        would_run = self.live()
        codes = [self.pool.check(self.state, raw, at_height(self.height)).code for raw in left]
        self.mempool = [raw for raw, code in zip(left, codes, strict=True) if code == 0]
        assert self.live() == would_run, "lost what could still run"

    @invariant()
    def a_proposal_holds_all_that_would_be_paid_and_nothing_else(self) -> None:
        chosen = self.proposal()

        assert [part for raw in chosen for part in bundle.carried(raw)] == self.live()
        assert self.pool.accepts(self.state, chosen)

    @invariant()
    def the_pool_holds_no_more_than_it_has_room_for(self) -> None:
        assert set(self.live()) <= {*self.pool.verified}
        assert len(self.pool.verified) <= ROOM


TestBundlesInAMempool = BundlesInAMempool.TestCase
