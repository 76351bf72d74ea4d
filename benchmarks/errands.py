"""What people order on the chat chain that `benchmarks.community` fills: a block's worth at a time.

Whoever orders is drawn without drawing anybody twice before all others had their turn, so that what
an order needs is as likely to be read from disk as anything else in the state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import count
from random import Random
from typing import Final

from abci_chat import params
from abci_chat.state import ballots, cases, channels, devices, epochs, handles, work
from abci_chat.state.ballots import Choice
from abci_chat.state.cases import Reason
from abci_chat.state.channels import JoinRule, Kind, Policy, Role
from abci_chat.state.post_proofs import Part
from abci_chat.state.targets import Kind as TargetKind
from abci_chat.state.targets import Target
from abci_chat.state.work import Proof
from abci_chat.txs import ballot, channel, device, epoch, handle, identity, member, post, report
from abci_chat.txs import verdict as verdicts
from benchmarks import community
from benchmarks.community import CHANNELS, IN_A_CHANNEL, SIGNERS, Community
from dchat.kernel import signing
from dchat.kernel.codec import Raw
from dchat.kernel.family import MAX_WAIVED_COST
from dchat.kernel.headers import merkle_root
from dchat.kernel.ids import AccountId, Amount, Cost, EpochMs, Height, Nonce
from dchat.kernel.proposal import MAX_WAIVED
from dchat.node.storage import Storage
from tests.fakes.memory import CHAIN, START, Person, signed
from tests.fakes.orders import RELAY

EACH: Final = 250
"""Orders of one block."""
CASES: Final = 60
"""Reports of one block: no more than share a draw."""
MOST_NEWCOMERS: Final = 4_000
BATCHES: Final = 20
IN_A_BATCH: Final = 1_000
ENOUGH: Final = 16
"""Expected hashes: more than is asked for, and found at once."""
_LIMIT: Final = Cost(30_000)
WORKED: Final = MAX_WAIVED
"""Orders by work of one block: no more go into one."""
_SALT: Final = bytes(32)
_POLICY: Final = Policy(Role.MEMBER, 0, 0, JoinRule.OPEN)

Body = tuple[Raw, ...]


@dataclass(slots=True)
class Desk:
    """A chain on disk, and how far everybody who orders something is on it."""

    community: Community
    storage: Storage
    now: EpochMs = START
    chance: Random = field(default_factory=lambda: Random(1))
    nonces: dict[AccountId, int] = field(default_factory=dict[AccountId, int])
    counters: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    """Posts so far, by channel and signer."""
    epochs: dict[int, int] = field(default_factory=dict[int, int])
    joined: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Channels and signers that joined them and have not left."""
    gone: dict[int, int] = field(default_factory=dict[int, int])
    """How many have left, by channel."""
    newcomers: list[Person] = field(default_factory=list[Person])
    """Those who have committed to a handle."""
    came: int = 0
    """How many newcomers and strangers there were so far."""
    cases: range = range(1, 1)
    """The last ones that were opened."""
    proposal: int = 0
    decks: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def deal(self, name: str, among: range, wanted: int = EACH) -> list[int]:
        """Return some of these numbers, none again before all were dealt."""
        deck = self.decks.setdefault(name, [])
        if len(deck) < wanted:
            deck[:] = among
            self.chance.shuffle(deck)
        dealt, deck[:] = deck[:wanted], deck[wanted:]
        return dealt

    def order(self, who: Person, body: Body, *, is_free: bool = False) -> bytes:
        """Return somebody's next transaction."""
        nonce = self.nonces.get(who.id, 0)
        self.nonces[who.id] = nonce + 1
        limit, fee = (MAX_WAIVED_COST, Amount(0)) if is_free else (_LIMIT, Amount(_LIMIT))
        until = Height(self.storage.height + 50)
        return signed(who, body, nonce, cost_limit=limit, fee=fee, valid_until_height=until)

    def work(self, who: Person, order: bytes) -> Proof:
        """Return work for somebody's next transaction, which is this one without its work."""
        anchor = work.anchors(work.load(self.storage.latest()), CHAIN)[0]
        nonce = Nonce(self.nonces.get(who.id, 0))
        bound_to = work.statement(CHAIN, who.id, nonce, anchor)
        problem = work.task(bound_to, order)
        salts = (at.to_bytes(8, "big") for at in count())
        return Proof(anchor, next(s for s in salts if work.worked(problem, s) >= ENOUGH))


Build = Callable[[Desk], list[bytes]]

# Identities


def commit_handle(desk: Desk) -> list[bytes]:
    """Newcomers who have credits promise to reveal a handle."""
    desk.newcomers = _next(desk, community.newcomer, EACH)
    return [desk.order(who, _commitment(who)) for who in desk.newcomers]


def register(desk: Desk) -> list[bytes]:
    """They register with it."""
    return [desk.order(who, _registration(who)) for who in desk.newcomers]


