"""What the vectors of devices, guardians and recoveries begin with, and what is sent to them."""

from __future__ import annotations

from abci_chat import keys, params
from abci_chat.state import guardians, recoveries
from abci_chat.state.guardians import Guardians
from abci_chat.state.recoveries import Approval, Recovery
from abci_chat.txs import device, recovery
from abci_chat.txs import guardians as families
from abci_chat.txs.device import RevokeDevice
from abci_chat.txs.guardians import CancelGuardians
from abci_chat.txs.recovery import FinishRecovery, VetoRecovery
from dchat.kernel import params as kernel
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.guarded import (
    DAVE,
    EASY,
    INBOX,
    NEW,
    PHONE,
    RECOVERY_MS,
    RULES,
    added,
    approval,
    enrol,
    guarded,
    panel,
)
from tests.fakes.memory import ALICE, BOB, CAROL, START, MemoryState, give, signed

FUNDS = 100_000
EARLIER = EpochMs(START - RECOVERY_MS)
"""When bob and carol approved dave's new key: its timelock is over at once."""


def start() -> MemoryState:
    """Return a state in which bob and carol guard alice, and have approved a key for dave."""
    draft = Draft(MemoryState())
    kernel.save(draft, kernel.DEFAULT)
    params.IDENTITIES.save(draft, RULES)
    params.WORK.save(draft, EASY)
    for who in (ALICE, BOB, CAROL, DAVE):
        give(draft, who.id, FUNDS)
        enrol(draft, who)
    both = Guardians(panel(BOB, CAROL, threshold=2), EpochMs(1))
    for who in (ALICE, DAVE):
        draft.put(keys.guardians(who.id), guardians.GUARDIANS.encode(both))
    given = tuple(Approval(who.id, EARLIER, Height(1)) for who in (BOB, CAROL))
    recoveries.save(draft, DAVE.id, NEW.public_key, Recovery(1, INBOX, given))
    return MemoryState().after(draft.writes())


def orders() -> list[bytes]:
    """Return one transaction for each of as many blocks, from height 1 on."""
    revoke = device.REVOKE.body(RevokeDevice(PHONE.public_key))
    finish = recovery.FINISH.body(FinishRecovery(DAVE.id, NEW.public_key))
    approve = recovery.APPROVE.body(approval())
    return [
        signed(ALICE, device.ADD.body(added(ALICE, PHONE))),
        signed(ALICE, device.ADD.body(added(ALICE, PHONE)), 1),
        signed(ALICE, device.ADD.body(added(BOB, NEW)), 2),
        signed(ALICE, revoke, 3),
        signed(ALICE, revoke, 4),
        signed(ALICE, families.SET.body(guarded(DAVE, threshold=1)), 5),
        signed(ALICE, families.SET.body(guarded(ALICE, threshold=1)), 6),
        signed(ALICE, families.CANCEL.body(CancelGuardians()), 7),
        signed(ALICE, families.CANCEL.body(CancelGuardians()), 8),
        signed(BOB, approve),
        signed(BOB, approve, 1),
        signed(CAROL, recovery.APPROVE.body(approval(inbox=BOB.public_key))),
        signed(CAROL, recovery.APPROVE.body(approval(version=2)), 1),
        signed(CAROL, approve, 2),
        signed(DAVE, approve),
        signed(BOB, recovery.FINISH.body(FinishRecovery(ALICE.id, NEW.public_key)), 2),
        signed(ALICE, recovery.VETO.body(VetoRecovery()), 9),
        signed(ALICE, finish, 10),
        signed(ALICE, finish, 11),
        signed(DAVE, recovery.VETO.body(VetoRecovery()), 1),
    ]
