"""What people order about channels, epochs, posts and anchors, by chance."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from abci_chat import keys
from abci_chat.state import channels, epochs, members, posts
from abci_chat.state.channels import (
    NO_GATE,
    NOBODY,
    Channel,
    Fact,
    Gate,
    JoinRule,
    Kind,
    Policy,
    Role,
)
from abci_chat.state.hidden import HiddenProof
from abci_chat.state.post_proofs import NOBODY as UNNAMED
from abci_chat.state.post_proofs import Part
from abci_chat.txs import anchor, channel, epoch, expire, invite, member, ownership, post
from abci_chat.txs.post import SignedPart
from dchat.kernel import codec, signing
from dchat.kernel.headers import merkle_root
from dchat.kernel.ids import AccountId, Amount, EpochMs
from tests.fakes.community import PEOPLE, Community, Tree, blind_of, named
from tests.fakes.community_names import GADGETS, Errand, Ordered, is_device, somebody
from tests.fakes.memory import CHAIN, Person

POLICIES: Final = (
    Policy(Role.MEMBER, 0, 0, JoinRule.OPEN),
    Policy(Role.MEMBER, 0, 30_000, JoinRule.OPEN),
    Policy(Role.MEMBER, 5_000, 0, JoinRule.REQUEST),
    Policy(Role.MODERATOR, 0, 1_000, JoinRule.INVITE),
    Policy(Role.OWNER, 5_000, 30_000, JoinRule.OPEN),
)
INVITED: Final = Policy(Role.MEMBER, 0, 0, JoinRule.INVITE)
HIDDEN: Final = Policy(Role.MEMBER, 0, 30_000, JoinRule.INVITE)
CONVERSATIONS: Final = (b"\xd1" * 32, b"\xd2" * 32)
"""Seeds of their keys."""
NOWHERE: Final = b"\x6e" * 32
"""A channel that there never was."""


def channel_of(world: Community, chance: random.Random, *kinds: Kind) -> tuple[bytes, Channel]:
    """Return a channel, mostly open and of these kinds, if there is one."""
    found = [
        (channels.CHANNEL_ID.lift(codec.unpack_array(key)[1]), channels.CHANNEL.decode_own(record))
        for key, record in world.state.scan(keys.CHANNELS)
    ]
    able = [each for each in found if not each[1].closed_at and each[1].kind in kinds]
    missing = Channel(Kind.PUBLIC, PEOPLE[0].id, Amount(0), HIDDEN, NO_GATE, world.now, world.now)
    return chance.choice(able if able and chance.randrange(12) else found or [(NOWHERE, missing)])


def _listed(world: Community, chance: random.Random) -> tuple[bytes, Channel]:
    return channel_of(world, chance, Kind.PUBLIC)


def _any(world: Community, chance: random.Random) -> tuple[bytes, Channel]:
    return channel_of(world, chance, Kind.PUBLIC, Kind.PUBLIC, Kind.PRIVATE)


def insider(world: Community, chance: random.Random, where: bytes, least: Role) -> Person:
    """Return somebody who has that role at least, or anybody now and then."""
    record = channels.load(world.state, where)
    if record is None or not chance.randrange(8):
        return chance.choice(PEOPLE)
    if not record.lists_members:
        tree = world.known.trees.get(epochs.load(world.state, where).member_root)
        seats = tree.seats if tree else ()
        able = [named(who) for who, role in seats if role >= least]
    else:
        found = [(who, members.load(world.state, where, who.id)) for who in PEOPLE]
        able = [who for who, each in found if each and each.role >= least]
    return chance.choice([*able, named(record.owner)])


def inside(world: Community, where: bytes) -> list[Person]:
    """Return who is a member besides the owner, hidden or not."""
    tree = world.known.trees.get(epochs.load(world.state, where).member_root)
    if tree:
        return [named(who) for who, _ in tree.seats]
    return [who for who in PEOPLE if members.load(world.state, where, who.id)]


def _inferior(world: Community, chance: random.Random, where: bytes) -> Person:
    """Return a member who is not the owner, mostly."""
    there = inside(world, where)
    return chance.choice(there if there and chance.randrange(8) else PEOPLE)


def shown(world: Community, where: bytes, who: Person) -> tuple[HiddenProof, ...]:
    """Return what somebody shows to act in a channel: nothing where members are listed."""
    record = channels.load(world.state, where)
    if record is None or record.lists_members or record.owner == who.id:
        return ()
    tree = world.known.trees.get(epochs.load(world.state, where).member_root)
    return (tree.proof(who.id),) if tree and tree.seats else ()


def _create(world: Community, chance: random.Random) -> Ordered:
    kind = chance.choice([Kind.PUBLIC, Kind.PUBLIC, Kind.PRIVATE, Kind.GATED])
    gate = Gate(Fact.STAKE, Amount(5)) if kind is Kind.GATED else NO_GATE
    policy = HIDDEN if kind is Kind.PRIVATE else chance.choice(POLICIES)
    most = Amount(chance.choice([10_000, 10_000, 100_000, 1]))
    form = channel.CreateChannel(kind, policy, gate, most)
    return Ordered(somebody(world, chance), channel.CREATE, form)


def _close(world: Community, chance: random.Random) -> Ordered:
    where, _ = _any(world, chance)
    who = insider(world, chance, where, Role.OWNER)
    return Ordered(who, channel.CLOSE, channel.CloseChannel(where))


def _set_policy(world: Community, chance: random.Random) -> Ordered:
    where, record = _any(world, chance)
    policy = chance.choice(POLICIES) if record.lists_members else replace(HIDDEN, retention_ms=1000)
    who = insider(world, chance, where, Role.OWNER)
    return Ordered(who, channel.SET_POLICY, channel.SetPolicy(where, policy))


def _join(world: Community, chance: random.Random) -> Ordered:
    where, record = _listed(world, chance)
    able = PEOPLE if not record.closed_at else ()
    invited = [who for who in able if members.invited(world.state, where, who.id, world.now)]
    out = [each for each in PEOPLE if each not in inside(world, where)]
    who = chance.choice(invited if invited and chance.randrange(2) else out or PEOPLE)
    return Ordered(who, member.JOIN, member.JoinChannel(where))


def _leave(world: Community, chance: random.Random) -> Ordered:
    where, _ = _any(world, chance)
    who = insider(world, chance, where, Role.MEMBER)
    return Ordered(who, member.LEAVE, member.LeaveChannel(where, shown(world, where, who)))


def _remove(world: Community, chance: random.Random) -> Ordered:
    where, _ = _listed(world, chance)
    who, whom = insider(world, chance, where, Role.MODERATOR), _inferior(world, chance, where)
    return Ordered(who, member.REMOVE, member.RemoveMember(where, whom.id))


def _ban(world: Community, chance: random.Random) -> Ordered:
    where, _ = _listed(world, chance)
    who, whom = insider(world, chance, where, Role.MODERATOR), _inferior(world, chance, where)
    until = EpochMs(chance.choice([0, world.time + 10_000, world.time + 60_000, 5]))
    return Ordered(who, member.BAN, member.BanMember(where, whom.id, until))


def _unban(world: Community, chance: random.Random) -> Ordered:
    where, _ = _listed(world, chance)
    who = insider(world, chance, where, Role.MODERATOR)
    out = [each for each in PEOPLE if members.banned(world.state, where, each.id, world.now)]
    form = member.UnbanMember(where, chance.choice(out or PEOPLE).id)
    return Ordered(who, member.UNBAN, form)


def _set_role(world: Community, chance: random.Random) -> Ordered:
    where, _ = _listed(world, chance)
    who, whom = insider(world, chance, where, Role.OWNER), _inferior(world, chance, where)
    role = chance.choice([Role.MEMBER, Role.MODERATOR, Role.MODERATOR])
    return Ordered(who, member.SET_ROLE, member.SetRole(where, whom.id, role))


def _invite(world: Community, chance: random.Random) -> Ordered:
    where, _ = _listed(world, chance)
    who = insider(world, chance, where, Role.MODERATOR)
    return Ordered(who, invite.INVITE, invite.InviteMember(where, chance.choice(PEOPLE).id))


def _request(world: Community, chance: random.Random) -> Ordered:
    where, _ = _listed(world, chance)
    return Ordered(somebody(world, chance), invite.REQUEST, invite.RequestJoin(where))


def _answer(world: Community, chance: random.Random) -> Ordered:
    where, _ = _listed(world, chance)
    who = insider(world, chance, where, Role.MODERATOR)
    asking = [each for each in PEOPLE if members.asks(world.state, where, each.id, world.now)]
    form = invite.AnswerRequest(where, chance.choice(asking or PEOPLE).id, chance.randrange(3) > 0)
    return Ordered(who, invite.ANSWER, form)


def _heir(chance: random.Random) -> AccountId:
    return chance.choice([NOBODY, *[who.id for who in PEOPLE]])


def _offer(world: Community, chance: random.Random) -> Ordered:
    where, _ = _any(world, chance)
    who = insider(world, chance, where, Role.OWNER)
    return Ordered(who, ownership.OFFER, ownership.OfferChannel(where, _heir(chance)))


def _accept(world: Community, chance: random.Random) -> Ordered:
    where, record = _any(world, chance)
    who = named(record.offered_to) if record.offered_to else chance.choice(PEOPLE)
    return Ordered(who, ownership.ACCEPT, ownership.AcceptChannel(where))


def _name_successor(world: Community, chance: random.Random) -> Ordered:
    where, _ = _any(world, chance)
    who = insider(world, chance, where, Role.OWNER)
    return Ordered(who, ownership.NAME_SUCCESSOR, ownership.NameSuccessor(where, _heir(chance)))


def _succeed(world: Community, chance: random.Random) -> Ordered:
    where, record = _any(world, chance)
    who = named(record.successor) if record.successor else chance.choice(PEOPLE)
    return Ordered(who, ownership.SUCCEED, ownership.SucceedChannel(where))


def _commit_epoch(world: Community, chance: random.Random) -> Ordered:
    where, record = channel_of(world, chance, Kind.PRIVATE, Kind.PUBLIC)
    now = epochs.load(world.state, where)
    who = insider(world, chance, where, Role.MODERATOR)
    form = epoch.CommitEpoch(
        where,
        now.number + chance.choice([0, 0, 0, 0, 1]) - chance.choice([0, 0, 0, min(1, now.number)]),
        max(0, now.removals - chance.choice([0, 0, 0, 1])),
        epochs.NO_ROOT,
        0,
        epochs.NO_KEY,
        bytes([chance.randrange(256)]) * 32,
        shown(world, where, who),
    )
    return Ordered(who, epoch.COMMIT, form if record.lists_members else hiding(form, world, chance))


def hiding(
    form: epoch.CommitEpoch, world: Community, chance: random.Random, tree: Tree | None = None
) -> epoch.CommitEpoch:
    """Return the commit of a private channel's epoch, with a tree of members, or one by chance."""
    people = chance.sample(PEOPLE, chance.randrange(1, 6))
    roles = [chance.choice([Role.MEMBER, Role.MODERATOR]) for _ in people]
    seats = tuple(zip([who.id for who in people], roles, strict=True))
    tree = tree or Tree(form.channel, seats)
    world.known.trees[tree.root] = tree
    key = signing.public_key(posting_seed(form.channel, form.from_epoch + 1))
    return replace(form, member_root=tree.root, size_class=16, posting_key=key)


