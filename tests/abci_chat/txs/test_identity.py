from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from abci_chat import keys
from abci_chat.machine import MACHINE
from abci_chat.state import identities
from abci_chat.state.handles import owner as handle_owner
from abci_chat.state.identities import Identity, NotRegistered
from abci_chat.txs.identity import (
    REGISTER,
    UPDATE_PREKEYS,
    UPDATE_RELAYS,
    AlreadyRegistered,
    BadHandle,
    BadHomeRelays,
    HandleTaken,
    IdentityRegistered,
    PrekeysUpdated,
    RegisterIdentity,
    RelaysUpdated,
    UpdatePrekeys,
    UpdateRelays,
    WeakInboxKey,
)
from dchat.kernel import signing, supply
from dchat.kernel.errors import REFUSALS, MalformedBody
from dchat.kernel.ids import Height
from dchat.kernel.machine import Outcome
from tests.fakes.memory import ALICE, BOB, FUNDS, MemoryState, Person, opened, signed, step

PEER = "12D3KooWGRUvh9kLTZ5ekLEo3yTVmNdsjKLNJGJ6ZT2kFuLxXy9B"
RELAY = f"/ip4/127.0.0.1/tcp/7070/p2p/{PEER}"
OTHER = f"/dns4/relay.example.org/tcp/7070/p2p/{PEER}"
INBOX = signing.public_key(b"i" * 32)
HASH = b"h" * 32
FORM = RegisterIdentity("alice", INBOX, (RELAY,), HASH)


def start() -> MemoryState:
    return opened(MACHINE, alice=FUNDS, bob=FUNDS)


def register(
    chain: MemoryState, who: Person, form: RegisterIdentity = FORM, nonce: int = 0
) -> tuple[MemoryState, Outcome]:
    return step(MACHINE, chain, signed(who, REGISTER.body(form), nonce))


def test_a_registration_binds_handle_keys_and_relays() -> None:
    after, outcome = register(start(), ALICE)

    assert identities.load(after, ALICE.id) == Identity(
        "alice", ALICE.public_key, INBOX, (RELAY,), HASH, Height(1)
    )
    assert handle_owner(after, "alice") == ALICE.id
    assert outcome.events == (IdentityRegistered(ALICE.id, "alice"),)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"handle": "al"}, BadHandle.code),
        ({"handle": "Alice"}, BadHandle.code),
        ({"handle": "al ice"}, BadHandle.code),
        ({"handle": "alice\n"}, BadHandle.code),
        ({"handle": "\u0430lice"}, BadHandle.code),
        ({"handle": ""}, BadHandle.code),
        ({"home_relays": ()}, BadHomeRelays.code),
        ({"home_relays": (RELAY, RELAY)}, BadHomeRelays.code),
        ({"home_relays": ("/ip4/127.0.0.1/tcp/7070",)}, BadHomeRelays.code),
        ({"home_relays": (RELAY + "\n",)}, BadHomeRelays.code),
        ({"inbox_key": bytes(32)}, WeakInboxKey.code),
        ({"inbox_key": bytes([1, *[0] * 31])}, WeakInboxKey.code),
    ],
)
def test_a_form_that_is_not_allowed_is_refused_and_registers_nothing(
    changes: dict[str, object], code: int
) -> None:
    after, outcome = register(start(), ALICE, replace(FORM, **changes))

    assert (outcome.code, identities.load(after, ALICE.id)) == (code, None)


@pytest.mark.parametrize(
    "body",
    [
        (1, "x" * 33, INBOX, [RELAY], HASH),
        (1, "alice", INBOX[:31], [RELAY], HASH),
        (1, "alice", INBOX, [RELAY, OTHER, RELAY, OTHER], HASH),
        (1, "alice", INBOX, ["/" + "x" * 256], HASH),
        (1, "alice", INBOX, [RELAY], HASH + b"h"),
        (1, "alice", INBOX, [RELAY]),
    ],
)
def test_fields_out_of_bounds_are_malformed(body: tuple[int, ...]) -> None:
    _, outcome = step(MACHINE, start(), signed(ALICE, body))

    assert outcome.code == MalformedBody.code


def test_a_handle_belongs_to_whoever_came_first() -> None:
    chain, _ = register(start(), ALICE)

    after, outcome = register(chain, BOB)

    assert outcome.code == HandleTaken.code
    assert (identities.load(after, BOB.id), handle_owner(after, "alice")) == (None, ALICE.id)


