"""What people of the chat chain order by chance: every family, sensible or not."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Final

from abci_chat.state import cases, guardians, proposals
from abci_chat.state.cases import Phase
from abci_chat.state.proposals import Status
from abci_chat.txs import ballot, verdict
from dchat.kernel.ids import Cost
from tests.fakes import community_civics, community_doings, community_names
from tests.fakes.community import PEOPLE, VOTERS, Community, named
from tests.fakes.community_civics import CHOICES, all_cases
from tests.fakes.community_names import Errand, Ordered
from tests.fakes.world import COST

FEES: Final = (9_999, 8_000, 200_000, 4_000_000)
ERRANDS: Final[dict[str, Errand]] = {
    **community_names.ERRANDS,
    **community_doings.ERRANDS,
    **community_civics.ERRANDS,
}
"""By family: what somebody orders of it now; many are refused."""
_KEYS: Final = "rotate_key add_device add_device revoke_device post post_batch post_batch"
_RECOVERY: Final = (
    "set_guardians approve_recovery approve_recovery approve_recovery approve_recovery"
    " finish_recovery finish_recovery finish_recovery veto_recovery cancel_guardians add_device"
)
_HANDLES: Final = (
    "commit_handle commit_handle claim_handle claim_handle claim_handle release_handle"
    " transfer_handle transfer_handle register_identity deactivate_identity"
)
_ROOMS: Final = (
    "create_channel join_channel join_channel join_channel invite_member request_join request_join"
    " answer_request answer_request set_role set_role remove_member ban_member unban_member"
    " leave_channel set_channel_policy"
)
_POSTS: Final = (
    "post post post post_batch post_batch post_batch expire_posts expire_posts join_channel"
)
_HIDDEN: Final = (
    "commit_epoch commit_epoch commit_epoch remove_leaf post_batch post_batch leave_channel"
    " offer_channel accept_channel name_successor succeed_channel create_channel"
)
_VOTES: Final = (
    "propose_params propose_params propose_spend propose_upgrade propose_text cast_ballot"
    " cast_ballot cast_ballot commit_ballot commit_ballot commit_ballot reveal_ballot"
    " reveal_ballot reveal_ballot reveal_ballot"
)
_COURT: Final = (
    "report report join_jury join_jury leave_jury give_verdict give_verdict give_verdict"
    " propose_appeal propose_appeal cast_ballot commit_beacon"
)
THEMES: Final = (
    *[each.split() for each in (_KEYS, _RECOVERY, _HANDLES, _ROOMS)],
    *[each.split() for each in (_POSTS, _HIDDEN, _VOTES, _COURT)],
    sorted(ERRANDS),
)
"""What comes together where something is to come of it."""
OPENING: Final = (
    [*["create_channel"] * 6, *["join_jury"] * 9, *["set_guardians"] * 6, *["commit_handle"] * 5],
    [*["claim_handle"] * 5, *["add_device"] * 5, *["join_channel"] * 8, *["commit_epoch"] * 3],
    [*["set_role"] * 3, *["post"] * 3, *["post_batch"] * 2, *["report"] * 2, "propose_params"],
)
"""Blocks after which there is something of everything."""
WORKED: Final = Cost(2_000)
"""What is worked for may take no more."""


def opening(world: Community, number: int, seed: int) -> list[bytes]:
    """Return one of the blocks with which the chain begins; six register in front of them."""
    if number == 0:
        chance = random.Random(seed)
        return [signed(world, community_names.register(who, chance)) for who in PEOPLE[:6]]
    return [
        signed(world, ERRANDS[name](world, random.Random(f"{seed} {at}")))
        for at, name in enumerate(OPENING[number - 1])
    ]


def ordered(world: Community, name: str, seed: int) -> bytes:
    """Return the errand's transaction; what follows in the block is signed as if it succeeded."""
    chance = random.Random(f"{seed} {name} {sum(each.nonce for each in world.signers.values())}")
    order = ERRANDS[name](world, chance)
    fee = chance.choice(FEES) if not chance.randrange(25) else chance.choice([10_000, 23_457])
    return signed(world, order, fee)


def signed(world: Community, order: Ordered, fee: int = 10_000) -> bytes:
    """Return the transaction by which somebody orders that."""
    body = order.family.body(order.form)
    worked = order.worked
    raw = world.sign(order.who, body, 0 if worked else fee, WORKED if worked else COST)
    if order.family.rekeys:
        world.follow(order.who, order.form.public_key)
    return raw


def _everybody_votes(world: Community, chance: random.Random) -> Iterator[Ordered]:
    count, choice = proposals.opening(world.state).count, chance.choice(CHOICES)
    found = {number: proposals.load(world.state, number) for number in range(1, count + 1)}
    able = [number for number, each in found.items() if each.status is Status.OPEN]
    for who in VOTERS if able else ():
        yield Ordered(who, ballot.CAST, ballot.CastBallot(max(able), choice))


def _everybody_judges(world: Community, chance: random.Random) -> Iterator[Ordered]:
    found = [at for at, case in all_cases(world).items() if case.phase is Phase.JUDGING]
    upholds = chance.randrange(2) > 0
    for number in found[:1]:
        for who in cases.load(world.state, number).jurors:
            yield Ordered(named(who), verdict.VERDICT, verdict.GiveVerdict(number, upholds))


def _everybody_approves(world: Community, chance: random.Random) -> Iterator[Ordered]:
    for owner in chance.sample(PEOPLE, 2):
        for who in guardians.load(world.state, owner.id, world.now).panel.members:
            yield community_names.approval(world, named(who), owner, chance.choice([0, 0, 0, 1]))


CONCERTS: Final[dict[str, Callable[[Community, random.Random], Iterator[Ordered]]]] = {
    "vote": _everybody_votes,
    "judge": _everybody_judges,
    "approve": _everybody_approves,
}
"""What many do at once."""


def concerted(world: Community, name: str, seed: int) -> list[bytes]:
    """Return the transactions of many who want the same."""
    return [signed(world, each) for each in CONCERTS[name](world, random.Random(seed))]