def posting_seed(where: bytes, number: int) -> bytes:
    """Return the seed of an epoch's posting key."""
    return where[:31] + bytes([number % 256])


def _remove_leaf(world: Community, chance: random.Random) -> Ordered:
    where, _ = channel_of(world, chance, Kind.PRIVATE)
    who, whom = insider(world, chance, where, Role.MODERATOR), _inferior(world, chance, where)
    tree = world.known.trees.get(epochs.load(world.state, where).member_root)
    roles = dict(tree.seats) if tree else {}
    role = roles.get(whom.id, Role.MEMBER)
    seat = epoch.hidden.seat(whom.id, blind_of(whom.id))
    reserve = not chance.randrange(4)
    form = epoch.RemoveLeaf(where, seat, role, reserve, shown(world, where, who))
    return Ordered(who, epoch.REMOVE_LEAF, form)


def _post(world: Community, chance: random.Random) -> Ordered:
    where, _ = _listed(world, chance)
    who = insider(world, chance, where, Role.MEMBER)
    counter = posts.author(world.state, where, who.id).counter + (not chance.randrange(8))
    number = epochs.load(world.state, where).number
    form = post.Post(where, number, counter, bytes([chance.randrange(256)]) * 32)
    return Ordered(who, post.POST, form)


def leaves_of(part: Part) -> tuple[bytes, ...]:
    """Return the commitments of a part, which follow from who posts and how many came before."""
    return tuple(
        [merkle_root([part.author, b"%d" % (part.counter + at)]) for at in range(part.count)]
    )


