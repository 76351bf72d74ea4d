"""Recovery: families by which guardians give an identity another key, and its owner forbids it.

Whoever holds the account's key vetoes, and can work in place of the fee: a recovery is for lost
keys. Against a thief who has the key as well there is the owner's own, by rotation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_chat.state import guardians, identities, recoveries, work
from abci_chat.state.guardians import Guardians
from abci_chat.state.recoveries import Approval, Recovery
from abci_chat.state.work import Proof
from dchat.kernel import codec, signing
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import SameKey, TxRejected, WeakKey
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Cost, EpochMs
from dchat.kernel.store import Draft, State

VETO_TASK: Final = codec.pack(("veto_recovery",))
"""What work in place of a veto's fee is done over; see `work.task`."""


class NotGuardian(TxRejected):
    """The sender is no guardian of that identity, or not yet."""

    code = 236


class BadRecoveryProof(TxRejected):
    """The new key has not signed for this account, chain, key version and inbox key."""

    code = 237


class AlreadyApproved(TxRejected):
    """The guardian's approval of that key counts already."""

    code = 238


class RecoveryNotReady(TxRejected):
    """Approvals or time are missing. Attributes: have, need -- approvals; ready_at -- ms, or 0."""

    code = 239

    def __init__(self, have: int, need: int, ready_at: int) -> None:
        missing = f"ready at {ready_at} ms" if ready_at else "not enough"
        super().__init__(f"{have} approvals count of {need} that it takes: {missing}")
        self.have = have
        self.need = need
        self.ready_at = ready_at


class RecoveryVetoed(TxRejected):
    """The owner vetoed all recoveries in the same block."""

    code = 240


class OtherInboxKey(TxRejected):
    """Others approved the same new key with another inbox key."""

    code = 241


class NoGuardians(TxRejected):
    """The identity has no guardians in force, so there is nothing to veto."""

    code = 242


class GuardiansOwnKey(TxRejected):
    """The new key is the guardian's own account's."""

    code = 243


@dataclass(frozen=True, slots=True)
class ApproveRecovery:
    """Let an account that the sender guards have a new key, if enough others agree."""

    owner: AccountId
    public_key: bytes
    """The new key, Ed25519."""
    inbox_key: bytes
    """Opens the owner's mailboxes then, Ed25519."""
    proof: bytes
    """The new key's signature over `recoveries.statement`."""


@dataclass(frozen=True, slots=True)
class VetoRecovery:
    """Let no approval count that any guardian of the sender's gave so far."""

    work: Proof = work.NONE
    """In place of a fee."""


@dataclass(frozen=True, slots=True)
class FinishRecovery:
    """Give an account the key that its guardians approved, whoever asks."""

    owner: AccountId
    public_key: bytes


@dataclass(frozen=True, slots=True)
class RecoveryApproved(Event):
    """A guardian approved a new key. ready_at -- ms, 0 while others are missing."""

    owner: AccountId
    public_key: bytes
    guardian: AccountId
    ready_at: EpochMs


@dataclass(frozen=True, slots=True)
class RecoveryForbidden(Event):
    """The owner vetoed all that was approved."""

    owner: AccountId


@dataclass(frozen=True, slots=True)
class RecoveryFinishing(Event):
    """An account gets a new key at the end of the block."""

    owner: AccountId
    public_key: bytes


def check_approve(tx: ApproveRecovery) -> None:
    """Apply the rules that need no state. Raises: WeakKey."""
    if not signing.is_strong(tx.public_key) or not signing.is_strong(tx.inbox_key):
        raise WeakKey("small order or not canonical")


def check_veto(tx: VetoRecovery) -> None:
    """Accept every veto: work is for the state to judge."""


def check_finish(tx: FinishRecovery) -> None:
    """Accept every key: only the state knows which are approved."""


def approve(draft: Draft, tx: ApproveRecovery, ctx: TxContext) -> tuple[Event, ...]:
    """Keep the sender's approval.

    Raises: NotRegistered, Deactivated, NotGuardian, RecoveryVetoed, SameKey, GuardiansOwnKey,
    AlreadyApproved, OtherInboxKey, BadRecoveryProof.
    """
    identity = identities.active(draft, tx.owner)
    _check_guardian(guardians.load(draft, tx.owner, ctx.block_time_ms), ctx)
    if tx.public_key == identity.public_key:
        raise SameKey("the account has that key")
    if tx.public_key == ctx.public_key:
        raise GuardiansOwnKey("the owner names a key of his own")
    found = _approved_so_far(draft, tx, ctx)
    _check_proof(tx, found.key_version, ctx)
    approval = Approval(ctx.sender, ctx.block_time_ms, ctx.height)
    approved = replace(found, approvals=(*found.approvals, approval))
    recoveries.save(draft, tx.owner, tx.public_key, approved)
    stands = recoveries.standing(draft, tx.owner, tx.public_key, ctx.block_time_ms)
    ready_at = (stands and stands.ready_at) or EpochMs(0)
    return (RecoveryApproved(tx.owner, tx.public_key, ctx.sender, ready_at),)


