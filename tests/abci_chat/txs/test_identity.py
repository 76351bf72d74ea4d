from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat import keys
from abci_chat.machine import MACHINE
from abci_chat.params import IDENTITIES
from abci_chat.state import handles, identities, work
from abci_chat.state.handles import (
    BadHandle,
    CommitmentExpired,
    HandleNotCommitted,
    HandleReserved,
    HandleTaken,
)
from abci_chat.state.identities import (
    Deactivated,
    Identity,
    LogEntry,
    LogKind,
    NotRegistered,
    entry_hash,
)
from abci_chat.state.work import NoWork, Proof, TooLittleWork, UnknownAnchor
from abci_chat.txs.identity import (
    DEACTIVATE,
    REGISTER,
    UPDATE_PREKEYS,
    UPDATE_RELAYS,
    AlreadyRegistered,
    BadHomeRelays,
    Deactivate,
    IdentityDeactivated,
    IdentityRegistered,
    PrekeysUpdated,
    RegisterIdentity,
    RelaysUpdated,
    UpdatePrekeys,
    UpdateRelays,
    WeakInboxKey,
    registering,
)
from dchat.kernel import accounts, signing, supply
from dchat.kernel.errors import FeeTooLow, MalformedBody, NonceMismatch
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.machine import Outcome
from dchat.kernel.refusals import REFUSALS
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
    opened,
    run,
    signed,
    step,
)

PEER = "12D3KooWGRUvh9kLTZ5ekLEo3yTVmNdsjKLNJGJ6ZT2kFuLxXy9B"
RELAY = f"/ip4/127.0.0.1/tcp/7070/p2p/{PEER}"
OTHER = f"/dns4/relay.example.org/tcp/7070/p2p/{PEER}"
INBOX = signing.public_key(b"i" * 32)
HASH = b"h" * 32
SALT = b"s" * 32
FORM = RegisterIdentity("", b"", INBOX, (RELAY,), HASH)
AS_ALICE = replace(FORM, handle="alice", salt=SALT)


def start() -> MemoryState:
    return toil.eased(opened(MACHINE, alice=FUNDS, bob=FUNDS))


def at(height: int, state: MemoryState, raw: bytes) -> tuple[MemoryState, Outcome]:
    result = run(MACHINE, state, raw, height=height)
    return state.after(result.writes), result.outcomes[0]


def committed(state: MemoryState, who: Person, name: str, nonce: int = 0) -> MemoryState:
    return at(1, state, signed(who, orders.commitment(who, name, SALT), nonce))[0]


def register(
    chain: MemoryState, who: Person, form: RegisterIdentity = FORM, nonce: int = 0, height: int = 2
) -> tuple[MemoryState, Outcome]:
    return at(height, chain, signed(who, REGISTER.body(form), nonce))


def as_alice() -> MemoryState:
    """Alice is registered under her handle, and bob without one."""
    chain, _ = register(committed(start(), ALICE, "alice"), ALICE, AS_ALICE, 1)
    return register(chain, BOB)[0]


def test_a_registration_binds_handle_keys_and_relays() -> None:
    after, outcome = register(committed(start(), ALICE, "alice"), ALICE, AS_ALICE, 1)

    first = LogEntry(LogKind.REGISTERED, ALICE.public_key, Height(2), identities.EMPTY_LOG)
    assert identities.load(after, ALICE.id) == Identity(
        "alice",
        ALICE.public_key,
        INBOX,
        (RELAY,),
        HASH,
        Height(2),
        log_length=1,
        log_head=entry_hash(first),
    )
    assert after.get(keys.key_log(ALICE.id, 0)) == identities.LOG_ENTRY.encode(first)
    assert handles.owner(after, "alice") == ALICE.id
    assert outcome.events == (IdentityRegistered(ALICE.id, "alice"),)


def test_nobody_needs_a_handle() -> None:
    after, outcome = register(start(), ALICE)

    assert outcome.events == (IdentityRegistered(ALICE.id, ""),)
    assert identities.active(after, ALICE.id).handle == ""
    assert not list(after.scan(keys.HANDLES))


def test_a_commitment_is_used_up() -> None:
    assert as_alice().get(keys.handle_commitment(ALICE.id)) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"handle": "al"}, BadHandle.code),
        ({"handle": "Alice"}, BadHandle.code),
        ({"handle": "al ice"}, BadHandle.code),
        ({"handle": "alice\n"}, BadHandle.code),
        ({"handle": "\u0430lice"}, BadHandle.code),
        ({"handle": "___"}, BadHandle.code),
        ({"handle": "admin"}, HandleReserved.code),
        ({"handle": ""}, HandleNotCommitted.code),
        ({"salt": SALT[1:]}, HandleNotCommitted.code),
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
    after, outcome = register(start(), ALICE, replace(AS_ALICE, **changes))

    assert (outcome.code, identities.load(after, ALICE.id)) == (code, None)