def rooted(part: Part) -> Part:
    """Return the part with the root of its commitments."""
    return replace(part, root=merkle_root(leaves_of(part)))


def _batch(world: Community, chance: random.Random) -> Ordered:
    where, record = _any(world, chance)
    number = epochs.load(world.state, where).number
    sender = insider(world, chance, where, Role.MEMBER)
    if not record.lists_members:
        nonce = world.signer(sender).nonce
        part = rooted(Part(sender.id, UNNAMED, nonce, chance.choice([1, 4, 16, 2]), b""))
        seed = posting_seed(where, number - (not chance.randrange(8)))
        signed = post.unnamed(post.sign(seed, CHAIN, where, number, part))
        return Ordered(sender, post.BATCH, post.PostBatch(where, number, (signed,)))
    authors = [insider(world, chance, where, Role.MEMBER) for _ in range(chance.randrange(1, 4))]
    parts = tuple([_part(world, chance, (where, number), who) for who in frozenset_of(authors)])
    return Ordered(sender, post.BATCH, post.PostBatch(where, number, parts))


def frozenset_of(people: list[Person]) -> list[Person]:
    """Return each once, in the order in which they come."""
    return list(dict.fromkeys(people))


def _part(
    world: Community, chance: random.Random, place: tuple[bytes, int], who: Person
) -> SignedPart:
    where, number = place
    counter = posts.author(world.state, where, who.id).counter
    gadgets = [seed for seed in GADGETS if is_device(world, who, seed)]
    seed = chance.choice([world.signer(who).seed] + gadgets * 3 or list(GADGETS))
    device = signing.public_key(seed)
    part = rooted(Part(who.id, device, counter, chance.choice([1, 1, 3, 20]), b""))
    return post.sign(seed, CHAIN, where, number, part)