def commit_by_work(desk: Desk) -> list[bytes]:
    """Strangers without anything promise to reveal a handle."""
    desk.newcomers = _next(desk, community.stranger, WORKED)
    return [_worked_commitment(desk, who) for who in desk.newcomers]


def register_by_work(desk: Desk) -> list[bytes]:
    """They register with it."""
    return [_worked_registration(desk, who) for who in desk.newcomers]


def update_prekeys(desk: Desk) -> list[bytes]:
    """People commit to other prekeys."""
    body = identity.UPDATE_PREKEYS.body(identity.UpdatePrekeys(_SALT))
    return [desk.order(who, body) for who in _signers(desk, "update_prekeys")]


def add_device(desk: Desk) -> list[bytes]:
    """People let another key sign for them."""
    return [desk.order(who, device.ADD.body(_device(who))) for who in _signers(desk, "add_device")]


def _next(desk: Desk, person: Callable[[int], Person], wanted: int) -> list[Person]:
    desk.came += wanted
    return [person(at) for at in range(desk.came - wanted, desk.came)]


def _handle_of(who: Person) -> str:
    return "h" + who.seed.hex()[:20]


def _commitment(who: Person, proof: Proof = work.NONE) -> Body:
    promised = handles.commitment(CHAIN, who.id, _handle_of(who), _SALT)
    return handle.COMMIT.body(handle.CommitHandle(promised, proof))


def _registering(who: Person, proof: Proof = work.NONE) -> identity.RegisterIdentity:
    return identity.RegisterIdentity(_handle_of(who), _SALT, who.public_key, (RELAY,), _SALT, proof)


def _registration(who: Person, proof: Proof = work.NONE) -> Body:
    return identity.REGISTER.body(_registering(who, proof))


def _worked_commitment(desk: Desk, who: Person) -> bytes:
    promised = handles.commitment(CHAIN, who.id, _handle_of(who), _SALT)
    proof = desk.work(who, handle.committing(handle.CommitHandle(promised)))
    return desk.order(who, _commitment(who, proof), is_free=True)


def _worked_registration(desk: Desk, who: Person) -> bytes:
    proof = desk.work(who, identity.registering(_registering(who)))
    return desk.order(who, _registration(who, proof), is_free=True)


def _device(who: Person) -> device.AddDevice:
    seed = sha256(b"device" + who.seed).digest()
    key = signing.public_key(seed)
    said = devices.statement(CHAIN, who.id, key)
    return device.AddDevice(key, signing.sign(seed, devices.DOMAIN, said))


def _signers(desk: Desk, name: str) -> list[Person]:
    return [community.signer(at) for at in desk.deal(name, range(SIGNERS))]


# Channels


def create_channel(desk: Desk) -> list[bytes]:
    """People open channels."""
    most = params.CHANNELS.default.deposit
    form = channel.CreateChannel(Kind.PUBLIC, _POLICY, channels.NO_GATE, most)
    return [desk.order(who, channel.CREATE.body(form)) for who in _signers(desk, "create_channel")]


