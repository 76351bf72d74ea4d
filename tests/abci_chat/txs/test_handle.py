from __future__ import annotations

from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from abci_chat import keys
from abci_chat.machine import MACHINE
from abci_chat.params import IDENTITIES
from abci_chat.state import handles, identities, work
from abci_chat.state.handles import Handle, HandleNotCommitted, HandleReserved, HandleTaken
from abci_chat.state.identities import Deactivated, NotRegistered
from abci_chat.txs.handle import (
    CLAIM,
    COMMIT,
    RELEASE,
    TRANSFER,
    BadConsent,
    ClaimHandle,
    CommitHandle,
    ConsentExpired,
    HandleClaimed,
    HandleCommitted,
    HandleReleased,
    HandleTransferred,
    HasHandle,
    NoHandle,
    ReleaseHandle,
    TransferHandle,
    committing,
)
from abci_chat.txs.identity import DEACTIVATE, Deactivate
from dchat.kernel import accounts, supply
from dchat.kernel.errors import NonceMismatch
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.machine import Block, Outcome, run_block
from tests.fakes import orders, toil
from tests.fakes.memory import (
    ALICE,
    BOB,
    CAROL,
    CHAIN,
    FUNDS,
    START,
    MemoryState,
    Person,
    at_height,
    opened,
    run,
    signed,
)

SALT = b"s" * 32
UNTIL = Height(50)
PROMISE = handles.commitment(CHAIN, ALICE.id, "alice", SALT)
HELD = Handle("alice", ALICE.id)
SOON = replace(IDENTITIES.default, handle_release_ms=1000)


def send(
    chain: MemoryState, who: Person, body: orders.Body, height: int = 5
) -> tuple[MemoryState, Outcome]:
    nonce = accounts.load(chain, who.id).nonce
    result = run(MACHINE, chain, signed(who, body, nonce), height=height)
    return chain.after(result.writes), result.outcomes[0]


def start() -> MemoryState:
    """Alice and bob are registered without a handle, and alice has committed to one."""
    chain = toil.eased(opened(MACHINE, alice=FUNDS, bob=FUNDS))
    steps = (
        (ALICE, orders.registration(ALICE)),
        (BOB, orders.registration(BOB)),
        (ALICE, COMMIT.body(CommitHandle(PROMISE))),
    )
    return reduce(lambda state, each: send(state, *each, height=1)[0], steps, chain)


def as_alice() -> MemoryState:
    return send(start(), ALICE, CLAIM.body(ClaimHandle("alice", SALT)), 2)[0]


def passing(
    held: Handle = HELD, to: Person = BOB, by: Person = BOB, until: Height = UNTIL
) -> TransferHandle:
    return TransferHandle(to.id, until, handles.accept(by.seed, CHAIN, held, to.id, until))


def test_a_commitment_tells_nobody_what_it_is_to() -> None:
    after, outcome = send(start(), BOB, COMMIT.body(CommitHandle(b"c" * 32)))

    assert outcome.events == (HandleCommitted(BOB.id),)
    assert not list(after.scan(keys.HANDLES))


def test_a_later_commitment_takes_the_place_of_an_earlier_one() -> None:
    chain, _ = send(start(), ALICE, COMMIT.body(CommitHandle(b"c" * 32)))

    _, outcome = send(chain, ALICE, CLAIM.body(ClaimHandle("alice", SALT)), 6)

    assert outcome.code == HandleNotCommitted.code


def test_an_identity_without_a_handle_claims_one() -> None:
    after, outcome = send(start(), ALICE, CLAIM.body(ClaimHandle("alice", SALT)), 2)

    assert outcome.events == (HandleClaimed(ALICE.id, "alice"),)
    assert handles.owner(after, "alice") == ALICE.id
    assert identities.active(after, ALICE.id) == replace(
        identities.active(start(), ALICE.id), handle="alice"
    )


def test_a_released_handle_is_nobodys() -> None:
    after, outcome = send(as_alice(), ALICE, RELEASE.body(ReleaseHandle()))

    free_from = EpochMs(START + 5 + IDENTITIES.default.handle_release_ms)
    assert outcome.events == (HandleReleased(ALICE.id, "alice", free_from),)
    assert handles.owner(after, "alice") is None
    assert identities.active(after, ALICE.id).handle == ""