def _expire(world: Community, chance: random.Random) -> Ordered:
    where, _ = _any(world, chance)
    held = posts.sequence(world.state, where)
    found = [first for first, _ in records(world, where)][: chance.randrange(1, 4)]
    firsts = tuple(found or [held.kept_from])
    return Ordered(chance.choice(PEOPLE), expire.FAMILY, expire.ExpirePosts(where, firsts))


def records(world: Community, where: bytes) -> list[tuple[int, posts.Batch]]:
    """Return all records of a channel's posts by their first number."""
    return sorted(
        (codec.U64.lift(codec.unpack_array(key)[2]), posts.BATCH.decode_own(record))
        for key, record in world.state.scan(keys.posts(where))
    )


def _anchor(world: Community, chance: random.Random) -> Ordered:
    form = anchor.sign(
        chance.choice(CONVERSATIONS),
        CHAIN,
        chance.randrange(world.height, world.height + 9),
        bytes([chance.randrange(256)]) * 32,
    )
    return Ordered(somebody(world, chance), anchor.FAMILY, form)


ERRANDS: Final[dict[str, Errand]] = {
    channel.CREATE.name: _create,
    channel.CLOSE.name: _close,
    channel.SET_POLICY.name: _set_policy,
    member.JOIN.name: _join,
    member.LEAVE.name: _leave,
    member.REMOVE.name: _remove,
    member.BAN.name: _ban,
    member.UNBAN.name: _unban,
    member.SET_ROLE.name: _set_role,
    invite.INVITE.name: _invite,
    invite.REQUEST.name: _request,
    invite.ANSWER.name: _answer,
    ownership.OFFER.name: _offer,
    ownership.ACCEPT.name: _accept,
    ownership.NAME_SUCCESSOR.name: _name_successor,
    ownership.SUCCEED.name: _succeed,
    epoch.COMMIT.name: _commit_epoch,
    epoch.REMOVE_LEAF.name: _remove_leaf,
    post.POST.name: _post,
    post.BATCH.name: _batch,
    expire.FAMILY.name: _expire,
    anchor.FAMILY.name: _anchor,
}
"""By family."""
