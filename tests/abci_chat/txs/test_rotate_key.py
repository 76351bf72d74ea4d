"""What rotations do on either chain is in tests/dchat/kernel/test_rotation.py."""

from __future__ import annotations

from dataclasses import replace

from abci_chat import keys
from abci_chat.machine import MACHINE
from abci_chat.state import identities
from abci_chat.state.identities import LogEntry, LogKind
from abci_chat.txs.identity import REGISTER, RegisterIdentity
from abci_chat.txs.rotate_key import FAMILY
from dchat.kernel import accounts, signing
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.rotation import prove
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CHAIN, MemoryState, opened, run, signed, step

NEXT = bytes([71]) * 32
HOME = ("/ip4/192.0.2.1/tcp/7070/p2p/" + "Q" * 46,)
FORM = RegisterIdentity("", b"", BOB.public_key, HOME, bytes(32))
ROTATION = FAMILY.body(prove(NEXT, CHAIN, ALICE.id, 1))


def registered() -> MemoryState:
    after, _ = step(MACHINE, opened(MACHINE, alice=10_000), signed(ALICE, REGISTER.body(FORM)))
    return after


def test_the_identity_names_the_new_key_and_all_else_stays() -> None:
    before = identities.load(registered(), ALICE.id)

    after, outcome = step(MACHINE, registered(), signed(ALICE, ROTATION, 1))

    assert before is not None
    assert (FAMILY.type, outcome.code) == (4, 0)
    key = signing.public_key(NEXT)
    entry = LogEntry(LogKind.ROTATED, key, Height(1), before.log_head)
    assert identities.load(after, ALICE.id) == replace(
        before,
        public_key=key,
        log_length=before.log_length + 1,
        log_head=identities.entry_hash(entry),
    )
    logged = after.get(keys.key_log(ALICE.id, before.log_length))
    assert logged == identities.LOG_ENTRY.encode(entry)


def test_an_identity_that_was_given_up_stays_as_it_was_though_the_account_goes_on() -> None:
    draft = Draft(registered())
    record = identities.active(draft, ALICE.id)
    identities.save(draft, ALICE.id, replace(record, deactivated_at=EpochMs(1)))
    given_up = registered().after(draft.writes())

    after, outcome = step(MACHINE, given_up, signed(ALICE, ROTATION, 1))

    assert outcome.code == 0
    assert identities.load(after, ALICE.id) == replace(record, deactivated_at=EpochMs(1))
    assert accounts.load(after, ALICE.id).public_key == signing.public_key(NEXT)


def test_a_refused_rotation_leaves_the_identity() -> None:
    again = FAMILY.body(prove(NEXT, CHAIN, ALICE.id, 2))

    after, outcome = step(MACHINE, registered(), signed(ALICE, again, 1))

    assert outcome.code != 0
    assert identities.load(after, ALICE.id) == identities.load(registered(), ALICE.id)


def test_whoever_has_no_identity_gets_none() -> None:
    result = run(MACHINE, opened(MACHINE, alice=10_000), signed(ALICE, ROTATION))

    assert result.outcomes[0].code == 0
    assert not any(b"identity" in key for key in result.writes)
