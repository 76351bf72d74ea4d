"""What some people of the chat chain are after for several blocks, one step behind the other.

A plot sees what the block before came to, whatever else was in it: it may be foiled.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from abci_chat.params import GOVERNANCE, IDENTITIES
from abci_chat.state import channels, epochs, hidden, parameters, proposals
from abci_chat.state.ballots import Choice
from abci_chat.state.channels import NOBODY, Kind, Role
from abci_chat.state.contents import Chain, Change, ParamsChange
from abci_chat.txs import ballot, channel, epoch, invite, member, proposal, recovery
from dchat.kernel.errors import TxRejected
from dchat.kernel.ids import AccountId
from dchat.kernel.store import Draft
from tests.fakes.community import PEOPLE, VOTERS, Community, Tree, blind_of, named
from tests.fakes.community_civics import CHOICES, secret, uncovered
from tests.fakes.community_doings import INVITED, channel_of, hiding, inside, shown
from tests.fakes.community_errands import ERRANDS, signed
from tests.fakes.community_names import Ordered, approval, guarded, panel_of, somebody
from tests.fakes.memory import Person

TUGS: Final = (
    (("identities", "guardian_delay_ms", 40_000), ("identities", "recovery_delay_ms", 45_000)),
    (("governance", "deposit", 40_000), ("governance", "ballot_bond", 45_000)),
    (("moderation", "unbonding_ms", 80_000), ("moderation", "verdict_ms", 90_000)),
)
"""Orders of which each can be carried out, but not both."""


@dataclass(frozen=True)
class Step:
    """What is ordered in one block, in this order."""

    orders: tuple[Ordered, ...]
    after_ms: int = 1_000
    """How much later than the block before."""


Plot = Callable[[Community, random.Random], Iterator[Step]]


def plotted(world: Community, name: str, seed: int) -> Iterator[tuple[list[bytes], int]]:
    """Yield the transactions of each step, and how much later they come."""
    for step in PLOTS[name](world, random.Random(seed)):
        yield [signed(world, each) for each in step.orders], max(1, step.after_ms)


def can_be_set(world: Community, order: ParamsChange) -> bool:
    """Tell whether a vote could order that now."""
    try:
        parameters.change(Draft(world.state), order)
    except TxRejected:
        return False
    return True


def _recover(world: Community, chance: random.Random) -> Iterator[Step]:
    """Guardians give somebody a new key; the owner forbids it, or one is too early, by chance."""
    owner = guarded(world, chance)
    panel = panel_of(world, owner)
    given = [approval(world, named(who), owner, 0) for who in panel]
    if not given:
        return
    form = recovery.FinishRecovery(owner.id, given[0].form.public_key)
    finish = Ordered(somebody(world, chance), recovery.FINISH, form)
    veto = Ordered(owner, recovery.VETO, recovery.VetoRecovery())
    delay = IDENTITIES.load(world.state).recovery_delay_ms
    yield Step(tuple(given))
    yield Step(chance.choice([(), (veto,), (finish,)]), delay - chance.choice([1, 1_000]))
    yield Step(chance.choice([(finish,), (finish,), (finish, veto), (veto, finish)]))
    yield Step((finish,))


def _come_back(world: Community, chance: random.Random) -> Iterator[Step]:
    """Who was removed from a private channel, or left it, acts with the leaf of before."""
    where, record = channel_of(world, chance, Kind.PRIVATE)
    if record.lists_members or channels.load(world.state, where) is None:
        return
    owner = named(record.owner)
    yield Step((_turn(world, chance, where, owner),))
    tree = world.known.trees.get(epochs.load(world.state, where).member_root)
    if tree is None:
        return
    who, role = chance.choice(tree.seats)
    leave = member.LeaveChannel(where, (tree.proof(who),))
    left = Ordered(named(who), member.LEAVE, leave)
    removed = Ordered(owner, epoch.REMOVE_LEAF, _removal(tree, (who, role)))
    yield Step((chance.choice([left, removed]),))
    harm = _removal(tree, chance.choice(tree.seats), who)
    acts = [left, Ordered(named(who), epoch.REMOVE_LEAF, harm)]
    yield Step((_turn(world, chance, where, named(who)), *chance.sample(acts, 2)))
    yield Step((_turn(world, chance, where, owner, tree),))
    yield Step((_turn(world, chance, where, named(who), tree), left))


def _vouch(world: Community, chance: random.Random) -> Iterator[Step]:
    """A moderator brings somebody in, and is none any more when that one comes, by chance."""
    where, record = channel_of(world, chance, Kind.PUBLIC)
    owner = named(record.owner)
    out = [who for who in PEOPLE if who not in [owner, *inside(world, where)]]
    if len(out) < 2:
        return
    friend, guest = chance.sample(out, 2)
    role = member.SetRole(where, friend.id, Role.MODERATOR)
    yield Step(
        (
            Ordered(owner, channel.SET_POLICY, channel.SetPolicy(where, INVITED)),
            Ordered(owner, invite.INVITE, invite.InviteMember(where, friend.id)),
            Ordered(friend, member.JOIN, member.JoinChannel(where)),
            Ordered(owner, member.SET_ROLE, role),
            Ordered(friend, invite.INVITE, invite.InviteMember(where, guest.id)),
        )
    )
    fall = (
        Ordered(owner, member.REMOVE, member.RemoveMember(where, friend.id)),
        Ordered(owner, member.SET_ROLE, replace(role, role=Role.MEMBER)),
        Ordered(friend, member.LEAVE, member.LeaveChannel(where, ())),
    )
    yield Step(tuple(chance.sample(fall, chance.randrange(2))))
    yield Step((Ordered(guest, member.JOIN, member.JoinChannel(where)),))


def _removal(tree: Tree, seat: tuple[AccountId, Role], by: AccountId = NOBODY) -> epoch.RemoveLeaf:
    """Return the removal of a seat, by the owner or one who shows a path."""
    who, role = seat
    proof = (tree.proof(by),) if by else ()
    place = hidden.seat(who, blind_of(who))
    return epoch.RemoveLeaf(tree.channel, place, role, reserve=False, proof=proof)


def _turn(
    world: Community, chance: random.Random, where: bytes, who: Person, tree: Tree | None = None
) -> Ordered:
    """Return the order of a private channel's next epoch, with that tree or one by chance."""
    now = epochs.load(world.state, where)
    nothing = (epochs.NO_ROOT, 0, epochs.NO_KEY, bytes([chance.randrange(256)]) * 32)
    proof = shown(world, where, who)
    form = epoch.CommitEpoch(where, now.number, now.removals, *nothing, proof)
    return Ordered(who, epoch.COMMIT, hiding(form, world, chance, tree))


