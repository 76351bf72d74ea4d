"""Relays, escrows and issuers against a model that is nothing but dictionaries of numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from abci_currency import params
from abci_currency.params import DAY_MS
from abci_currency.state import escrows, relays
from abci_currency.state.escrows import EscrowId
from abci_currency.txs import escrow, issuer, relay
from abci_currency.txs.escrow import CloseEscrow, OpenEscrow, SettleEscrow, TopUpEscrow
from abci_currency.txs.issuer import (
    CloseIssuerBond,
    OpenIssuerBond,
    PublishTokenKey,
    SettleIssuerBond,
    TopUpIssuerBond,
)
from abci_currency.txs.relay import SettleRelay, TopUpRelay, UnbondRelay
from dchat.kernel import signing
from dchat.kernel.family import Family
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from tests.fakes.memory import ALICE, BOB, CAROL, Person
from tests.fakes.postage import STAKE, Clockwork, peer_of, registration

T = TypeVar("T")
FUNDS = 10**12
FEE = 2000
LEAST = 1_000_000
CHEQUES = signing.public_key(b"q" * 32)
SEEDS = (b"1" * 32, b"2" * 32)

people = st.sampled_from([ALICE, BOB])
picks = st.integers(0, 4)
seeds = st.sampled_from(SEEDS)
odd_sums = st.sampled_from([0, 1, 2, 999, LEAST - 1, LEAST, STAKE - 1, 2**64 - 1])
sums = st.sampled_from([STAKE, STAKE + 1, 2 * STAKE]) | st.sampled_from([STAKE, LEAST]) | odd_sums
seldom = st.sampled_from([False, False, False, True])
spans = st.sampled_from([0, 1, DAY_MS, 7 * DAY_MS])


@dataclass
class Kept:
    """What the model knows of a relay, an escrow or a bond."""

    owner: Person
    held: int
    due: int = 0
    paid: int = 0
    jailed_until: int = 0
    since: int = 0
    """The height at which it was opened."""
    payee: Person | None = None
    peer: bytes = b""


class Postage(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.chain = Clockwork(alice=FUNDS, bob=FUNDS)
        self.funds = {ALICE: FUNDS, BOB: FUNDS, CAROL: 0}
        self.relays: dict[bytes, Kept] = {}
        self.escrows: dict[tuple[Person, int], Kept] = {}
        self.bonds: dict[Person, Kept] = {}
        self.burned = 0

    @initialize()
    def begin(self) -> None:
        self.register(ALICE, SEEDS[0], STAKE)
        self.open_escrow(BOB, SEEDS[0], STAKE)
        self.open_bond(ALICE, LEAST)

    def order(self, who: Person, family: Family[T], fields: T, *, allowed: bool) -> bool:
        """Send it; it must be carried out if the model allows it, and the fee is paid anyway."""
        outcome = self.chain.send(who, family, fields)
        self.funds[who] -= FEE
        assert (outcome.code == 0) is allowed, outcome
        return allowed

    def affords(self, who: Person, amount: int) -> bool:
        return amount <= self.funds[who] - FEE

    def serves(self, seed: bytes) -> bool:
        kept = self.relays.get(seed)
        return bool(
            kept and not kept.due and kept.held >= STAKE and kept.jailed_until <= self.chain.now
        )

    def is_due(self, kept: Kept | None) -> bool:
        return bool(kept and kept.due and kept.due <= self.chain.now)

    @property
    def in_force(self) -> params.Relays:
        return params.RELAYS.load(self.chain.state)

    def sender(self, kept: Kept | None, *, other: bool) -> Person:
        """Return the owner, or else somebody who has no right to it."""
        owner = kept.owner if kept else ALICE
        return {ALICE: BOB, BOB: ALICE}[owner] if other else owner

    def number_of(self, payer: Person, pick: int) -> int:
        """Return the number of one of the payer's escrows, or any where he has none."""
        own = [number for who, number in self.escrows if who == payer]
        return own[pick % len(own)] if own else pick

    @rule(who=people, seed=seeds, amount=sums)
    def register(self, who: Person, seed: bytes, amount: int) -> None:
        allowed = seed not in self.relays and amount >= STAKE and self.affords(who, amount)
        height = self.chain.height
        form = registration(who.id, seed, amount, until=height + 5)
        if self.order(who, relay.REGISTER, form, allowed=allowed):
            self.relays[seed] = Kept(who, amount, since=height)
            self.funds[who] -= amount

    @rule(other=seldom, seed=seeds, amount=sums)
    def top_up_relay(self, *, other: bool, seed: bytes, amount: int) -> None:
        kept = self.relays.get(seed)
        who = self.sender(kept, other=other)
        mine = kept and kept.owner == who and not kept.due
        allowed = bool(mine and amount > 0 and self.affords(who, amount))
        body = TopUpRelay(peer_of(seed), Amount(amount))
        if self.order(who, relay.TOP_UP, body, allowed=allowed) and kept:
            kept.held += amount
            self.funds[who] -= amount

    @rule(other=seldom, seed=seeds)
    def unbond(self, *, other: bool, seed: bytes) -> None:
        kept = self.relays.get(seed)
        who = self.sender(kept, other=other)
        allowed = bool(kept and kept.owner == who and not kept.due)
        if self.order(who, relay.UNBOND, UnbondRelay(peer_of(seed)), allowed=allowed) and kept:
            kept.due = self.chain.now + self.in_force.unbonding_ms

    @rule(who=people, seed=seeds)
    def settle_relay(self, who: Person, seed: bytes) -> None:
        allowed = self.is_due(self.relays.get(seed))
        if self.order(who, relay.SETTLE, SettleRelay(peer_of(seed)), allowed=allowed):
            kept = self.relays.pop(seed)
            self.funds[kept.owner] += kept.held

    @rule(seed=seeds, amount=odd_sums, age=st.integers(0, 40))
    def slash(self, seed: bytes, amount: int, age: int) -> None:
        offence = max(0, self.chain.height - age)
        kept = self.relays.get(seed)
        taken = min(amount, kept.held) if kept and offence >= kept.since else 0
        draft = self.chain.draft()
        assert relays.slash(draft, peer_of(seed), Amount(amount), Height(offence)) == taken
        self.chain.keep(draft)
        self.burned += taken
        if kept:
            kept.held -= taken

    @rule(seed=seeds, span=spans)
    def jail(self, seed: bytes, span: int) -> None:
        draft = self.chain.draft()
        until = self.chain.now + span
        relays.jail(draft, peer_of(seed), EpochMs(until))
        self.chain.keep(draft)
        if seed in self.relays:
            kept = self.relays[seed]
            kept.jailed_until = max(kept.jailed_until, until)

    @rule(who=people, seed=seeds, amount=sums)
    def open_escrow(self, who: Person, seed: bytes, amount: int) -> None:
        allowed = self.serves(seed) and amount >= LEAST and self.affords(who, amount)
        body = OpenEscrow(peer_of(seed), CHEQUES, Amount(amount))
        number = self.chain.nonces.get(who, 0) + 1
        if self.order(who, escrow.OPEN, body, allowed=allowed):
            payee = self.relays[seed].owner
            self.escrows[who, number] = Kept(who, amount, payee=payee, peer=seed)
            self.funds[who] -= amount

    @rule(who=people, pick=picks, amount=sums)
    def top_up_escrow(self, who: Person, pick: int, amount: int) -> None:
        number = self.number_of(who, pick)
        kept = self.escrows.get((who, number))
        good = kept and not kept.due and self.serves(kept.peer)
        same = kept and good and self.relays[kept.peer].owner == kept.payee
        allowed = bool(same and amount > 0 and self.affords(who, amount))
        body = TopUpEscrow(number, Amount(amount))
        if self.order(who, escrow.TOP_UP, body, allowed=allowed) and kept:
            kept.held += amount
            self.funds[who] -= amount

    @rule(who=people, pick=picks)
    def close_escrow(self, who: Person, pick: int) -> None:
        number = self.number_of(who, pick)
        kept = self.escrows.get((who, number))
        allowed = bool(kept and not kept.due)
        if self.order(who, escrow.CLOSE, CloseEscrow(number), allowed=allowed) and kept:
            kept.due = self.chain.now + self.in_force.escrow_delay_ms

    @rule(who=people, payer=people, pick=picks)
    def settle_escrow(self, who: Person, payer: Person, pick: int) -> None:
        number = self.number_of(payer, pick)
        self.settle(payer, number, who)

    def settle(self, payer: Person, number: int, who: Person = ALICE) -> None:
        allowed = self.is_due(self.escrows.get((payer, number)))
        if self.order(who, escrow.SETTLE, SettleEscrow(payer.id, number), allowed=allowed):
            self.funds[payer] += self.escrows.pop((payer, number)).held

    @rule(payer=people, pick=picks, promised=sums)
    def claim(self, payer: Person, pick: int, promised: int) -> None:
        number = self.number_of(payer, pick)
        kept = self.escrows.get((payer, number))
        live = kept if kept and not self.is_due(kept) else Kept(payer, 0)
        due = min(max(0, promised - live.paid), live.held)
        draft, which = self.chain.draft(), EscrowId(payer.id, number)
        assert escrows.claim(draft, which, Amount(promised), CAROL.id, self.chain.now) == due
        self.chain.keep(draft)
        live.held, live.paid = live.held - due, live.paid + due
        self.funds[CAROL] += due

    @rule(who=people, amount=sums)
    def open_bond(self, who: Person, amount: int) -> None:
        allowed = who not in self.bonds and amount >= LEAST and self.affords(who, amount)
        if self.order(who, issuer.OPEN, OpenIssuerBond(Amount(amount)), allowed=allowed):
            self.bonds[who] = Kept(who, amount)
            self.funds[who] -= amount

    @rule(who=people, amount=sums)
    def top_up_bond(self, who: Person, amount: int) -> None:
        kept = self.bonds.get(who)
        allowed = bool(kept and not kept.due and amount > 0 and self.affords(who, amount))
        body = TopUpIssuerBond(Amount(amount))
        if self.order(who, issuer.TOP_UP, body, allowed=allowed) and kept:
            kept.held += amount
            self.funds[who] -= amount

    @rule(who=people, ahead=st.integers(0, 2), exponent=st.integers(0, 2))
    def publish(self, who: Person, ahead: int, exponent: int) -> None:
        record = escrows.bond(self.chain.state, who.id)
        epoch = self.chain.now // self.in_force.token_epoch_ms + ahead
        taken = {(key.epoch, key.exponent) for key in record.keys} if record else set()
        free = (epoch, exponent) not in taken
        body = PublishTokenKey(epoch, exponent, bytes(32))
        allowed = bool(record and not record.is_closing and free)
        self.order(who, issuer.PUBLISH, body, allowed=allowed)

    @rule(who=people)
    def close_bond(self, who: Person) -> None:
        kept, record = self.bonds.get(who), escrows.bond(self.chain.state, who.id)
        allowed = bool(kept and not kept.due)
        if self.order(who, issuer.CLOSE, CloseIssuerBond(), allowed=allowed) and kept and record:
            last = max((key.ends_at for key in record.keys), default=0)
            kept.due = max(self.chain.now, last) + self.in_force.escrow_delay_ms

    @rule(who=people, owner=people)
    def settle_bond(self, who: Person, owner: Person) -> None:
        allowed = self.is_due(self.bonds.get(owner))
        if self.order(who, issuer.SETTLE, SettleIssuerBond(owner.id), allowed=allowed):
            self.funds[owner] += self.bonds.pop(owner).held

    @rule(owner=people, amount=sums)
    def claim_bond(self, owner: Person, amount: int) -> None:
        kept = self.bonds.get(owner)
        live = kept if kept and not self.is_due(kept) else Kept(owner, 0)
        due, draft = min(amount, live.held), self.chain.draft()
        now = self.chain.now
        assert escrows.claim_bond(draft, owner.id, Amount(amount), CAROL.id, now) == due
        self.chain.keep(draft)
        live.held -= due
        self.funds[CAROL] += due

    @rule(who=people, pick=picks, seed=seeds)
    def much_ends(self, who: Person, pick: int, seed: bytes) -> None:
        self.close_escrow(who, pick)
        self.unbond(other=False, seed=seed)
        self.close_bond(who)

    @rule(early=st.sampled_from([0, 0, 1]), pick=picks)
    def something_comes_due_and_all_is_settled(self, early: int, pick: int) -> None:
        kept = (*self.relays.values(), *self.escrows.values(), *self.bonds.values())
        ahead = sorted(each.due - early for each in kept if each.due - early > self.chain.now)
        self.chain.pass_ms((ahead[pick % len(ahead)] if ahead else self.chain.now) - self.chain.now)
        for seed in SEEDS:
            self.settle_relay(ALICE, seed)
        for payer, number in tuple(self.escrows):
            self.settle(payer, number)
        for owner in tuple(self.bonds):
            self.settle_bond(BOB, owner)

    @rule(span=spans)
    def time_goes_by(self, span: int) -> None:
        self.chain.pass_ms(span)

    @rule(days=st.sampled_from([1, 14, 28]))
    def a_vote_changes_delays(self, days: int) -> None:
        draft = self.chain.draft()
        changed = replace(self.in_force, unbonding_ms=days * DAY_MS, escrow_delay_ms=days * DAY_MS)
        params.RELAYS.save(draft, changed)
        self.chain.keep(draft)

    @invariant()
    def every_unit_is_where_the_model_has_it(self) -> None:
        self.chain.audit()
        kept = (self.relays, self.escrows, self.bonds)
        assert self.chain.pools() == tuple(sum(k.held for k in each.values()) for each in kept)
        assert {who: self.chain.balance(who.id) for who in self.funds} == self.funds

    @invariant()
    def what_is_there_is_what_the_model_has(self) -> None:
        found = [
            (peer, each.stake, each.leaves_at) for peer, each in relays.relays(self.chain.state)
        ]
        modelled = [(peer_of(at), kept.held, kept.due) for at, kept in self.relays.items()]
        assert found == sorted(modelled)
        numbers = [(each.payer, each.number) for each, _ in escrows.escrows(self.chain.state)]
        assert numbers == sorted((AccountId(who.id), number) for who, number in self.escrows)


TestPostage = Postage.TestCase
TestPostage.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