def test_a_handle_passes_on_with_both_signatures() -> None:
    after, outcome = send(as_alice(), ALICE, TRANSFER.body(passing()))

    assert outcome.events == (HandleTransferred(ALICE.id, BOB.id, "alice"),)
    assert handles.load(after, "alice") == Handle("alice", BOB.id, changes=1)
    assert [identities.active(after, who.id).handle for who in (ALICE, BOB)] == ["", "alice"]


@pytest.mark.parametrize(
    ("order", "height", "code"),
    [
        (passing(by=ALICE), 5, BadConsent.code),
        (passing(replace(HELD, name="alicia")), 5, BadConsent.code),
        (passing(replace(HELD, owner=CAROL.id)), 5, BadConsent.code),
        (passing(replace(HELD, changes=1)), 5, BadConsent.code),
        (replace(passing(), until=Height(51)), 5, BadConsent.code),
        (passing(to=CAROL, by=CAROL), 5, NotRegistered.code),
        (passing(to=ALICE, by=ALICE), 5, HasHandle.code),
        (passing(), 51, ConsentExpired.code),
        (passing(), 50, 0),
    ],
)
def test_a_handle_passes_on_with_this_consent_alone(
    order: TransferHandle, height: int, code: int
) -> None:
    after, outcome = send(as_alice(), ALICE, TRANSFER.body(order), height)

    assert (outcome.code, handles.owner(after, "alice") == ALICE.id) == (code, code != 0)


def test_a_consent_is_good_once() -> None:
    chain, _ = send(as_alice(), ALICE, TRANSFER.body(passing()))
    back = passing(Handle("alice", BOB.id, changes=1), ALICE, ALICE)
    chain, returned = send(chain, BOB, TRANSFER.body(back))

    _, outcome = send(chain, ALICE, TRANSFER.body(passing()))

    assert (returned.code, outcome.code) == (0, BadConsent.code)


def told(chain: MemoryState) -> list[object]:
    """All that the chain has of alice's and bob's identities and of handles."""
    people = [identities.active(chain, who.id) for who in (ALICE, BOB)]
    return [*people, *chain.scan(keys.HANDLES)]


@pytest.mark.parametrize(
    ("who", "body", "code"),
    [
        (ALICE, CLAIM.body(ClaimHandle("alice", SALT)), HasHandle.code),
        (ALICE, COMMIT.body(CommitHandle(PROMISE)), HasHandle.code),
        (BOB, CLAIM.body(ClaimHandle("alice", SALT)), HandleTaken.code),
        (BOB, CLAIM.body(ClaimHandle("bobby", SALT)), HandleNotCommitted.code),
        (BOB, CLAIM.body(ClaimHandle("root", SALT)), HandleReserved.code),
        (BOB, RELEASE.body(ReleaseHandle()), NoHandle.code),
        (BOB, TRANSFER.body(passing(to=ALICE)), NoHandle.code),
    ],
)
def test_what_is_not_allowed_changes_nothing(who: Person, body: orders.Body, code: int) -> None:
    after, outcome = send(as_alice(), who, body)

    assert outcome.code == code
    assert told(after) == told(as_alice())


@pytest.mark.parametrize(
    "body",
    [
        CLAIM.body(ClaimHandle("bobby", SALT)),
        COMMIT.body(CommitHandle(PROMISE)),
        RELEASE.body(ReleaseHandle()),
        TRANSFER.body(passing()),
    ],
)
def test_who_was_given_up_gets_no_handle_and_passes_none_on(body: orders.Body) -> None:
    chain, _ = send(as_alice(), ALICE, DEACTIVATE.body(Deactivate()))

    assert send(chain, ALICE, body)[1].code == Deactivated.code


def test_nobody_passes_a_handle_on_to_who_was_given_up() -> None:
    chain, _ = send(as_alice(), BOB, DEACTIVATE.body(Deactivate()))

    assert send(chain, ALICE, TRANSFER.body(passing()))[1].code == Deactivated.code


def test_a_commitment_in_the_same_block_is_too_late() -> None:
    chain = send(start(), ALICE, COMMIT.body(CommitHandle(b"c" * 32)))[0]
    nonce = accounts.load(chain, ALICE.id).nonce

    both = run(
        MACHINE,
        chain,
        signed(ALICE, COMMIT.body(CommitHandle(PROMISE)), nonce),
        signed(ALICE, CLAIM.body(ClaimHandle("alice", SALT)), nonce + 1),
        height=6,
    )

    assert [did.code for did in both.outcomes] == [0, HandleNotCommitted.code]


