"""A chat chain whose people have identities, devices and guardians, run block by block."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from abci_chat import keys, params
from abci_chat.machine import MACHINE
from abci_chat.params import Identities, Work
from abci_chat.state import devices, guardians, identities, recoveries
from abci_chat.state.guardians import Guardians, Panel
from abci_chat.state.identities import Identity, LogEntry, LogKind
from abci_chat.txs import device, recovery
from abci_chat.txs import guardians as families
from abci_chat.txs.device import AddDevice
from abci_chat.txs.guardians import SetGuardians
from abci_chat.txs.recovery import ApproveRecovery
from dchat.kernel import accounts, machine, signing, supply
from dchat.kernel import params as kernel
from dchat.kernel.family import Family
from dchat.kernel.ids import AccountId, Amount, Cost, EpochMs, Height
from dchat.kernel.machine import Block, BlockContext, BlockResult, Outcome
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, START, MemoryState, Person, give, signed

T = TypeVar("T")
BLOCK_MS = 1_000
GUARDIAN_MS = 50_000
RECOVERY_MS = 20_000
WINDOW_MS = 200_000
RULES = Identities(
    max_devices=3,
    guardian_delay_ms=GUARDIAN_MS,
    recovery_delay_ms=RECOVERY_MS,
    recovery_window_ms=WINDOW_MS,
)
EASY = Work(base_bits=4)
FUNDS = 10_000_000
DAVE, ERIN = Person(bytes([4]) * 32), Person(bytes([5]) * 32)
PEOPLE = (ALICE, BOB, CAROL, DAVE, ERIN)
NEW = Person(bytes([90]) * 32)
"""The key that ALICE makes when she has lost hers."""
INBOX = signing.public_key(bytes([91]) * 32)
HOME = ("/ip4/192.0.2.1/tcp/7070/p2p/" + "Q" * 46,)
PHONE = Person(bytes([60]) * 32)


def begun(rules: Identities = RULES) -> MemoryState:
    """Return a chain on which everybody has credits, and all but ERIN an identity."""
    draft = Draft(MemoryState())
    kernel.save(draft, kernel.DEFAULT)
    params.IDENTITIES.save(draft, rules)
    params.WORK.save(draft, EASY)
    for who in PEOPLE:
        give(draft, who.id, FUNDS)
    for who in PEOPLE[:-1]:
        enrol(draft, who)
    return MemoryState().after(draft.writes())


def enrol(draft: Draft, who: Person) -> None:
    """Let who have an identity, and the account its key."""
    held = accounts.load(draft, who.id)
    accounts.save(draft, who.id, replace(held, public_key=who.public_key))
    record = Identity("", who.public_key, INBOX, HOME, b"h" * 32, Height(0))
    identities.save(draft, who.id, record)
    identities.log(draft, who.id, LogKind.REGISTERED, who.public_key, Height(0))


def added(who: Person, thing: Person, account: AccountId | None = None) -> AddDevice:
    """Return the order by which thing becomes a device of who's."""
    statement = devices.statement(CHAIN, account or who.id, thing.public_key)
    return AddDevice(thing.public_key, signing.sign(thing.seed, devices.DOMAIN, statement))


def guarded(*members: Person, threshold: int) -> SetGuardians:
    """Return the order that makes members the guardians."""
    return SetGuardians(tuple(sorted(each.id for each in members)), threshold)


def approval(
    owner: Person = ALICE, new: Person = NEW, version: int = 1, inbox: bytes = INBOX
) -> ApproveRecovery:
    """Return a guardian's word for a new key of the owner's."""
    statement = recoveries.statement(CHAIN, owner.id, version, inbox)
    proof = signing.sign(new.seed, recoveries.DOMAIN, statement)
    return ApproveRecovery(owner.id, new.public_key, inbox, proof)


@dataclass
class Chain:
    """A chat chain that goes on block by block."""

    state: MemoryState
    height: int = 0
    now: int = START

    def block(self, *txs: bytes, after_ms: int = BLOCK_MS) -> BlockResult:
        """Run the next block."""
        self.height += 1
        self.now += after_ms
        at = BlockContext(CHAIN, Height(self.height), EpochMs(self.now))
        result = machine.run_block(MACHINE, self.state, Block(at, txs), {})
        self.state = self.state.after(result.writes)
        supply.check_invariant(self.state)
        return result

    def send(self, who: Person, family: Family[T], order: T, after_ms: int = BLOCK_MS) -> Outcome:
        """Run a block with what who orders for the account of its own, and return the outcome."""
        return self.block(self.signed(who, family, order), after_ms=after_ms).outcomes[0]

    def signed(
        self,
        who: Person,
        family: Family[T],
        order: T,
        ahead: int = 0,
        account: AccountId | None = None,
        fee: int = 20_000,
    ) -> bytes:
        """Return who's next transaction, `ahead` of those that go before it in the same block."""
        sender = account or who.id
        return signed(
            who,
            family.body(order),
            accounts.load(self.state, sender).nonce + ahead,
            sender=sender,
            fee=Amount(fee),
            cost_limit=Cost(10_000 if fee else 2_000),
            valid_until_height=Height(self.height + 100),
        )

    def draft(self) -> Draft:
        """Return a draft on the present state, for `keep`."""
        return Draft(self.state)

    def keep(self, draft: Draft) -> None:
        """Let what stands in the draft be so."""
        self.state = self.state.after(draft.writes())

    def identity(self, who: Person = ALICE) -> Identity:
        """Return who's identity."""
        found = identities.load(self.state, who.id)
        assert found is not None
        return found

    def guardians(self, who: Person = ALICE) -> Guardians:
        """Return who's guardians at the time of the last block."""
        return guardians.load(self.state, who.id, EpochMs(self.now))

    def log(self, who: Person = ALICE) -> list[tuple[LogKind, bytes]]:
        """Return the kinds and keys of who's whole log, whose chain of hashes holds."""
        record = self.identity(who)
        found = [self._entry(who, number) for number in range(record.log_length)]
        head = identities.EMPTY_LOG
        for entry in found:
            assert entry.previous == head
            head = identities.entry_hash(entry)
        assert head == record.log_head
        return [(entry.kind, entry.key) for entry in found]

    def _entry(self, who: Person, number: int) -> LogEntry:
        raw = self.state.get(keys.key_log(who.id, number))
        assert raw is not None
        return identities.LOG_ENTRY.decode(raw)


def opened() -> Chain:
    """Return a chain on which nobody has guardians."""
    return Chain(begun())


def with_device() -> Chain:
    """Return a chain on which ALICE has a PHONE."""
    chain = opened()
    assert chain.send(ALICE, device.ADD, added(ALICE, PHONE)).code == 0
    return chain


def watched(*members: Person, threshold: int = 2) -> Chain:
    """Return a chain on which these, or BOB, CAROL and DAVE, guard ALICE."""
    chain = opened()
    order = guarded(*(members or (BOB, CAROL, DAVE)), threshold=threshold)
    assert chain.send(ALICE, families.SET, order).code == 0
    chain.block(after_ms=GUARDIAN_MS)
    return chain


def approved(chain: Chain | None = None) -> Chain:
    """Return a chain on which BOB and CAROL, who are enough, have approved NEW for ALICE."""
    begins = chain or watched()
    assert begins.send(BOB, recovery.APPROVE, approval()).code == 0
    assert begins.send(CAROL, recovery.APPROVE, approval()).code == 0
    return begins


def panel(*members: Person, threshold: int) -> Panel:
    """Return the panel of these."""
    return Panel(tuple(sorted(each.id for each in members)), threshold)