def join_channel(desk: Desk) -> list[bytes]:
    """People join a channel on the other side of town."""
    for at in desk.deal("join_channel", range(SIGNERS)):
        far = (at // IN_A_CHANNEL + CHANNELS // 2) % CHANNELS
        desk.joined.append((far + 1 if community.is_private(far) else far, at))
    return [
        desk.order(community.signer(at), member.JOIN.body(member.JoinChannel(_id(far))))
        for far, at in desk.joined
    ]


def leave_channel(desk: Desk) -> list[bytes]:
    """Those who joined leave."""
    left, desk.joined = desk.joined, []
    for far, _ in left:
        desk.gone[far] = desk.gone.get(far, 0) + 1
    return [
        desk.order(community.signer(at), member.LEAVE.body(member.LeaveChannel(_id(far), ())))
        for far, at in left
    ]


def commit_epoch(desk: Desk) -> list[bytes]:
    """Owners of channels that list their members commit the next epoch."""
    return [
        _next_epoch(desk, at, community.signer(at * IN_A_CHANNEL))
        for at in _channels(desk, "commit_epoch", is_private=False)
    ]


def commit_hidden_epoch(desk: Desk) -> list[bytes]:
    """Moderators of private channels prove that they are, and commit the next epoch."""
    return [
        _next_epoch(desk, at, community.signer(at * IN_A_CHANNEL + 1))
        for at in _channels(desk, "commit_hidden_epoch", is_private=True)
    ]


def _next_epoch(desk: Desk, at: int, who: Person) -> bytes:
    number = desk.epochs[at] = desk.epochs.get(at, 0) + 1
    form = epoch.CommitEpoch(
        _id(at), number, desk.gone.get(at, 0), epochs.NO_ROOT, 0, b"", _SALT, ()
    )
    if community.is_private(at):
        form = replace(
            form,
            member_root=community.root_of(_id(at), who.id),
            size_class=community.SIZE_CLASS,
            posting_key=signing.public_key(number.to_bytes(32, "big")),
            proof=(community.proof_of(who.id),),
        )
    return desk.order(who, epoch.COMMIT.body(form))


def _id(number: int) -> bytes:
    return community.channel(number)


def _channels(desk: Desk, name: str, *, is_private: bool, wanted: int = EACH) -> list[int]:
    fitting = [at for at in range(CHANNELS) if community.is_private(at) == is_private]
    return [fitting[at] for at in desk.deal(name, range(len(fitting)), wanted)]


# Posts


def post_alone(desk: Desk) -> list[bytes]:
    """People post in a channel each."""
    raws: list[bytes] = []
    for at in _channels(desk, "post_alone", is_private=False):
        number = desk.chance.choice(community.those_in(at))
        form = post.Post(_id(at), _epoch(desk, at), _counted(desk, at, number, 1), _SALT)
        raws.append(desk.order(community.signer(number), post.POST.body(form)))
    return raws


def post_batch(desk: Desk) -> list[bytes]:
    """Owners of channels send a thousand posts each, of five authors."""
    raws: list[bytes] = []
    for at in _channels(desk, "post_batch", is_private=False, wanted=BATCHES):
        parts = tuple([_part(desk, at, number) for number in community.those_in(at)])
        form = post.PostBatch(_id(at), _epoch(desk, at), parts)
        raws.append(desk.order(community.signer(at * IN_A_CHANNEL), post.BATCH.body(form)))
    return raws


def _part(desk: Desk, at: int, number: int) -> post.SignedPart:
    posts = IN_A_BATCH // IN_A_CHANNEL
    root = merkle_root([one.to_bytes(32, "big") for one in range(posts)])
    who = community.signer(number)
    part = Part(who.id, who.public_key, _counted(desk, at, number, posts), posts, root)
    return post.sign(who.seed, CHAIN, _id(at), _epoch(desk, at), part)


def _epoch(desk: Desk, at: int) -> int:
    return desk.epochs.get(at, 0) + 1


def _counted(desk: Desk, at: int, number: int, posts: int) -> int:
    owned = 1 if number % IN_A_CHANNEL == 0 else 0
    before = desk.counters.get((at, number), owned)
    desk.counters[at, number] = before + posts
    return before


# Votes


def cast_ballot(desk: Desk) -> list[bytes]:
    """People vote on a proposal that nobody has voted on."""
    desk.proposal += 1
    body = ballot.CAST.body(ballot.CastBallot(desk.proposal, Choice.YES))
    return [desk.order(who, body) for who in _signers(desk, "vote")]


def commit_ballot(desk: Desk) -> list[bytes]:
    """Others vote on the same privately."""
    bond = params.GOVERNANCE.default.ballot_bond
    raws: list[bytes] = []
    for who in _signers(desk, "vote"):
        hidden = ballots.commitment(CHAIN, desk.proposal, who.id, Choice.NO, _SALT)
        form = ballot.CommitBallot(desk.proposal, hidden, bond)
        raws.append(desk.order(who, ballot.COMMIT.body(form)))
    return raws


# Reports


def report_account(desk: Desk) -> list[bytes]:
    """People who are no jurors report somebody."""
    desk.cases = range(desk.cases.stop, desk.cases.stop + CASES)
    others = desk.deal("report", range(SIGNERS - CHANNELS), CASES)
    reporters = [at // (IN_A_CHANNEL - 1) * IN_A_CHANNEL + at % (IN_A_CHANNEL - 1) for at in others]
    return [desk.order(community.signer(at), report.REPORT.body(_report(desk))) for at in reporters]


def nothing(_: Desk) -> list[bytes]:
    """Nobody orders anything; the block does what is due."""
    return []


def give_verdict(desk: Desk) -> list[bytes]:
    """The juror who was drawn first upholds each report; the others are never heard of."""
    raws: list[bytes] = []
    for number in desk.cases:
        drawn = cases.load(desk.storage.latest(), number).jurors[0]
        body = verdicts.VERDICT.body(verdicts.GiveVerdict(number, upholds=True))
        raws.append(desk.order(_jurors()[drawn], body))
    return raws


def _jurors() -> dict[AccountId, Person]:
    last = IN_A_CHANNEL - 1
    return {
        community.account_of(at): community.signer(at) for at in range(last, SIGNERS, IN_A_CHANNEL)
    }


def _report(desk: Desk) -> report.Report:
    somebody = desk.community.somebody(desk.chance)
    bond = params.MODERATION.default.report_bond
    return report.Report(Target(TargetKind.ACCOUNT, somebody), (), Reason.SPAM, _SALT, bond)
