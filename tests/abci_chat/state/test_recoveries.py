"""Keys, devices and guardians in any order, held against what a person would say of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from abci_chat.state import devices, identities, recoveries
from abci_chat.state.identities import LogKind
from abci_chat.state.recoveries import Approval, Recovery
from abci_chat.txs import device, guardians, recovery, rotate_key
from abci_chat.txs.device import RevokeDevice
from abci_chat.txs.guardians import CancelGuardians
from abci_chat.txs.recovery import FinishRecovery, VetoRecovery
from dchat.kernel import accounts
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.rotation import prove
from tests.fakes.guarded import (
    DAVE,
    ERIN,
    GUARDIAN_MS,
    INBOX,
    NEW,
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
    watched,
)
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, Person

GUARDS = (BOB, CAROL, DAVE)
CANDIDATES = [Person(bytes([n]) * 32) for n in (90, 91, 92, 93, 94, 95)]
THINGS = [Person(bytes([n]) * 32) for n in (60, 61, 62, 63, 64)]
WAITS = st.sampled_from([1, 1_000, RECOVERY_MS - 1, RECOVERY_MS, GUARDIAN_MS, WINDOW_MS])


def test_what_nobody_approved_does_not_stand() -> None:
    chain = watched()

    stands = recoveries.standing(chain.state, ALICE.id, NEW.public_key, EpochMs(chain.now))

    assert stands is None


def test_a_standing_recovery_names_who_counts_and_when_it_is_ready() -> None:
    chain = approved()

    stands = recoveries.standing(chain.state, ALICE.id, NEW.public_key, EpochMs(chain.now))

    assert stands is not None
    assert [each.guardian for each in stands.recovery.approvals] == [BOB.id, CAROL.id]
    assert (stands.need, stands.ready_at) == (2, chain.now + RECOVERY_MS)


def test_nothing_stands_where_the_threshold_is_none() -> None:
    chain = opened()
    draft = chain.draft()
    given = Recovery(1, INBOX, (Approval(BOB.id, EpochMs(chain.now), Height(1)),))
    recoveries.save(draft, ALICE.id, NEW.public_key, given)

    assert recoveries.standing(draft, ALICE.id, NEW.public_key, EpochMs(chain.now)) is None


@dataclass
class Word:
    """What one guardian said for one key."""

    guardian: Person
    key: Person
    at: int
    counts: bool = True


@dataclass
class Story:
    """What a person would remember of ALICE's identity."""

    key: Person = ALICE
    version: int = 0
    panel: tuple[Person, ...] = ()
    threshold: int = 0
    pending: tuple[tuple[Person, ...], int, int] | None = None
    words: list[Word] = field(default_factory=list[Word])
    live: set[bytes] = field(default_factory=set[bytes])
    gone: set[bytes] = field(default_factory=set[bytes])
    is_over: bool = False
    log: list[LogKind] = field(default_factory=lambda: [LogKind.REGISTERED])

    def pass_to(self, now: int) -> None:
        """Let a change of guardians come into force, and what lapsed be forgotten."""
        if self.pending and self.pending[2] <= now:
            self.panel, self.threshold, _ = self.pending
            self.pending = None
            self.forget()
        self.words = [word for word in self.words if word.at + WINDOW_MS > now]

    def forget(self) -> None:
        """Let no word count that was said so far."""
        self.words = []

    def said_for(self, key: Person) -> list[Word]:
        """What was said for a key, in order."""
        return [word for word in self.words if word.key == key]

    def may_take_over(self, key: Person, now: int) -> bool:
        """Whether the key can have the account now."""
        said = self.said_for(key)
        enough = len(said) >= self.threshold > 0
        return enough and now >= said[self.threshold - 1].at + RECOVERY_MS and not self.is_over

    def move_to(self, key: Person) -> None:
        """Let another key sign."""
        self.key, self.version = key, self.version + 1
        self.forget()


