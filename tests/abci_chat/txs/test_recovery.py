from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat import params
from abci_chat.machine import MACHINE
from abci_chat.state import devices, identities, recoveries, work
from abci_chat.state.identities import Deactivated, LogKind, NotRegistered
from abci_chat.state.work import NoWork
from abci_chat.txs import device, guardians, recovery, rotate_key
from abci_chat.txs.guardians import SetGuardians
from abci_chat.txs.recovery import (
    AlreadyApproved,
    ApproveRecovery,
    BadRecoveryProof,
    FinishRecovery,
    GuardiansOwnKey,
    NoGuardians,
    NotGuardian,
    OtherInboxKey,
    RecoveryApproved,
    RecoveryFinishing,
    RecoveryForbidden,
    RecoveryNotReady,
    RecoveryVetoed,
    VetoRecovery,
)
from dchat.kernel import accounts, signing
from dchat.kernel.errors import MalformedBody, NonceMismatch, SameKey, SenderKeyMismatch, WeakKey
from dchat.kernel.ids import ChainId, EpochMs
from dchat.kernel.machine import Outcome
from dchat.kernel.rotation import prove
from tests.fakes import toil
from tests.fakes.guarded import (
    BLOCK_MS,
    DAVE,
    ERIN,
    GUARDIAN_MS,
    INBOX,
    NEW,
    PHONE,
    RECOVERY_MS,
    RULES,
    WINDOW_MS,
    Chain,
    added,
    approval,
    approved,
    begun,
    guarded,
    opened,
    panel,
    watched,
)
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, Person, run, signed

FINISH = FinishRecovery(ALICE.id, NEW.public_key)
OTHER = Person(bytes([95]) * 32)
VETO = VetoRecovery()


def key_of(chain: Chain) -> tuple[bytes, int]:
    """The key that signs for ALICE's account, and which one it is."""
    held = accounts.load(chain.state, ALICE.id)
    return held.public_key, held.key_version


def still_hers(chain: Chain) -> bool:
    return key_of(chain) == (ALICE.public_key, 0) == (chain.identity().public_key, 0)


def finish(chain: Chain, after_ms: int = RECOVERY_MS) -> Outcome:
    return chain.send(ERIN, recovery.FINISH, FINISH, after_ms=after_ms)


def approve(chain: Chain, who: Person, order: ApproveRecovery | None = None) -> Outcome:
    return chain.send(who, recovery.APPROVE, order or approval())


def test_enough_approvals_start_the_timelock() -> None:
    chain = watched()

    first, second = approve(chain, BOB), approve(chain, CAROL)

    key, ready = NEW.public_key, EpochMs(chain.now + RECOVERY_MS)
    assert first.events == (RecoveryApproved(ALICE.id, key, BOB.id, EpochMs(0)),)
    assert second.events == (RecoveryApproved(ALICE.id, key, CAROL.id, ready),)


def test_one_approval_more_does_not_start_it_again() -> None:
    chain = approved()

    approve(chain, DAVE)

    assert finish(chain, RECOVERY_MS - BLOCK_MS).code == 0


def test_account_and_identity_have_the_new_key_once_anybody_finishes() -> None:
    chain = approved()
    before = chain.identity()

    outcome = finish(chain)

    assert outcome.events == (RecoveryFinishing(ALICE.id, NEW.public_key),)
    assert key_of(chain) == (NEW.public_key, 1)
    after = chain.identity()
    assert after == replace(
        before,
        public_key=NEW.public_key,
        inbox_key=INBOX,
        prekey_hash=bytes(32),
        devices_from=chain.height + 1,
        log_length=after.log_length,
        log_head=after.log_head,
    )
    assert chain.log()[-1] == (LogKind.RECOVERED, NEW.public_key)


def test_the_inbox_key_is_the_one_that_the_new_key_named() -> None:
    order = approval(inbox=OTHER.public_key)
    chain = watched()
    approve(chain, BOB, order)
    approve(chain, CAROL, order)

    finish(chain)

    assert chain.identity().inbox_key == OTHER.public_key


def test_only_the_new_key_signs_for_the_account_afterwards() -> None:
    chain = approved()
    finish(chain)

    old = chain.send(ALICE, device.ADD, added(ALICE, PHONE))
    raw = chain.signed(NEW, device.ADD, added(ALICE, PHONE), account=ALICE.id)

    assert (old.code, chain.block(raw).outcomes[0].code) == (SenderKeyMismatch.code, 0)
    assert devices.authorises(chain.state, ALICE.id, PHONE.public_key)