def test_an_account_has_one_identity() -> None:
    chain, _ = register(start(), ALICE)

    after, outcome = register(chain, ALICE, replace(FORM, handle="alice2"), nonce=1)

    assert (outcome.code, handle_owner(after, "alice2")) == (AlreadyRegistered.code, None)


def test_home_relays_can_move_and_nothing_else_changes() -> None:
    chain, _ = register(start(), ALICE)
    before = identities.load(chain, ALICE.id)

    after, outcome = step(
        MACHINE, chain, signed(ALICE, UPDATE_RELAYS.body(UpdateRelays((OTHER, RELAY))), 1)
    )

    assert before is not None
    assert identities.load(after, ALICE.id) == replace(before, home_relays=(OTHER, RELAY))
    assert outcome.events == (RelaysUpdated(ALICE.id),)


def test_the_prekey_commitment_can_change_and_nothing_else_does() -> None:
    chain, _ = register(start(), ALICE)
    before = identities.load(chain, ALICE.id)

    after, outcome = step(
        MACHINE, chain, signed(ALICE, UPDATE_PREKEYS.body(UpdatePrekeys(b"n" * 32)), 1)
    )

    assert before is not None
    assert identities.load(after, ALICE.id) == replace(before, prekey_hash=b"n" * 32)
    assert outcome.events == (PrekeysUpdated(ALICE.id),)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (UPDATE_RELAYS.body(UpdateRelays((RELAY,))), NotRegistered.code),
        (UPDATE_PREKEYS.body(UpdatePrekeys(HASH)), NotRegistered.code),
        (UPDATE_RELAYS.body(UpdateRelays(())), BadHomeRelays.code),
    ],
)
def test_an_update_without_identity_or_relays_is_refused(body: tuple[int, ...], code: int) -> None:
    after, outcome = step(MACHINE, start(), signed(ALICE, body))

    assert (outcome.code, after.get(keys.identity(ALICE.id))) == (code, None)


bodies = st.tuples(
    st.integers(0, 5),
    st.sampled_from(["alice", "", b"", INBOX]),
    st.sampled_from([INBOX, [RELAY], HASH]),
    st.sampled_from([[RELAY], [OTHER, RELAY], [], HASH]),
    st.sampled_from([HASH, b""]),
) | st.tuples(st.integers(0, 5), st.sampled_from([[RELAY], HASH, [], ["x"], 7]))


@given(bodies)
def test_any_signed_body_gives_a_known_outcome(body: tuple[int, ...]) -> None:
    after, outcome = step(MACHINE, start(), signed(ALICE, body))

    supply.check_invariant(after)
    assert outcome.code in {0, *REFUSALS}


people = st.sampled_from([ALICE, BOB])
handles = st.sampled_from(["alice", "bob_1", "ab", "x" * 32])


class Registry(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.chain = start()
        self.nonces = {ALICE: 0, BOB: 0}
        self.model: dict[Person, str] = {}

    @rule(who=people, handle=handles)
    def register(self, who: Person, handle: str) -> None:
        self.chain, outcome = register(
            self.chain, who, replace(FORM, handle=handle), self.nonces[who]
        )
        self.nonces[who] += 1
        free = who not in self.model and handle not in self.model.values() and len(handle) > 2
        assert (outcome.code == 0) == free
        self.model |= {who: handle} if free else {}

    @rule(who=people)
    def update(self, who: Person) -> None:
        body = UPDATE_PREKEYS.body(UpdatePrekeys(bytes([self.nonces[who]]) * 32))
        self.chain, outcome = step(MACHINE, self.chain, signed(who, body, self.nonces[who]))
        self.nonces[who] += 1
        assert (outcome.code == 0) == (who in self.model)

    @invariant()
    def handles_and_identities_name_each_other(self) -> None:
        owners = {who: identities.load(self.chain, who.id) for who in self.nonces}
        assert {who: each.handle for who, each in owners.items() if each} == self.model
        assert all(handle_owner(self.chain, handle) == who.id for who, handle in self.model.items())
        supply.check_invariant(self.chain)


TestRegistry = Registry.TestCase
TestRegistry.settings = settings(max_examples=30, stateful_step_count=15, deadline=None)