class Keys(RuleBasedStateMachine):
    """ALICE, three who may guard her, and whoever finds her key."""

    @initialize()
    def begin(self) -> None:
        self.chain = Chain(begun(replace(RULES, max_devices=2)))
        self.story = Story()
        self.last_log: list[tuple[LogKind, bytes]] = []
        self.name({0, 1, 2}, 2)
        self.wait(GUARDIAN_MS)

    def by_alice(self, family: object, order: object) -> bool:
        """Send what the present key signs for ALICE's account; tell whether it was done."""
        raw = self.chain.signed(self.story.key, family, order, account=ALICE.id)  # pyright: ignore[reportArgumentType] -- any family
        return self.tell(raw)

    def tell(self, raw: bytes) -> bool:
        """Run a block a second later; tell whether its transaction did anything."""
        code = self.chain.block(raw).outcomes[0].code
        self.story.pass_to(self.chain.now)
        return code == 0

    def by(self, who: Person, family: object, order: object) -> bool:
        """Send what somebody else signs."""
        return self.tell(self.chain.signed(who, family, order))  # pyright: ignore[reportArgumentType] -- any family

    @rule(ms=WAITS)
    def wait(self, ms: int) -> None:
        self.chain.block(after_ms=ms)
        self.story.pass_to(self.chain.now)

    @rule(thing=st.sampled_from(THINGS))
    def add(self, thing: Person) -> None:
        done = self.by_alice(device.ADD, added(ALICE, thing))
        story, key = self.story, thing.public_key
        fresh = key not in story.live | story.gone and len(story.live) < 2
        assert done == (fresh and not story.is_over)
        if done:
            story.live.add(key)
            story.log.append(LogKind.DEVICE_ADDED)

    @rule(thing=st.sampled_from(THINGS))
    def revoke(self, thing: Person) -> None:
        done = self.by_alice(device.REVOKE, RevokeDevice(thing.public_key))
        assert done == (thing.public_key in self.story.live and not self.story.is_over)
        if done:
            self.story.live.remove(thing.public_key)
            self.story.gone.add(thing.public_key)
            self.story.log.append(LogKind.DEVICE_REVOKED)

    @rule(members=st.sets(st.sampled_from(range(3)), min_size=1), threshold=st.integers(1, 3))
    def name(self, members: set[int], threshold: int) -> None:
        chosen = tuple(GUARDS[each] for each in sorted(members))
        done = self.by_alice(guardians.SET, guarded(*chosen, threshold=threshold))
        assert done == (threshold <= len(chosen) and not self.story.is_over)
        if done:
            self.story.pending = (chosen, threshold, self.chain.now + GUARDIAN_MS)
            self.story.log.append(LogKind.GUARDIANS_SET)

    @rule()
    def cancel(self) -> None:
        done = self.by_alice(guardians.CANCEL, CancelGuardians())
        assert done == (self.story.pending is not None and not self.story.is_over)
        if done:
            self.story.pending = None
            self.story.log.append(LogKind.GUARDIANS_SET)

    @rule(who=st.sampled_from(GUARDS), key=st.sampled_from(CANDIDATES[:2]))
    def approve(self, who: Person, key: Person) -> None:
        order = approval(new=key, version=self.story.version + 1)
        done = self.by(who, recovery.APPROVE, order)
        story = self.story
        twice = any(word.guardian == who for word in story.said_for(key))
        free = key != story.key and not twice and not story.is_over
        assert done == (who in story.panel and free)
        if done:
            story.words.append(Word(who, key, self.chain.now))

    @rule()
    def veto(self) -> None:
        done = self.by_alice(recovery.VETO, VetoRecovery())
        assert done == (bool(self.story.panel) and not self.story.is_over)
        if done:
            self.story.forget()

    @rule(key=st.sampled_from(CANDIDATES))
    def rotate(self, key: Person) -> None:
        story = self.story
        order = prove(key.seed, CHAIN, ALICE.id, story.version + 1)
        done = self.by_alice(rotate_key.FAMILY, order)
        assert done == (key != story.key)
        if done:
            story.move_to(key)
            story.log += [] if story.is_over else [LogKind.ROTATED]

    @rule(key=st.sampled_from(CANDIDATES[:2]))
    def finish(self, key: Person) -> None:
        done = self.by(ERIN, recovery.FINISH, FinishRecovery(ALICE.id, key.public_key))
        story = self.story
        assert done == story.may_take_over(key, self.chain.now)
        if done:
            story.move_to(key)
            story.pending = None
            story.gone |= story.live
            story.live = set()
            story.log.append(LogKind.RECOVERED)

    @rule(
        key=st.sampled_from(CANDIDATES[:2]),
        between=st.sampled_from(["", "veto", "rotate", "lapse", "others", "names", "add"]),
        ms=st.sampled_from([RECOVERY_MS - 3_000, RECOVERY_MS]),
    )
    def recover_unless(self, key: Person, between: str, ms: int) -> None:
        for who in self.story.panel:
            self.approve(who, key)
        deeds = {
            "veto": self.veto,
            "rotate": lambda: self.rotate(CANDIDATES[5]),
            "lapse": lambda: self.wait(WINDOW_MS),
            "others": lambda: [self.name({0, 1}, 1), self.wait(GUARDIAN_MS)],
            "names": lambda: self.name({0}, 1),
            "add": lambda: self.add(THINGS[self.chain.height % 5]),
        }
        deeds.get(between, lambda: None)()
        self.wait(ms)
        self.finish(key)

    @rule()
    @precondition(lambda self: self.chain.height > 25)
    def give_up(self) -> None:
        draft = self.chain.draft()
        record = replace(self.chain.identity(), deactivated_at=EpochMs(self.chain.now))
        identities.save(draft, ALICE.id, record)
        self.chain.keep(draft)
        self.story.is_over = True

    @invariant()
    def account_and_identity_have_the_key_that_the_story_says(self) -> None:
        held = accounts.load(self.chain.state, ALICE.id)
        assert (held.public_key, held.key_version) == (
            self.story.key.public_key,
            self.story.version,
        )
        named = self.chain.identity().public_key
        assert self.story.is_over or named == held.public_key

    @invariant()
    def exactly_the_key_and_the_devices_that_are_left_sign(self) -> None:
        keys = [each.public_key for each in (ALICE, *CANDIDATES, *THINGS)]
        signing = {key for key in keys if devices.authorises(self.chain.state, ALICE.id, key)}
        story = self.story
        assert signing == (set() if story.is_over else {story.key.public_key, *story.live})

    @invariant()
    def the_log_tells_all_and_only_grows(self) -> None:
        now = self.chain.log()
        assert now[: len(self.last_log)] == self.last_log
        assert [kind for kind, _ in now] == self.story.log
        self.last_log = now

    @invariant()
    def others_keep_their_keys(self) -> None:
        for who in (*GUARDS, ERIN):
            assert accounts.load(self.chain.state, who.id).key_version == 0


TestKeys = Keys.TestCase
TestKeys.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
