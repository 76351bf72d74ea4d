"""What the vectors of channels begin with, and what is sent to them."""

from __future__ import annotations

from dataclasses import replace

from abci_chat import params
from abci_chat.state import channels, epochs, identities
from abci_chat.state.channels import NO_GATE, NOBODY, Channel, Kind, Role
from abci_chat.txs import channel, epoch, invite, member, ownership
from abci_chat.txs.channel import CloseChannel, SetPolicy
from abci_chat.txs.epoch import CommitEpoch, RemoveLeaf
from abci_chat.txs.invite import AnswerRequest, InviteMember, RequestJoin
from abci_chat.txs.member import (
    BanMember,
    JoinChannel,
    LeaveChannel,
    RemoveMember,
    SetRole,
    UnbanMember,
)
from abci_chat.txs.ownership import AcceptChannel, NameSuccessor, OfferChannel, SucceedChannel
from dchat.kernel import accounts, supply
from dchat.kernel import params as kernel
from dchat.kernel.codec import Raw
from dchat.kernel.ids import Amount, EpochMs
from dchat.kernel.store import Draft
from tests.fakes.channels import (
    BY_REQUEST,
    COMMIT,
    GATED,
    PRIVATE,
    PUBLIC,
    Tree,
    known,
    next_id,
    posting_key,
)
from tests.fakes.memory import ALICE, BOB, CAROL, START, MemoryState, Person, signed

FUNDS = Amount(10**7)
SUCCESSION_MS = 1000
"""The least there is: orders of a vector are one millisecond apart."""
PLACE = next_id(ALICE, 0)
CIRCLE = next_id(ALICE, 1)
GATE = next_id(ALICE, 2)
LEFT = next_id(CAROL, 99)
"""A channel whose owner has not been there since 1970, and named bob."""


def start() -> MemoryState:
    """Return a state with three identities, and no parameters but those that channels read."""
    draft = Draft(MemoryState())
    kernel.save(draft, params.DEFAULT)
    params.CHANNELS.save(draft, replace(params.CHANNELS.default, succession_ms=SUCCESSION_MS))
    params.REPUTATION.save(draft, params.REPUTATION.default)
    supply.issue(draft, Amount(3 * FUNDS))
    for who in (ALICE, BOB, CAROL):
        accounts.credit(draft, who.id, FUNDS)
        identities.save(draft, who.id, known(who))
    long_ago = EpochMs(1)
    left = Channel(
        Kind.PUBLIC, CAROL.id, Amount(5), PUBLIC.policy, NO_GATE, long_ago, long_ago, BOB.id
    )
    channels.fund(draft, LEFT, left)
    return MemoryState().after(draft.writes())


class Script:
    """Orders in their sequence, each with its sender's next nonce."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self._nonces: dict[Person, int] = {}

    def add(self, who: Person, body: tuple[Raw, ...]) -> None:
        """Let somebody send this next."""
        nonce = self._nonces.get(who, 0)
        self._nonces[who] = nonce + 1
        self.sent.append(signed(who, body, nonce))


def orders() -> list[bytes]:
    """Return every order as it is carried out, and those that are refused most often."""
    script = Script()
    script.add(ALICE, channel.CREATE.body(PUBLIC))
    script.add(ALICE, channel.CREATE.body(PRIVATE))
    script.add(ALICE, channel.CREATE.body(GATED))
    _people(script)
    _epochs(script)
    _owners(script)
    return script.sent


def _people(script: Script) -> None:
    script.add(BOB, member.JOIN.body(JoinChannel(PLACE)))
    script.add(CAROL, member.JOIN.body(JoinChannel(GATE)))
    script.add(ALICE, channel.SET_POLICY.body(SetPolicy(PLACE, BY_REQUEST)))
    script.add(ALICE, member.SET_ROLE.body(SetRole(PLACE, BOB.id, Role.MODERATOR)))
    script.add(CAROL, invite.REQUEST.body(RequestJoin(PLACE)))
    script.add(BOB, invite.ANSWER.body(AnswerRequest(PLACE, CAROL.id, accept=True)))
    script.add(CAROL, member.LEAVE.body(LeaveChannel(PLACE, ())))
    script.add(BOB, member.BAN.body(BanMember(PLACE, CAROL.id, EpochMs(START + 10**6))))
    script.add(CAROL, invite.REQUEST.body(RequestJoin(PLACE)))
    script.add(BOB, member.UNBAN.body(UnbanMember(PLACE, CAROL.id)))
    script.add(BOB, invite.INVITE.body(InviteMember(PLACE, CAROL.id)))
    script.add(CAROL, member.JOIN.body(JoinChannel(PLACE)))


def _epochs(script: Script) -> None:
    tree = Tree(CIRCLE, bob=Role.MODERATOR, carol=Role.MEMBER)
    plain = CommitEpoch(PLACE, 0, 1, epochs.NO_ROOT, 0, epochs.NO_KEY, COMMIT, ())
    first = CommitEpoch(CIRCLE, 0, 0, tree.root, tree.size, posting_key(1), COMMIT, ())
    shown = (tree.proof(BOB),)
    leaf = RemoveLeaf(CIRCLE, tree.seat_of(CAROL), Role.MEMBER, False, shown)
    script.add(BOB, epoch.COMMIT.body(plain))
    script.add(ALICE, epoch.COMMIT.body(plain))
    script.add(ALICE, member.REMOVE.body(RemoveMember(PLACE, BOB.id)))
    script.add(BOB, epoch.COMMIT.body(replace(plain, from_epoch=1)))
    script.add(ALICE, epoch.COMMIT.body(first))
    script.add(BOB, epoch.REMOVE_LEAF.body(leaf))
    script.add(CAROL, member.LEAVE.body(LeaveChannel(CIRCLE, (tree.proof(CAROL),))))
    second = replace(first, from_epoch=1, removals=1, posting_key=posting_key(2), proof=shown)
    script.add(BOB, epoch.COMMIT.body(second))


def _owners(script: Script) -> None:
    script.add(ALICE, ownership.OFFER.body(OfferChannel(PLACE, CAROL.id)))
    script.add(CAROL, ownership.ACCEPT.body(AcceptChannel(PLACE)))
    script.add(CAROL, ownership.NAME_SUCCESSOR.body(NameSuccessor(PLACE, BOB.id)))
    script.add(BOB, ownership.SUCCEED.body(SucceedChannel(PLACE)))
    script.add(BOB, ownership.SUCCEED.body(SucceedChannel(LEFT)))
    script.add(CAROL, ownership.OFFER.body(OfferChannel(PLACE, NOBODY)))
    script.add(CAROL, channel.CLOSE.body(CloseChannel(PLACE)))
    script.add(CAROL, channel.CLOSE.body(CloseChannel(PLACE)))