def test_a_change_of_guardians_that_waits_ends_with_the_recovery() -> None:
    chain = watched()
    chain.send(ALICE, guardians.SET, guarded(ERIN, threshold=1))
    approved(chain)

    finish(chain)

    chain.now += GUARDIAN_MS
    assert chain.guardians().panel == panel(BOB, CAROL, DAVE, threshold=2)


def test_the_timelock_is_not_over_a_millisecond_early() -> None:
    chain = approved()

    outcome = finish(chain, RECOVERY_MS - 1)

    assert (outcome.code, still_hers(chain)) == (RecoveryNotReady.code, True)


def test_too_few_approvals_finish_nothing_however_long_they_stand() -> None:
    chain = watched()
    approve(chain, BOB)

    assert (finish(chain).code, still_hers(chain)) == (RecoveryNotReady.code, True)


def test_a_key_that_nobody_approved_is_given_to_nobody() -> None:
    chain = approved()
    order = FinishRecovery(ALICE.id, OTHER.public_key)

    outcome = chain.send(ERIN, recovery.FINISH, order, after_ms=RECOVERY_MS)

    assert (outcome.code, still_hers(chain)) == (RecoveryNotReady.code, True)


def test_approvals_of_two_keys_are_not_added_up() -> None:
    chain = watched()
    approve(chain, BOB)
    approve(chain, CAROL, approval(new=OTHER))

    assert (finish(chain).code, still_hers(chain)) == (RecoveryNotReady.code, True)


def test_a_guardian_who_approves_another_key_stands_in_nobodys_way() -> None:
    chain = watched()
    approve(chain, DAVE, approval(new=OTHER))

    assert finish(approved(chain)).code == 0


def test_a_veto_ends_the_recovery_and_the_key_stays() -> None:
    chain = approved()

    outcome = chain.send(ALICE, recovery.VETO, VETO)

    assert outcome.events == (RecoveryForbidden(ALICE.id),)
    assert (finish(chain).code, still_hers(chain)) == (RecoveryNotReady.code, True)


def test_a_veto_ends_recoveries_by_every_key() -> None:
    chain = approved()
    approve(chain, BOB, approval(new=OTHER))
    approve(chain, DAVE, approval(new=OTHER))

    chain.send(ALICE, recovery.VETO, VETO)

    order = FinishRecovery(ALICE.id, OTHER.public_key)
    outcome = chain.send(ERIN, recovery.FINISH, order, after_ms=RECOVERY_MS)
    assert (outcome.code, finish(chain).code) == (RecoveryNotReady.code, RecoveryNotReady.code)


def test_guardians_may_approve_again_after_a_veto() -> None:
    chain = approved()
    chain.send(ALICE, recovery.VETO, VETO)

    assert finish(approved(chain)).code == 0


def test_an_approval_in_the_block_of_a_veto_is_refused() -> None:
    chain = watched()
    veto = chain.signed(ALICE, recovery.VETO, VETO)

    result = chain.block(veto, chain.signed(BOB, recovery.APPROVE, approval()))

    assert [each.code for each in result.outcomes] == [0, RecoveryVetoed.code]


def test_who_has_no_credits_vetoes_by_work() -> None:
    chain = approved()
    nonce = accounts.load(chain.state, ALICE.id).nonce
    proof = toil.proof(chain.state, ALICE, recovery.VETO_TASK, nonce, chain.height + 1)
    before = work.load(chain.state).level

    outcome = chain.block(chain.signed(ALICE, recovery.VETO, VetoRecovery(proof), fee=0)).outcomes[
        0
    ]

    assert (outcome.code, work.load(chain.state).level) == (0, before + 1)
    assert (finish(chain).code, still_hers(chain)) == (RecoveryNotReady.code, True)


def test_a_veto_with_neither_fee_nor_work_is_refused() -> None:
    chain = approved()

    outcome = chain.block(chain.signed(ALICE, recovery.VETO, VETO, fee=0)).outcomes[0]

    assert (outcome.code, finish(chain).code) == (NoWork.code, 0)


@pytest.mark.parametrize(("who", "code"), [(BOB, NoGuardians.code), (ERIN, NotRegistered.code)])
def test_a_veto_that_vetoes_nothing_is_not_to_be_had_by_work(who: Person, code: int) -> None:
    """Or accounts could be made, and blocks filled, by work that never becomes harder."""
    chain = approved()
    nonce = accounts.load(chain.state, who.id).nonce
    proof = toil.proof(chain.state, who, recovery.VETO_TASK, nonce, chain.height + 1)

    outcome = chain.block(chain.signed(who, recovery.VETO, VetoRecovery(proof), fee=0)).outcomes[0]

    assert (outcome.code, accounts.load(chain.state, who.id).nonce) == (code, nonce)