@pytest.mark.parametrize(
    "body",
    [
        (1, "x" * 33, SALT, INBOX, [RELAY], HASH, [b"", b""]),
        (1, "alice", SALT + b"s", INBOX, [RELAY], HASH, [b"", b""]),
        (1, "alice", SALT, INBOX[:31], [RELAY], HASH, [b"", b""]),
        (1, "alice", SALT, INBOX, [RELAY, OTHER, RELAY, OTHER], HASH, [b"", b""]),
        (1, "alice", SALT, INBOX, ["/" + "x" * 256], HASH, [b"", b""]),
        (1, "alice", SALT, INBOX, [RELAY], HASH + b"h", [b"", b""]),
        (1, "alice", SALT, INBOX, [RELAY], HASH, [bytes(33), b""]),
        (1, "alice", SALT, INBOX, [RELAY], HASH, [bytes(32), bytes(17)]),
        (1, "alice", SALT, INBOX, [RELAY], HASH),
    ],
)
def test_fields_out_of_bounds_are_malformed(body: tuple[int, ...]) -> None:
    _, outcome = step(MACHINE, start(), signed(ALICE, body))

    assert outcome.code == MalformedBody.code


@pytest.mark.parametrize(
    ("form", "height", "code"),
    [
        (replace(AS_ALICE, handle="alicia"), 2, HandleNotCommitted.code),
        (replace(AS_ALICE, salt=b"t" * 32), 2, HandleNotCommitted.code),
        (AS_ALICE, 1, HandleNotCommitted.code),
        (AS_ALICE, 6, 0),
        (AS_ALICE, 7, CommitmentExpired.code),
    ],
)
def test_a_handle_is_revealed_after_its_commitment_and_not_too_late(
    form: RegisterIdentity, height: int, code: int
) -> None:
    soon = IDENTITIES.shape.encode(replace(IDENTITIES.default, reveal_blocks=5))
    chain = committed(start().after({IDENTITIES.key: soon}), ALICE, "alice")

    _, outcome = register(chain, ALICE, form, 1, height)

    assert outcome.code == code


def test_nobody_reveals_what_another_has_committed_to() -> None:
    _, outcome = register(committed(start(), ALICE, "alice"), BOB, AS_ALICE)

    assert outcome.code == HandleNotCommitted.code


@pytest.mark.parametrize("name", ["alice", "a1ice", "_alice", "ali_ce"])
def test_no_name_that_looks_like_a_handle_is_given_to_another(name: str) -> None:
    chain, _ = register(committed(start(), ALICE, "alice"), ALICE, AS_ALICE, 1)

    after, outcome = register(committed(chain, BOB, name), BOB, replace(AS_ALICE, handle=name), 1)

    assert outcome.code == HandleTaken.code
    assert (identities.load(after, BOB.id), handles.owner(after, "alice")) == (None, ALICE.id)


def test_an_account_has_one_identity() -> None:
    after, outcome = register(as_alice(), ALICE, replace(FORM, prekey_hash=b"2" * 32), 2)

    assert outcome.code == AlreadyRegistered.code
    assert identities.active(after, ALICE.id).prekey_hash == HASH


def test_home_relays_can_move_and_nothing_else_changes() -> None:
    before = identities.active(as_alice(), ALICE.id)
    move = UPDATE_RELAYS.body(UpdateRelays((OTHER, RELAY)))

    after, outcome = step(MACHINE, as_alice(), signed(ALICE, move, 2))

    assert identities.load(after, ALICE.id) == replace(before, home_relays=(OTHER, RELAY))
    assert outcome.events == (RelaysUpdated(ALICE.id),)


def test_the_prekey_commitment_can_change_and_nothing_else_does() -> None:
    before = identities.active(as_alice(), ALICE.id)
    renew = UPDATE_PREKEYS.body(UpdatePrekeys(b"n" * 32))

    after, outcome = step(MACHINE, as_alice(), signed(ALICE, renew, 2))

    assert identities.load(after, ALICE.id) == replace(before, prekey_hash=b"n" * 32)
    assert outcome.events == (PrekeysUpdated(ALICE.id),)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (UPDATE_RELAYS.body(UpdateRelays((RELAY,))), NotRegistered.code),
        (UPDATE_PREKEYS.body(UpdatePrekeys(HASH)), NotRegistered.code),
        (DEACTIVATE.body(Deactivate()), NotRegistered.code),
        (UPDATE_RELAYS.body(UpdateRelays(())), BadHomeRelays.code),
    ],
)
def test_an_update_without_identity_or_relays_is_refused(body: tuple[int, ...], code: int) -> None:
    after, outcome = step(MACHINE, start(), signed(ALICE, body))

    assert (outcome.code, after.get(keys.identity(ALICE.id))) == (code, None)


def given_up() -> tuple[MemoryState, Outcome]:
    return at(5, as_alice(), signed(ALICE, DEACTIVATE.body(Deactivate()), 2))


