"""Recoveries: what guardians approved of one new key for an identity, and when it is in force.

    ("recovery", id, public_key)  [key_version, inbox_key, [[guardian, at, height], …]]
    ("recovering", id)            public_key

Approvals are kept by identity and new key, so nobody can occupy the place of a recovery. One counts
until it lapses, as long as its guardian's panel is in force, the owner has not vetoed it since and
the account has the key that it had. When enough count, the timelock runs from the last that it
took. Nothing ticks: all of this follows from the block time.

The new key signs that it is to be the account's, with the key that will open its mailboxes: the old
one went with what the owner lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_chat import keys
from abci_chat.params import IDENTITIES
from abci_chat.state import guardians, identities
from abci_chat.state.guardians import Guardians
from abci_chat.state.identities import PUBLIC_KEY, LogKind
from dchat.kernel import accounts, codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.ids import AccountId, ChainId, EpochMs, Height
from dchat.kernel.store import Draft, State, read

DOMAIN: Final = b"dchat/recovery/v1"
NO_PREKEYS: Final = bytes(identities.PREKEY_HASH_BYTES)
"""The commitment of an identity that has no prekeys yet: no bundle has this hash."""


@dataclass(frozen=True, slots=True)
class Approval:
    """One guardian's word for a new key."""

    guardian: AccountId
    at: EpochMs
    height: Height


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was approved of one new key."""

    key_version: int
    """Which key of the account it is to be."""
    inbox_key: bytes
    """Ed25519 key that opens the owner's mailboxes then."""
    approvals: tuple[Approval, ...] = ()


_APPROVAL: Final = codec.Record(Approval, guardian=ACCOUNT_ID, at=codec.U64, height=codec.U64)
RECOVERY: Final = codec.Record(
    Recovery,
    key_version=codec.U64,
    inbox_key=PUBLIC_KEY,
    approvals=codec.ListOf(_APPROVAL, guardians.MAX_GUARDIANS),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a recovery has come."""

    recovery: Recovery
    """With the approvals that count, by time."""
    need: int
    ready_at: EpochMs | None
    """When it can be finished, None until enough approvals count."""

    def is_ready(self, now: EpochMs) -> bool:
        """Tell whether it can be finished."""
        return self.ready_at is not None and self.ready_at <= now


def statement(chain_id: ChainId, owner: AccountId, key_version: int, inbox_key: bytes) -> bytes:
    """Return what the new key signs under DOMAIN."""
    return codec.pack((chain_id, owner, key_version, inbox_key))


def next_version(state: State, owner: AccountId) -> int:
    """Return which key of the account the next one will be."""
    return accounts.load(state, owner).key_version + 1


def load(state: State, owner: AccountId, public_key: bytes) -> Recovery | None:
    """Return what was ever approved of the key, whether it counts or not, None for nothing."""
    return read(state, keys.recovery(owner, public_key), RECOVERY)


def standing(state: State, owner: AccountId, public_key: bytes, now: EpochMs) -> Standing | None:
    """Return how far the recovery has come, None where nothing approved counts."""
    found = load(state, owner, public_key)
    if found is None or found.key_version != next_version(state, owner):
        return None
    rules, held = IDENTITIES.load(state), guardians.load(state, owner, now)
    counted = _counted(found, held, EpochMs(max(0, now - rules.recovery_window_ms)))
    if not counted:
        return None
    need = held.panel.threshold
    reached = len(counted) >= need > 0
    ready_at = EpochMs(counted[need - 1].at + rules.recovery_delay_ms) if reached else None
    return Standing(replace(found, approvals=counted), need, ready_at)


def _counted(found: Recovery, held: Guardians, lapsed: EpochMs) -> tuple[Approval, ...]:
    return tuple(
        [
            each
            for each in sorted(found.approvals, key=lambda approval: approval.at)
            if each.guardian in held.panel.members
            and each.at >= held.since
            and each.at > lapsed
            and each.height > held.vetoed_at
        ]
    )


def save(draft: Draft, owner: AccountId, public_key: bytes, found: Recovery) -> None:
    """Write the recovery of one new key."""
    draft.put(keys.recovery(owner, public_key), RECOVERY.encode(found))


def schedule(draft: Draft, owner: AccountId, public_key: bytes) -> None:
    """Let the block's end give the identity the key, if it is still to have it then."""
    draft.put(keys.recovering(owner), PUBLIC_KEY.encode(public_key))


def scheduled(draft: Draft) -> tuple[tuple[AccountId, bytes], ...]:
    """Take what is to be given a key off the list: owners, each with its key."""
    found = tuple(draft.scan(keys.RECOVERING))
    for key, _ in found:
        draft.delete(key)
    return tuple([(_owner(key), PUBLIC_KEY.decode_own(value)) for key, value in found])


def _owner(key: bytes) -> AccountId:
    return AccountId(ACCOUNT_ID.lift(codec.unpack_array(key)[1]))


def finish(
    draft: Draft, owner: AccountId, public_key: bytes, found: Recovery, height: Height
) -> None:
    """Give account and identity a key whose recovery, which is found, is ready.

    Devices are revoked, and there are no prekeys until the owner publishes some: they may be the
    doing of whoever had the old key. Raises: NotRegistered, Deactivated.
    """
    record, held = identities.active(draft, owner), accounts.load(draft, owner)
    accounts.save(draft, owner, replace(held, public_key=public_key, key_version=found.key_version))
    taken_over = replace(
        record,
        public_key=public_key,
        inbox_key=found.inbox_key,
        prekey_hash=NO_PREKEYS,
        devices_from=Height(height + 1),
    )
    identities.save(draft, owner, taken_over)
    identities.log(draft, owner, LogKind.RECOVERED, public_key, height)
    draft.delete(keys.recovery(owner, public_key))