@pytest.mark.parametrize(("who", "code"), [(BOB, NoGuardians.code), (ERIN, NotRegistered.code)])
def test_nobody_vetoes_for_another(who: Person, code: int) -> None:
    chain = approved()

    assert (chain.send(who, recovery.VETO, VETO).code, finish(chain).code) == (code, 0)


def statement_by(new: Person, **changes: object) -> ApproveRecovery:
    said = {"chain": CHAIN, "owner": ALICE.id, "version": 1, "inbox": INBOX, **changes}
    chain, owner, version, inbox = said.values()
    statement = recoveries.statement(chain, owner, version, inbox)  # pyright: ignore[reportArgumentType] -- by name
    proof = signing.sign(new.seed, recoveries.DOMAIN, statement)
    return ApproveRecovery(ALICE.id, NEW.public_key, INBOX, proof)


@pytest.mark.parametrize(
    ("who", "order", "code"),
    [
        (ERIN, approval(), NotGuardian.code),
        (ALICE, approval(), NotGuardian.code),
        (BOB, approval(owner=CAROL), NotGuardian.code),
        (BOB, approval(owner=ERIN), NotRegistered.code),
        (BOB, approval(new=ALICE), SameKey.code),
        (BOB, approval(new=BOB), GuardiansOwnKey.code),
        (BOB, statement_by(OTHER), BadRecoveryProof.code),
        (BOB, statement_by(NEW, chain=ChainId("other-1")), BadRecoveryProof.code),
        (BOB, statement_by(NEW, owner=BOB.id), BadRecoveryProof.code),
        (BOB, statement_by(NEW, version=2), BadRecoveryProof.code),
        (BOB, statement_by(NEW, inbox=OTHER.public_key), BadRecoveryProof.code),
        (BOB, replace(approval(), public_key=bytes(32)), WeakKey.code),
        (BOB, replace(approval(), inbox_key=bytes([1, *[0] * 31])), WeakKey.code),
    ],
)
def test_an_approval_is_refused_and_counts_nothing(
    who: Person, order: ApproveRecovery, code: int
) -> None:
    chain = watched(BOB, CAROL, threshold=1)

    outcome = approve(chain, who, order)

    assert (outcome.code, finish(chain).code) == (code, RecoveryNotReady.code)


def test_guardians_whose_delay_is_not_over_approve_nothing() -> None:
    chain = opened()
    chain.send(ALICE, guardians.SET, guarded(BOB, threshold=1))

    outcome = chain.send(BOB, recovery.APPROVE, approval(), after_ms=GUARDIAN_MS - 1)

    assert outcome.code == NotGuardian.code


def test_a_guardian_approves_once_and_so_cannot_put_the_timelock_off() -> None:
    chain = approved()

    again = approve(chain, CAROL)

    assert (again.code, finish(chain, RECOVERY_MS - BLOCK_MS).code) == (AlreadyApproved.code, 0)


def test_one_new_key_names_one_inbox_key() -> None:
    chain = watched()
    approve(chain, BOB)

    outcome = approve(chain, CAROL, approval(inbox=OTHER.public_key))

    assert outcome.code == OtherInboxKey.code


def test_an_approval_lapses() -> None:
    chain = watched()
    approve(chain, BOB)
    chain.block(after_ms=WINDOW_MS - BLOCK_MS)
    approve(chain, CAROL)

    assert (finish(chain).code, still_hers(chain)) == (RecoveryNotReady.code, True)


def test_who_approved_too_long_ago_approves_again() -> None:
    chain = watched()
    approve(chain, BOB)
    chain.block(after_ms=WINDOW_MS)

    assert finish(approved(chain)).code == 0


def test_a_recovery_that_nobody_finishes_lapses() -> None:
    chain = approved()

    outcome = finish(chain, WINDOW_MS - BLOCK_MS)

    assert (outcome.code, still_hers(chain)) == (RecoveryNotReady.code, True)


def test_it_can_be_finished_until_then() -> None:
    chain = approved()

    assert finish(chain, WINDOW_MS - BLOCK_MS - 1).code == 0