def test_who_gives_up_an_identity_is_logged_and_loses_the_handle() -> None:
    before = identities.active(as_alice(), ALICE.id)
    after, outcome = given_up()

    now = EpochMs(START + 5)
    free_from = EpochMs(now + IDENTITIES.default.handle_release_ms)
    entry = LogEntry(LogKind.DEACTIVATED, ALICE.public_key, Height(5), before.log_head)
    assert identities.load(after, ALICE.id) == replace(
        before, handle="", deactivated_at=now, log_length=2, log_head=entry_hash(entry)
    )
    assert handles.owner(after, "alice") is None
    assert outcome.events == (IdentityDeactivated(ALICE.id, "alice", free_from),)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (REGISTER.body(FORM), AlreadyRegistered.code),
        (UPDATE_PREKEYS.body(UpdatePrekeys(HASH)), Deactivated.code),
        (UPDATE_RELAYS.body(UpdateRelays((RELAY,))), Deactivated.code),
        (DEACTIVATE.body(Deactivate()), Deactivated.code),
    ],
)
def test_an_identity_that_was_given_up_stays_so(body: tuple[int, ...], code: int) -> None:
    chain, _ = given_up()

    after, outcome = at(6, chain, signed(ALICE, body, 3))

    assert outcome.code == code
    assert identities.load(after, ALICE.id) == identities.load(chain, ALICE.id)


def test_who_has_no_credits_registers_by_work() -> None:
    chain = start()

    after, outcome = step(MACHINE, chain, toil.registration(chain, CAROL, FORM))

    assert outcome.events == (IdentityRegistered(CAROL.id, ""),)
    assert accounts.load(after, CAROL.id).balance == 0
    supply.check_invariant(after)


def test_work_takes_a_handle_as_well() -> None:
    digest = handles.commitment(CHAIN, CAROL.id, "carol", SALT)
    form = replace(FORM, handle="carol", salt=SALT)
    chain, _ = at(1, start(), toil.commitment(start(), CAROL, digest))

    after, outcome = at(2, chain, toil.registration(chain, CAROL, form, 1, height=2))

    assert (outcome.code, handles.owner(after, "carol")) == (0, CAROL.id)


def test_work_gives_up_an_identity() -> None:
    chain = start()
    chain, _ = step(MACHINE, chain, toil.registration(chain, CAROL, FORM))

    after, outcome = step(MACHINE, chain, toil.deactivation(chain, CAROL, 1))

    assert outcome.code == 0
    assert identities.load(after, CAROL.id) != identities.load(chain, CAROL.id)


def free_with(spent: Proof) -> bytes:
    return toil.free(CAROL, REGISTER.body(replace(FORM, work=spent)))


ALMOST = toil.too_little(CAROL, registering(FORM))


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (free_with(work.NONE), NoWork.code),
        (free_with(replace(ALMOST, anchor=HASH)), UnknownAnchor.code),
        (free_with(ALMOST), TooLittleWork.code),
        (toil.registration(start(), CAROL, FORM, nonce=1), NonceMismatch.code),
        (toil.registration(start(), CAROL, AS_ALICE), HandleNotCommitted.code),
        (toil.free(CAROL, UPDATE_PREKEYS.body(UpdatePrekeys(HASH))), FeeTooLow.code),
    ],
    ids=["none", "foreign anchor", "too little", "other nonce", "no commitment", "no registration"],
)
def test_a_free_registration_that_is_refused_leaves_no_trace(raw: bytes, code: int) -> None:
    result = run(MACHINE, start(), raw)

    assert (result.outcomes[0].code, result.writes) == (code, {})


def test_who_pays_with_work_that_is_none_makes_nothing_harder() -> None:
    wrong = replace(FORM, work=toil.too_little(ALICE, registering(FORM)))

    after, outcome = register(start(), ALICE, wrong)

    assert outcome.code == TooLittleWork.code
    assert (identities.load(after, ALICE.id), work.load(after)) == (None, work.Bucket())


bodies = st.tuples(
    st.integers(0, 10),
    st.sampled_from(["alice", "", b"", INBOX]),
    st.sampled_from([SALT, b"", INBOX]),
    st.sampled_from([INBOX, [RELAY], HASH]),
    st.sampled_from([[RELAY], [OTHER, RELAY], [], HASH]),
    st.sampled_from([HASH, b""]),
    st.sampled_from([[b"", b""], [HASH, b"s"], []]),
) | st.tuples(
    st.integers(0, 10), st.sampled_from([[RELAY], HASH, [], ["x"], [b"", b""], [HASH, b"s"], 7])
)


@given(bodies, st.sampled_from([0, 2000]))
def test_any_signed_body_gives_a_known_outcome(body: tuple[int, ...], fee: int) -> None:
    after, outcome = step(MACHINE, start(), signed(ALICE, body, fee=Amount(fee)))

    supply.check_invariant(after)
    assert outcome.code in {0, *REFUSALS}