def _pull(world: Community, chance: random.Random) -> Iterator[Step]:
    """Two votes pass of which only the first can be carried out."""
    numbers = _next(world), _next(world) + 1
    yield Step(tuple([_change(world, chance, each) for each in chance.choice(_SIDES)]))
    yield Step(tuple([each for number in numbers for each in _all_for(number, VOTERS)]))
    yield Step((), GOVERNANCE.load(world.state).voting_ms)


_SIDES: Final = (*TUGS, *[(second, first) for first, second in TUGS])


def _next(world: Community) -> int:
    """Return the number that the next proposal has."""
    return proposals.opening(world.state).count + 1


def _all_for(number: int, people: tuple[Person, ...]) -> list[Ordered]:
    form = ballot.CastBallot(number, Choice.YES)
    return [Ordered(who, ballot.CAST, form) for who in people]


def _change(world: Community, chance: random.Random, order: tuple[str, str, int]) -> Ordered:
    section, name, value = order
    deposit = GOVERNANCE.load(world.state).deposit
    change = (Change(name, value),)
    form = proposal.ProposeParams("Pull", "", deposit, Chain.CHAT, section, change)
    return Ordered(somebody(world, chance), proposal.PARAMS, form)


def _whisper(world: Community, chance: random.Random) -> Iterator[Step]:
    """Everybody votes privately and reveals it; too early, too late or never, by chance."""
    number = _next(world)
    yield Step((ERRANDS[chance.choice(["propose_text", "propose_params"])](world, chance),))
    if _next(world) == number:
        return
    asked = proposals.load(world.state, number)
    bond = asked.terms.ballot_bond
    choices = [(who, (number, chance.choice(CHOICES))) for who in VOTERS]
    yield Step(tuple([secret(world, who, vote, bond) for who, vote in choices]))
    early = chance.randrange(2)
    yield Step(_some(world, chance, number), asked.ends_at - early - world.time)
    yield Step(_some(world, chance, number))
    late = chance.randrange(2)
    yield Step(_some(world, chance, number), asked.reveals_until - 1 + late - world.time)


def _some(world: Community, chance: random.Random, number: int) -> tuple[Ordered, ...]:
    """Return the orders by which some reveal their ballots."""
    found = uncovered(world, number)
    return tuple(chance.sample(found, chance.randrange(len(found) + 1)))


def _weigh(world: Community, _: random.Random) -> Iterator[Step]:
    """Everybody is for the newest proposal, who has a weight and who has none."""
    yield Step(tuple(_all_for(_next(world) - 1, PEOPLE)))


PLOTS: Final[dict[str, Plot]] = {
    "recover": _recover,
    "come back": _come_back,
    "vouch": _vouch,
    "pull": _pull,
    "whisper": _whisper,
    "weigh": _weigh,
}
"""By name."""
