"""Plain books of who is who: key logs, handles, devices, guardians and recoveries."""

from __future__ import annotations

from dataclasses import dataclass, field

from abci_chat import keys, params
from abci_chat.hooks.recoveries import IdentityRecovered
from abci_chat.state import devices, handles, identities
from abci_chat.state.identities import LogKind
from abci_chat.txs.device import DeviceAdded, DeviceRevoked
from abci_chat.txs.guardians import GuardiansAnnounced, GuardiansKept
from abci_chat.txs.handle import HandleClaimed, HandleCommitted, HandleReleased, HandleTransferred
from abci_chat.txs.identity import IdentityDeactivated, IdentityRegistered
from abci_chat.txs.recovery import RecoveryApproved, RecoveryFinishing, RecoveryForbidden
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.ids import AccountId
from dchat.kernel.rotation import KeyRotated
from tests.fakes.community_acts import Act
from tests.fakes.memory import CHAIN, MemoryState

Approval = tuple[bytes, AccountId, int]
"""New key, guardian, and when."""
Panel = tuple[frozenset[AccountId], int, int]
"""Guardians, how many it takes, and since when."""
NO_PANEL: Panel = (frozenset(), 0, 0)


@dataclass
class Holder:
    """One identity, as a person would write it down."""

    key: bytes
    log: list[tuple[LogKind, bytes, int]]
    devices: set[bytes] = field(default_factory=set[bytes])
    """That sign."""
    ever: set[bytes] = field(default_factory=set[bytes])
    panel: Panel = NO_PANEL
    coming: Panel | None = None
    approvals: list[Approval] = field(default_factory=list[Approval])
    """Since the last veto, and for the key that would be the next one."""
    vetoed_at: int = 0
    active: bool = True

    def guards(self, now: int) -> Panel:
        """Return the panel that is in force."""
        if self.coming and self.coming[2] <= now:
            self.panel, self.coming = self.coming, None
        return self.panel

    def turn(self, key: bytes, kind: LogKind, height: int) -> None:
        """Give it another key."""
        self.key, self.approvals = key, []
        self.log.append((kind, key, height))


def looks(name: str) -> str:
    """Return a name with everything put in place of which something else could be seen."""
    for seen, like in (("_", ""), ("0", "o"), ("1", "l"), ("vv", "w"), ("rn", "m")):
        name = name.replace(seen, like)
    return name