def _check_guardian(held: Guardians, ctx: TxContext) -> None:
    if ctx.sender not in held.panel.members:
        raise NotGuardian("no guardian of that identity is of this account, or not yet")
    if ctx.height <= held.vetoed_at:
        raise RecoveryVetoed("the owner vetoed in this very block")


def _approved_so_far(draft: Draft, tx: ApproveRecovery, ctx: TxContext) -> Recovery:
    """Return the approvals that count. Raises: AlreadyApproved, OtherInboxKey."""
    stands = recoveries.standing(draft, tx.owner, tx.public_key, ctx.block_time_ms)
    if stands is None:
        return Recovery(recoveries.next_version(draft, tx.owner), tx.inbox_key)
    if any(each.guardian == ctx.sender for each in stands.recovery.approvals):
        raise AlreadyApproved("approved once, it counts until it lapses")
    if stands.recovery.inbox_key != tx.inbox_key:
        raise OtherInboxKey("those who approved before named another inbox key")
    return stands.recovery


def _check_proof(tx: ApproveRecovery, version: int, ctx: TxContext) -> None:
    statement = recoveries.statement(ctx.chain_id, tx.owner, version, tx.inbox_key)
    try:
        signing.verify(tx.public_key, recoveries.DOMAIN, statement, tx.proof)
    except signing.SignatureInvalid:
        raise BadRecoveryProof(
            f"not the new key's signature as key {version} of that account on {ctx.chain_id}"
        ) from None


def vetoed(state: State, tx: VetoRecovery, ctx: TxContext) -> int:
    """Return what was worked for a veto that will not be refused. Raises: as veto(), and NoWork."""
    done = work.check(state, tx.work, VETO_TASK, ctx)
    _check_guarded(state, ctx)
    return done


def _check_guarded(state: State, ctx: TxContext) -> None:
    identities.active(state, ctx.sender)
    if not guardians.load(state, ctx.sender, ctx.block_time_ms).panel.members:
        raise NoGuardians("nobody can recover this identity")


def veto(draft: Draft, tx: VetoRecovery, ctx: TxContext) -> tuple[Event, ...]:
    """Let no approval up to now count.

    Raises: NotRegistered, Deactivated, NoGuardians, UnknownAnchor, TooLittleWork.
    """
    owner, now = ctx.sender, ctx.block_time_ms
    _check_guarded(draft, ctx)
    work.use(draft, tx.work, VETO_TASK, ctx)
    guardians.veto(draft, owner, now, ctx.height)
    return (RecoveryForbidden(owner),)


def finish(draft: Draft, tx: FinishRecovery, ctx: TxContext) -> tuple[Event, ...]:
    """Schedule the new key for the end of the block; see hooks/recoveries.py.

    Raises: NotRegistered, Deactivated, RecoveryNotReady.
    """
    identities.active(draft, tx.owner)
    now = ctx.block_time_ms
    stands = recoveries.standing(draft, tx.owner, tx.public_key, now)
    if stands is None:
        need = guardians.load(draft, tx.owner, now).panel.threshold
        raise RecoveryNotReady(0, need, 0)
    if not stands.is_ready(now):
        raise RecoveryNotReady(len(stands.recovery.approvals), stands.need, stands.ready_at or 0)
    recoveries.schedule(draft, tx.owner, tx.public_key)
    return (RecoveryFinishing(tx.owner, tx.public_key),)


APPROVE: Final = Family(
    type=15,
    name="approve_recovery",
    shape=codec.Record(
        ApproveRecovery,
        owner=ACCOUNT_ID,
        public_key=identities.PUBLIC_KEY,
        inbox_key=identities.PUBLIC_KEY,
        proof=codec.Fixed(signing.SIGNATURE_BYTES),
    ),
    cost=Cost(300),
    check=check_approve,
    apply=approve,
)

VETO: Final = Family(
    type=16,
    name="veto_recovery",
    shape=codec.Record(VetoRecovery, work=work.PROOF),
    cost=Cost(80),
    check=check_veto,
    apply=veto,
    waive=vetoed,
)

FINISH: Final = Family(
    type=17,
    name="finish_recovery",
    shape=codec.Record(FinishRecovery, owner=ACCOUNT_ID, public_key=identities.PUBLIC_KEY),
    cost=Cost(250),
    check=check_finish,
    apply=finish,
)

FAMILIES: Final = (APPROVE, VETO, FINISH)