def test_replayed_orders_are_refused() -> None:
    raw = signed(ALICE, CLAIM.body(ClaimHandle("alice", SALT)), 2)
    chain = start().after(run(MACHINE, start(), raw, height=2).writes)

    assert run(MACHINE, chain, raw, height=3).outcomes[0].code == NonceMismatch.code


def test_a_worked_commitment_makes_the_next_harder() -> None:
    chain = toil.eased(opened(MACHINE, alice=FUNDS))
    digest = handles.commitment(CHAIN, CAROL.id, "carol", SALT)

    result = run(MACHINE, chain, toil.commitment(chain, CAROL, digest))

    after = chain.after(result.writes)
    assert result.outcomes[0].code == 0
    assert (work.load(chain).level, work.load(after).level) == (0, 1)


def test_who_has_a_handle_cannot_commit_by_work() -> None:
    chain = as_alice()
    plain = CommitHandle(PROMISE)
    spent = toil.proof(chain, ALICE, committing(plain), 3, 5)
    raw = toil.free(ALICE, COMMIT.body(replace(plain, work=spent)), 3)

    result = run(MACHINE, chain, raw, height=5)

    assert (result.outcomes[0].code, result.writes) == (HasHandle.code, {})


WHO = st.sampled_from([ALICE, BOB, CAROL])
NAMES = st.sampled_from(["alice", "a1ice", "bob_1", "b0bl"])


class Handles(RuleBasedStateMachine):
    """Handles against a plain table: skeleton to holder, or to when it is free."""

    def __init__(self) -> None:
        super().__init__()
        begun = opened(MACHINE, alice=10 * FUNDS, bob=10 * FUNDS, carol=10 * FUNDS)
        self.chain = begun.after({IDENTITIES.key: IDENTITIES.shape.encode(SOON)})
        self.height = 1
        self.held: dict[Person, str] = {}
        self.resting: dict[str, int] = {}
        self.promised: dict[Person, str] = {}
        for who in (ALICE, BOB, CAROL):
            self.send(who, orders.registration(who))

    @property
    def now(self) -> int:
        return START + 100 * self.height

    def send(self, who: Person, body: orders.Body) -> int:
        nonce = accounts.load(self.chain, who.id).nonce
        raw = signed(who, body, nonce)
        context = replace(at_height(self.height), block_time_ms=EpochMs(self.now))
        result = run_block(MACHINE, self.chain, Block(context, (raw,)), {})
        self.chain = self.chain.after(result.writes)
        self.height += 1
        return result.outcomes[0].code

    @rule(who=WHO, name=NAMES)
    def commit(self, who: Person, name: str) -> None:
        code = self.send(who, orders.commitment(who, name, SALT))
        assert (code == 0) == (who not in self.held)
        self.promised |= {who: name} if code == 0 else {}

    @rule(who=WHO, name=NAMES)
    def claim(self, who: Person, name: str) -> None:
        looks, now = handles.skeleton(name), self.now
        free = all(handles.skeleton(one) != looks for one in self.held.values())
        rested = self.resting.get(looks, 0) <= now
        may = who not in self.held and self.promised.get(who) == name and free and rested
        code = self.send(who, CLAIM.body(ClaimHandle(name, SALT)))
        assert (code == 0) == may
        if may:
            self.held[who] = name
            del self.promised[who]

    @rule(who=WHO)
    def release(self, who: Person) -> None:
        now = self.now
        code = self.send(who, RELEASE.body(ReleaseHandle()))
        assert (code == 0) == (who in self.held)
        if code == 0:
            self.resting[handles.skeleton(self.held.pop(who))] = now + SOON.handle_release_ms

    @rule(who=WHO, to=WHO)
    def transfer(self, who: Person, to: Person) -> None:
        held = handles.load(self.chain, self.held.get(who, "none")) or HELD
        code = self.send(who, TRANSFER.body(passing(held, to, to, Height(self.height + 5))))
        assert (code == 0) == (who in self.held and to not in self.held)
        if code == 0:
            self.held[to] = self.held.pop(who)

    @invariant()
    def handles_and_identities_name_each_other(self) -> None:
        told = {who: identities.active(self.chain, who.id).handle for who in (ALICE, BOB, CAROL)}
        assert {who: name for who, name in told.items() if name} == self.held
        assert all(handles.owner(self.chain, name) == who.id for who, name in self.held.items())
        supply.check_invariant(self.chain)


TestHandles = Handles.TestCase
TestHandles.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