class Ring:
    """Everybody's identity, and whose every handle is."""

    def __init__(self) -> None:
        self.holders: dict[AccountId, Holder] = {}
        self.handles: dict[str, AccountId] = {}
        self.resting: dict[str, int] = {}
        """By looks: until when."""
        self.promised: dict[AccountId, tuple[bytes, int]] = {}
        self.finishing: set[tuple[AccountId, bytes]] = set()

    def authorises(self, who: AccountId, key: bytes) -> bool:
        """Tell whether the key signs for somebody."""
        holder = self.holders.get(who)
        return holder is not None and holder.active and (key == holder.key or key in holder.devices)

    def is_active(self, who: AccountId) -> bool:
        """Tell whether somebody has an identity that was not given up."""
        return who in self.holders and self.holders[who].active

    def enter(self, act: Act) -> None:
        """Book what happened to an identity."""
        match act.event:
            case IdentityRegistered(owner, name):
                assert owner not in self.holders
                log = [(LogKind.REGISTERED, act.key, act.height)]
                self.holders[owner] = Holder(act.key, log)
                if name:
                    self._claim(act, owner, name)
            case KeyRotated(owner, key):
                if self.is_active(owner):
                    self.holders[owner].turn(key, LogKind.ROTATED, act.height)
            case DeviceAdded(owner, key):
                holder = self._able(owner)
                assert key not in {holder.key, *holder.ever}
                holder.devices.add(key)
                holder.ever.add(key)
                holder.log.append((LogKind.DEVICE_ADDED, key, act.height))
                assert len(holder.devices) <= params.IDENTITIES.load(act.rules).max_devices
            case DeviceRevoked(owner, key):
                holder = self._able(owner)
                holder.devices.remove(key)
                holder.log.append((LogKind.DEVICE_REVOKED, key, act.height))
            case _:
                self._handle(act)
                self._guard(act)

    def _able(self, who: AccountId) -> Holder:
        assert self.is_active(who)
        return self.holders[who]

    def _handle(self, act: Act) -> None:
        match act.event:
            case IdentityDeactivated(owner, name, free_from):
                holder = self._able(owner)
                holder.log.append((LogKind.DEACTIVATED, holder.key, act.height))
                holder.active = False
                if name:
                    self._release(act, owner, name, free_from)
            case HandleCommitted(owner):
                self.promised[owner] = (act.form.commitment, act.height)
            case HandleClaimed(owner, name):
                self._claim(act, owner, name)
            case HandleReleased(owner, name, free_from):
                self._release(act, owner, name, free_from)
            case HandleTransferred(owner, to, name):
                assert self.handles[name] == owner == act.who
                assert self.is_active(to)
                assert to not in self.handles.values()
                self.handles[name] = to
            case _:
                pass

    def _claim(self, act: Act, owner: AccountId, name: str) -> None:
        assert self.is_active(owner)
        assert owner not in self.handles.values()
        digest, height = self.promised.pop(owner)
        last = height + params.IDENTITIES.load(act.rules).reveal_blocks
        assert digest == handles.commitment(CHAIN, owner, name, act.form.salt)
        assert height < act.height <= last
        assert self.resting.get(looks(name), 0) <= act.now
        self.handles[name] = owner

    def _release(self, act: Act, owner: AccountId, name: str, free_from: int) -> None:
        assert self.handles.pop(name) == owner == act.who
        assert free_from == act.now + params.IDENTITIES.load(act.rules).handle_release_ms
        self.resting[looks(name)] = free_from

    def _guard(self, act: Act) -> None:
        match act.event:
            case GuardiansAnnounced(owner, panel, at):
                holder = self._able(owner)
                holder.guards(act.now)
                assert at == act.now + params.IDENTITIES.load(act.rules).guardian_delay_ms
                holder.coming = (frozenset(act.form.members), act.form.threshold, at)
                holder.log.append((LogKind.GUARDIANS_SET, panel, act.height))
            case GuardiansKept(owner, panel):
                holder = self._able(owner)
                holder.guards(act.now)
                assert holder.coming
                holder.coming = None
                holder.log.append((LogKind.GUARDIANS_SET, panel, act.height))
            case RecoveryApproved(owner, key, guardian):
                holder = self._able(owner)
                assert guardian == act.who
                assert guardian in holder.guards(act.now)[0]
                assert act.height > holder.vetoed_at
                holder.approvals.append((key, guardian, act.now))
            case RecoveryForbidden(owner):
                holder = self._able(owner)
                assert owner == act.who
                assert holder.guards(act.now)[0]
                holder.approvals, holder.vetoed_at = [], act.height
            case RecoveryFinishing(owner, key):
                self.finishing.add((owner, key))
            case IdentityRecovered(owner, key):
                self._recover(act, owner, key)
            case _:
                pass

    def _recover(self, act: Act, owner: AccountId, key: bytes) -> None:
        """Give the key if enough of the guardians approved it long enough ago, and not too long."""
        holder, rules = self._able(owner), params.IDENTITIES.load(act.rules)
        members, threshold, since = holder.guards(act.now)
        times = {
            guardian: at
            for given, guardian, at in holder.approvals
            if given == key
            and guardian in members
            and max(since, act.now - rules.recovery_window_ms + 1) <= at
        }
        assert (owner, key) in self.finishing
        assert len(times) >= threshold > 0
        assert sorted(times.values())[threshold - 1] + rules.recovery_delay_ms <= act.now
        assert act.height > holder.vetoed_at
        holder.turn(key, LogKind.RECOVERED, act.height)
        holder.devices, holder.coming = set(), None

    def end(self) -> None:
        """Forget what was to be done at the end of the block."""
        self.finishing = set()

    def check(self, state: MemoryState, known: list[bytes]) -> None:
        """Return if the state has these identities, logs and handles, and no others.

        known: keys that may have something to say.
        """
        for who, holder in self.holders.items():
            record = identities.load(state, who)
            assert record is not None
            mine = [name for name, owner in self.handles.items() if owner == who]
            assert [record.handle] == (mine or [""])
            assert (record.public_key, not record.deactivated_at) == (holder.key, holder.active)
            assert record.log_length == len(holder.log)
            assert record.log_head == _walked(state, who, holder)
            said = {key for key in known if devices.authorises(state, who, key)}
            assert said == {key for key in known if self.authorises(who, key)}
        shapes = [looks(name) for name in self.handles]
        assert len(set(shapes)) == len(shapes)
        held = {
            handles.HANDLE.decode_own(value).name: handles.HANDLE.decode_own(value).owner
            for _, value in state.scan(keys.HANDLES)
            if not handles.HANDLE.decode_own(value).free_from
        }
        assert held == self.handles
        found = [codec.unpack_array(key)[1] for key, _ in state.scan(_IDENTITIES)]
        assert {ACCOUNT_ID.lift(each) for each in found} == set(self.holders)


_IDENTITIES = codec.pack(("identity", b""))[:-2]


def _walked(state: MemoryState, who: AccountId, holder: Holder) -> bytes:
    """Return the hash at the end of somebody's log, all of whose lines are as they were told."""
    head = identities.EMPTY_LOG
    for number, line in enumerate(holder.log):
        entry = identities.LOG_ENTRY.decode(state.get(keys.key_log(who, number)) or b"")
        assert (entry.kind, entry.key, entry.height) == line
        assert entry.previous == head
        head = identities.entry_hash(entry)
    assert state.get(keys.key_log(who, len(holder.log))) is None
    return head
