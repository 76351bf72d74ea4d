"""The currency chain as a whole, under any orders, offences, absences, times and votes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from abci_currency import keys, params
from abci_currency.hooks import maturing
from abci_currency.machine import FAMILIES
from abci_currency.state import audit, escrows, pools, presence, relays, rewards, stake, vesting
from abci_currency.state.escrows import EscrowId
from dchat.kernel import accounts, bundle, codec, due, supply
from dchat.kernel import params as kernel
from dchat.kernel.errors import ParameterOutOfBounds
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.machine import BlockContext, Misbehaviour, Offence
from dchat.kernel.refusals import REFUSALS
from dchat.kernel.store import Draft, State
from tests.fakes.economy import PEOPLE, SPAN_MS, Economy, beginning
from tests.fakes.errands import ERRANDS, SEEDS, STRANGER, escrow_of, opening, ordered
from tests.fakes.ledger import Ledger, strongest, wealth
from tests.fakes.postage import peer_of
from tests.fakes.world import Deed, Made

CHOICES = {
    ("staking", "max_validators"): (1, 2, 3, 4, 6),
    ("staking", "min_validator_stake"): (10**6, 10**8, 10**9),
    ("staking", "unbonding_ms"): (1_000, SPAN_MS // 2, SPAN_MS, 3 * SPAN_MS),
    ("staking", "max_unbondings"): (1, 2, 3, 7),
    ("staking", "key_rotation_fee"): (0, 5 * 10**6),
    ("slashing", "missed_blocks_window"): (10, 11, 25),
    ("slashing", "min_signed_per_window_bp"): (0, 5_000, 9_000, 10_000),
    ("slashing", "downtime_slash_bp"): (0, 1, 3_333, 10_000),
    ("slashing", "downtime_jail_ms"): (0, 5_000),
    ("slashing", "double_sign_slash_bp"): (0, 1, 500, 3_333, 10_000),
    ("slashing", "double_sign_jail_ms"): (0, 10_000),
    ("slashing", "evidence_max_age_ms"): (1_000, SPAN_MS // 2, SPAN_MS, 3 * SPAN_MS),
    ("rewards", "fee_burn_bp"): (0, 3_000, 10_000),
    ("rewards", "fee_treasury_bp"): (0, 2_000),
    ("rewards", "epoch_ms"): (60_000, 90_001),
    ("rewards", "epoch_emission"): (0, 1, 3_000_007, 10**12),
    ("rewards", "emission_treasury_bp"): (0, 1_000, 10_000),
    ("rewards", "max_emission"): (0, 10**9, 10**15),
    ("relays", "min_stake"): (1, 10**7, 3 * 10**7),
    ("relays", "unbonding_ms"): (1_000, SPAN_MS),
    ("relays", "min_escrow"): (1, 10**6),
    ("relays", "escrow_delay_ms"): (1_000, SPAN_MS),
    ("relays", "token_epoch_ms"): (3_600_000, 7_200_001),
    ("kernel", "fee_per_1000_cost"): (0, 1_000, 1_500),
}

STAKE = ("delegate", "undelegate", "redelegate", "settle_unbonding", "delegate_vested", "unjail")

seeds = st.integers(0, 2**32 - 1)
errands = st.lists(st.sampled_from((*sorted(ERRANDS), *STAKE * 5)), min_size=1, max_size=12)
spans = st.sampled_from([1, 1_000, 1_000, 5_000, 60_000, SPAN_MS - 1, SPAN_MS, 14 * 86_400_000])
masks = st.sampled_from([0, 0, 0, 1, 2, 5, 7, 14])
offences = st.tuples(st.integers(0, 12), st.integers(0, 5), st.booleans())
votes = st.sampled_from(
    [(section, name, value) for (section, name), most in CHOICES.items() for value in most]
)


class Whole(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = Economy()
        self.ledger = Ledger(beginning())
        self.said: list[bytes] = []
        self.proved: list[Misbehaviour] = []
        self.quiet = False
        """The last block had no transaction, no deed, no evidence and nothing to tell."""
        self.waiting = False
        """The last block had no room for what was due."""

    def block(
        self,
        *txs: bytes,
        after_ms: int = 1_000,
        mask: int = 0,
        evidence: Sequence[Misbehaviour] = (),
        deed: Deed | None = None,
    ) -> Made:
        voters = sorted(self.world.sets.get(self.world.height, {}))
        absent = [key for at, key in enumerate(voters[1:]) if mask >> at & 1]
        same = frozenset(absent) == self.world.absent
        deeds = {} if deed is None else {"deed": deed}
        made = self.world.block(*txs, after_ms=after_ms, absent=absent, evidence=evidence, **deeds)
        self.ledger.enter(made)
        for did in made.did:
            assert did.code in {0, *REFUSALS}
        quiet = not (txs or evidence or deed or made.result.events)
        if quiet and self.quiet and same:
            _check_idle(made)
        self.quiet = quiet and not made.result.validator_updates
        self.waiting = False
        return made

    @initialize()
    def some_set_postage_aside(self) -> None:
        self.block(*opening(self.world))

    @rule(names=errands, seed=seeds, span=spans, mask=masks)
    def orders(self, names: list[str], seed: int, span: int, mask: int) -> None:
        self.block(*self.signed(names, seed), after_ms=span, mask=mask)

    @rule(names=errands, more=errands, seed=seeds, span=spans)
    def orders_in_bundles(self, names: list[str], more: list[str], seed: int, span: int) -> None:
        raws, others = self.signed(names, seed), self.signed(more, seed)
        self.block(bundle.build(raws), others[0], bundle.build(others), after_ms=span)

    @rule(names=errands, seed=seeds, span=spans)
    def orders_while_the_queue_is_full(self, names: list[str], seed: int, span: int) -> None:
        txs = self.signed(["settle_unbonding", *names, "settle_unbonding"], seed)
        self.block(*txs, after_ms=span, deed=_fill_queue)
        self.waiting = True

    def signed(self, names: list[str], seed: int) -> list[bytes]:
        raws = [ordered(self.world, name, seed) for name in names]
        self.said = [*self.said, *raws][-20:]
        return raws

    @precondition(lambda self: self.said)
    @rule(pick=st.integers(0, 99), harm=st.integers(0, 2_000))
    def a_stranger_repeats_and_harms(self, pick: int, harm: int) -> None:
        raw = self.said[pick % len(self.said)]
        at = harm % len(raw)
        harmed = raw[:at] + bytes([raw[at] ^ (1 + harm % 255)]) + raw[at + 1 :]
        made = self.block(raw, harmed)
        assert not made.did[1].admitted

    @rule(many=st.integers(1, 3), span=spans)
    def nothing_happens(self, many: int, span: int) -> None:
        self.block(after_ms=span)
        for _ in range(many):
            self.block()

    @rule(many=st.integers(2, 14), mask=st.sampled_from([1, 2, 4, 7]))
    def some_stay_away(self, many: int, mask: int) -> None:
        for _ in range(many):
            self.block(mask=mask)

    @precondition(lambda self: self.world.height > 0)
    @rule(found=st.lists(offences, min_size=1, max_size=3), again=st.booleans())
    def offences_are_proved(self, found: list[tuple[int, int, bool]], *, again: bool) -> None:
        proved = [self.offence(*each) for each in found]
        self.block(evidence=[*proved, *self.proved[:1]] if again else proved)
        self.proved = [*proved, *self.proved][:5]

    def offence(self, back: int, pick: int, light: bool) -> Misbehaviour:
        """Return an offence of somebody who voted at an earlier height."""
        height = max(1, self.world.height - back)
        voters = sorted(self.world.sets[height].items())
        key, power = voters[pick % len(voters)]
        kind = Offence.LIGHT_CLIENT_ATTACK if light else Offence.DUPLICATE_VOTE
        time = EpochMs(self.world.times[height])
        return Misbehaviour(kind, stake.address_of(key), power, Height(height), time)

    @rule(voted=votes)
    def a_vote_changes_a_parameter(self, voted: tuple[str, str, int]) -> None:
        section, name, value = voted
        self.block(deed=lambda draft, context: _vote(draft, context, section, {name: value}))

    @rule(seed=st.integers(0, 2**32 - 1))
    def relays_are_slashed_and_cheques_claimed(self, seed: int) -> None:
        chance = random.Random(seed)
        payer, number = escrow_of(self.world, chance)
        peer, promised = peer_of(chance.choice(SEEDS)), Amount(chance.randrange(30 * 10**6))
        share = chance.randrange(10_001)
        done: list[tuple[int, int]] = []

        def deed(draft: Draft, context: BlockContext) -> None:
            now, which = context.block_time_ms, EscrowId(payer.id, number)
            burned = relays.slash_share(draft, peer, share, context.height)
            relays.jail(draft, peer, EpochMs(now + 2_000))
            paid = escrows.claim(draft, which, promised, STRANGER, now)
            paid = Amount(paid + escrows.claim_bond(draft, payer.id, promised, STRANGER, now))
            done.append((burned, paid))

        self.block(deed=deed)
        assert set(done) == {done[0]}
        self.ledger.emit_deed(*done[0], STRANGER)

    @rule(part=st.integers(0, 100))
    def a_replica_joins_and_the_first_restarts(self, part: int) -> None:
        self.world.join(self.world.height * part // 100)
        self.world.restart()

    @invariant()
    def every_unit_is_where_the_records_say(self) -> None:
        audit.check_invariants(self.world.state)
        held = supply.load(self.world.state)
        assert (held.issued, held.burned) == (self.ledger.issued, self.ledger.burned)

    @invariant()
    def nobody_has_less_than_his_own_orders_leave_him(self) -> None:
        """What there is beyond are rewards: they, their pool and the treasury add up."""
        state = self.world.state
        ledger = self.ledger.liquid
        held = {AccountId(key[-32:]) for key, _ in state.scan(accounts.SPACE)}
        beyond = {each: _balance(state, each) - ledger[each] for each in held - {*pools.NAMES}}
        assert min(beyond.values()) >= 0
        kept = _balance(state, pools.REWARDS) + _balance(state, pools.TREASURY)
        assert sum(beyond.values()) + kept == self.ledger.common + ledger[pools.TREASURY]

    @invariant()
    def nobody_gets_back_more_than_he_staked_and_did_not_lose(self) -> None:
        worth = wealth(self.world.state)
        for who in PEOPLE:
            assert abs(worth[who.id] - self.ledger.stakes[who.id]) <= self.ledger.moves + 8

    @invariant()
    def nonces_count_what_was_admitted(self) -> None:
        for who in PEOPLE:
            nonce = accounts.load(self.world.state, who.id).nonce
            assert nonce == self.ledger.orders[who.id]

    @invariant()
    def locks_hold_what_was_neither_staked_nor_claimed(self) -> None:
        for who, lock in vesting.vestings(self.world.state):
            assert lock.staked == self.ledger.locked[who]
            assert lock.claimed <= lock.vested(EpochMs(self.world.time))

    @invariant()
    def the_strongest_vote(self) -> None:
        chosen = dict(strongest(self.world.state))
        assert self.world.active() == chosen or not chosen
        assert self.world.told == self.world.active()

    @precondition(lambda self: not self.waiting)
    @invariant()
    def what_is_due_has_ended(self) -> None:
        for _, record in self.world.state.scan(keys.UNBONDINGS):
            assert stake.UNBONDING.decode_own(record).due > self.world.time
        for _, record in self.world.state.scan(keys.REDELEGATIONS):
            assert stake.REDELEGATION.decode_own(record).due > self.world.time

    @invariant()
    def nothing_waits_to_end_an_unbonding_that_is_over(self) -> None:
        """Else it would end the next one of that number before its time."""
        state = self.world.state
        waiting = [codec.unpack_array(key)[2] for key, _ in state.scan(due.SPACE)]
        places = [codec.Blob(200).lift(key) for key in waiting]
        assert all(state.get(key) for key in places if key.startswith(keys.UNBONDINGS))

    @invariant()
    def an_idle_chain_idles(self) -> None:
        *_, last = self.world.ahead(3)
        assert last.writes == {}

    def teardown(self) -> None:
        self.world.join(self.world.height // 2)


def _check_idle(made: Made) -> None:
    """Return if nothing was written but what ended long ago, or a streak of absence that began."""
    before, after = presence.away(made.before).streaks, presence.away(made.after).streaks
    written = [key for key in made.result.writes if not key.startswith(due.SPACE)]
    assert written == ([keys.AWAY] if len(after) > len(before) else [])


def _balance(state: State, account: AccountId) -> int:
    return accounts.load(state, account).balance


def _fill_queue(draft: Draft, _: BlockContext) -> None:
    """Put places at the queue's head whose entries ended otherwise: as many as a block ends."""
    for at in range(maturing.MOST_A_BLOCK):
        draft.put(due.key(EpochMs(1), keys.redelegation(STRANGER, STRANGER, at)), b"\x90")


def _vote(draft: Draft, context: BlockContext, section: str, change: Mapping[str, int]) -> None:
    """Put a change in force as a vote will: what is owed by the old rules is issued first."""
    rewards.accrue(draft, context.block_time_ms)
    child = draft.fork()
    match section:
        case "staking":
            params.STAKING.save(child, replace(params.STAKING.load(draft), **change))
        case "slashing":
            params.SLASHING.save(child, replace(params.SLASHING.load(draft), **change))
        case "rewards":
            params.REWARDS.save(child, replace(params.REWARDS.load(draft), **change))
        case "relays":
            params.RELAYS.save(child, replace(params.RELAYS.load(draft), **change))
        case _:
            kernel.save(child, replace(kernel.load(draft), **change))
    with suppress(ParameterOutOfBounds):
        params.check_together(
            params.STAKING.load(child), params.SLASHING.load(child), params.REWARDS.load(child)
        )
        draft.merge(child)


def test_there_is_an_errand_for_every_family() -> None:
    assert set(ERRANDS) == {each.name for each in FAMILIES.values()}


TestWhole = Whole.TestCase
TestWhole.settings = settings(
    max_examples=settings().max_examples // 3, stateful_step_count=25, deadline=None
)