def test_other_guardians_in_force_end_what_those_before_approved() -> None:
    chain = watched()
    order = guarded(BOB, CAROL, threshold=1)
    chain.send(ALICE, guardians.SET, order, after_ms=BLOCK_MS)
    chain.block(after_ms=GUARDIAN_MS - 2 * BLOCK_MS - 1)
    approved(chain)

    outcome = finish(chain)

    assert (chain.guardians().panel.threshold, outcome.code) == (1, RecoveryNotReady.code)


def test_other_guardians_approve_anew() -> None:
    chain = approved()
    chain.send(ALICE, guardians.SET, guarded(DAVE, threshold=1))
    chain.block(after_ms=GUARDIAN_MS)

    early = approve(chain, DAVE).code, finish(chain, RECOVERY_MS - 1).code

    assert (early, finish(chain, 1).code) == ((0, RecoveryNotReady.code), 0)


def test_a_rotation_ends_the_recovery() -> None:
    chain = approved()
    chain.send(ALICE, rotate_key.FAMILY, prove(OTHER.seed, CHAIN, ALICE.id, 1))

    assert finish(chain).code == RecoveryNotReady.code
    assert key_of(chain) == (OTHER.public_key, 1)


def test_after_a_rotation_guardians_approve_a_key_for_the_next_version() -> None:
    chain = approved()
    chain.send(ALICE, rotate_key.FAMILY, prove(OTHER.seed, CHAIN, ALICE.id, 1))
    approve(chain, BOB, approval(version=2))
    approve(chain, CAROL, approval(version=2))

    finish(chain)

    assert key_of(chain) == (NEW.public_key, 2)


def test_a_recovery_is_finished_once() -> None:
    chain = approved()
    finish(chain)

    assert (finish(chain).code, key_of(chain)[1]) == (RecoveryNotReady.code, 1)


def test_an_identity_can_be_recovered_again() -> None:
    chain = approved()
    finish(chain)
    approve(chain, BOB, approval(new=OTHER, version=2))
    approve(chain, CAROL, approval(new=OTHER, version=2))
    order = FinishRecovery(ALICE.id, OTHER.public_key)

    chain.send(ERIN, recovery.FINISH, order, after_ms=RECOVERY_MS)

    assert key_of(chain) == (OTHER.public_key, 2)


def test_guardians_given_up_recover_nobody() -> None:
    chain = approved()
    chain.send(ALICE, guardians.SET, SetGuardians((), 0))

    assert finish(chain, GUARDIAN_MS).code == RecoveryNotReady.code


Deed = Callable[[Chain], Outcome]


@pytest.mark.parametrize(
    "deed",
    [
        lambda chain: approve(chain, DAVE),
        lambda chain: chain.send(ALICE, recovery.VETO, VETO),
        finish,
    ],
)
def test_an_identity_that_was_given_up_is_never_recovered(deed: Deed) -> None:
    chain = approved()
    draft = chain.draft()
    identities.save(draft, ALICE.id, replace(chain.identity(), deactivated_at=EpochMs(1)))
    chain.keep(draft)
    chain.block(after_ms=RECOVERY_MS)

    assert (deed(chain).code, still_hers(chain)) == (Deactivated.code, True)


def test_who_never_registered_is_not_recovered() -> None:
    chain = opened()
    order = FinishRecovery(ERIN.id, NEW.public_key)

    assert chain.send(BOB, recovery.FINISH, order).code == NotRegistered.code


def test_a_vote_for_a_longer_timelock_holds_for_what_is_not_finished() -> None:
    chain = approved()
    draft = chain.draft()
    params.IDENTITIES.save(draft, replace(RULES, recovery_delay_ms=RECOVERY_MS + 1))
    chain.keep(draft)

    assert (finish(chain).code, finish(chain, 1).code) == (RecoveryNotReady.code, 0)


def test_a_replayed_approval_is_refused() -> None:
    chain = watched()
    raw = chain.signed(BOB, recovery.APPROVE, approval())
    chain.block(raw)

    assert chain.block(raw).outcomes[0].code == NonceMismatch.code


fields = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@given(
    st.sampled_from([each.type for each in recovery.FAMILIES]),
    st.lists(fields, max_size=4),
)
def test_arbitrary_fields_are_refused(number: int, odd: list[str]) -> None:
    raw = signed(ALICE, (number, *odd))

    codes = {MalformedBody.code, WeakKey.code, NoGuardians.code}
    assert run(MACHINE, begun(), raw).outcomes[0].code in codes
