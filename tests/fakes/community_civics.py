"""What people order about proposals, ballots, juries, reports and preimages, by chance."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, Final

from abci_chat.state import ballots, beacon, cases, identities, jury, proposals, upgrades
from abci_chat.state.ballots import Choice
from abci_chat.state.cases import Case, Phase, Reason
from abci_chat.state.channels import Kind as Room
from abci_chat.state.contents import Binary, Chain, Change
from abci_chat.state.post_proofs import Part, prove
from abci_chat.state.proposals import Proposal, Status
from abci_chat.state.targets import Kind, Shown, Target
from abci_chat.txs import ballot, juror, proposal, report, verdict
from abci_chat.txs import beacon as chains
from dchat.kernel.ids import Amount, Height
from tests.fakes.community import ADDRESSES, IDLER, OPERATORS, PEOPLE, VOTERS, Community, head_of
from tests.fakes.community_doings import channel_of, leaves_of, records
from tests.fakes.community_names import Errand, Ordered, somebody
from tests.fakes.memory import CHAIN, Person

CHOICES: Final = (Choice.YES, Choice.YES, Choice.YES, Choice.NO, Choice.ABSTAIN, Choice.VETO)
CHANGES: Final[tuple[tuple[str, tuple[Change, ...]], ...]] = (
    ("identities", (Change("handle_release_ms", 1_000), Change("max_devices", 2))),
    ("identities", (Change("recovery_delay_ms", 30_000),)),
    ("identities", (Change("recovery_delay_ms", 60_000),)),
    ("work", (Change("base_bits", 3),)),
    ("channels", (Change("bumps_per_hour", 3), Change("deposit", 5_000))),
    ("governance", (Change("ballot_bond", 0), Change("quorum_bp", 1_000))),
    ("governance", (Change("deposit", 10**12),)),
    ("moderation", (Change("absence_bp", 3_333), Change("jury_size", 2))),
    ("moderation", (Change("draw_blocks", 2),)),
    ("reputation", (Change("trusted_fee_bp", 5_000), Change("vote_points", 0))),
    ("kernel", (Change("fee_per_1000_cost", 900),)),
    ("kernel", (Change("max_block_cost", 1),)),
    ("nothing", (Change("at_all", 1),)),
)


def _deposit(chance: random.Random) -> Amount:
    return Amount(chance.choice([50_000, 50_000, 100_000, 49_999]))


def _text(world: Community, chance: random.Random) -> Ordered:
    form = proposal.ProposeText("Say it", "", _deposit(chance))
    return Ordered(somebody(world, chance), proposal.TEXT, form)


def _params(world: Community, chance: random.Random) -> Ordered:
    section, changes = chance.choice(CHANGES)
    chain = Chain.CHAT
    if not chance.randrange(5):
        chain, section = Chain.CURRENCY, "staking"
        changes = (Change("max_validators", chance.choice([0, 7])), Change("span", 6))
    form = proposal.ProposeParams("Set it", "", _deposit(chance), chain, section, changes)
    return Ordered(somebody(world, chance), proposal.PARAMS, form)


def _upgrade(world: Community, chance: random.Random) -> Ordered:
    name = chance.choice(["v2", "v3"])
    height = Height(world.height + chance.choice([3, 6, 20, 100]))
    plan: tuple[Any, ...] = (height, height, (Binary("linux-x86_64", bytes(32)),))
    if upgrades.load(world.state) and chance.randrange(2):
        plan = (Height(0), Height(0), ())
    form = proposal.ProposeUpgrade("Go on", "", _deposit(chance), name, *plan)
    return Ordered(somebody(world, chance), proposal.UPGRADE, form)


def _spend(world: Community, chance: random.Random) -> Ordered:
    paid = Amount(chance.choice([0, 1, 10**9]))
    form = proposal.ProposeSpend("Pay", "", _deposit(chance), chance.choice(PEOPLE).id, paid)
    return Ordered(somebody(world, chance), proposal.SPEND, form)


def _appeal(world: Community, chance: random.Random) -> Ordered:
    number = _case(world, chance, Phase.DECIDED)
    form = proposal.ProposeAppeal("No", "", _deposit(chance), number)
    return Ordered(somebody(world, chance), proposal.APPEAL, form)


def _voted_on(world: Community, chance: random.Random, *, reveals: bool = False) -> int:
    """Return a proposal that is voted on now, or on which ballots are revealed."""
    found = _proposals(world)
    able = [at for at, each in found.items() if (each.ends_at <= world.now) == reveals]
    able = [at for at in able if found[at].status is Status.OPEN]
    return chance.choice(able or [chance.randrange(1, 4)])


def _proposals(world: Community) -> dict[int, Proposal]:
    count = proposals.opening(world.state).count
    return {at: proposals.load(world.state, at) for at in range(1, count + 1)}


def _voter(chance: random.Random) -> Person:
    return chance.choice(VOTERS if chance.randrange(8) else PEOPLE)


def _cast(world: Community, chance: random.Random) -> Ordered:
    form = ballot.CastBallot(_voted_on(world, chance), chance.choice(CHOICES))
    return Ordered(_voter(chance), ballot.CAST, form)


def _salt(who: Person) -> bytes:
    return bytes([who.seed[0] + 100]) * ballots.SALT_BYTES


def secret(world: Community, who: Person, vote: tuple[int, Choice], bond: int) -> Ordered:
    """Return the order by which somebody votes so on that proposal without saying it."""
    number, choice = vote
    said = ballots.commitment(CHAIN, number, who.id, choice, _salt(who))
    world.known.choices[said] = choice
    return Ordered(who, ballot.COMMIT, ballot.CommitBallot(number, said, Amount(bond)))


def _commit(world: Community, chance: random.Random) -> Ordered:
    who, number, choice = _voter(chance), _voted_on(world, chance), chance.choice(CHOICES)
    return secret(world, who, (number, choice), chance.choice([5_000, 5_000, 9_000, 1]))


def uncovered(world: Community, number: int) -> list[Ordered]:
    """Return the orders by which everybody says what they voted privately on that proposal."""
    found = [(who, ballots.load(world.state, number, who.id)) for who in PEOPLE]
    hidden = [(who, held.commitment) for who, held in found if held and held.commitment]
    return [
        Ordered(
            who,
            ballot.REVEAL,
            ballot.RevealBallot(number, world.known.choices[said], _salt(who)),
        )
        for who, said in hidden
    ]


def _reveal(world: Community, chance: random.Random) -> Ordered:
    number = _voted_on(world, chance, reveals=True)
    nothing = ballot.RevealBallot(number, Choice.NO, _salt(VOTERS[0]))
    hidden = uncovered(world, number) or [Ordered(VOTERS[0], ballot.REVEAL, nothing)]
    order = chance.choice(hidden)
    if chance.randrange(8):
        return order
    return replace(order, form=replace(order.form, choice=chance.choice(CHOICES)))


def _join_jury(world: Community, chance: random.Random) -> Ordered:
    amount = Amount(chance.choice([30_000, 30_000, 100_000, 7, 0]))
    return Ordered(chance.choice(PEOPLE), juror.JOIN, juror.JoinJury(amount))


def _leave_jury(world: Community, chance: random.Random) -> Ordered:
    found = [who for who in PEOPLE if jury.load(world.state, who.id)]
    return Ordered(chance.choice(found or PEOPLE), juror.LEAVE, juror.LeaveJury())


def _case(world: Community, chance: random.Random, phase: Phase) -> int:
    """Return the number of a case in that phase, if there is one."""
    found = [at for at, case in all_cases(world).items() if case.phase is phase]
    return chance.choice(found or [chance.randrange(1, 4)])


def all_cases(world: Community) -> dict[int, Case]:
    """Return all cases by number."""
    return {at: cases.load(world.state, at) for at in range(1, cases.count(world.state) + 1)}


def _target(world: Community, chance: random.Random) -> tuple[Target, tuple[Shown, ...]]:
    """Return something to report: a post of one author's batch where there is one."""
    where, _ = channel_of(world, chance, Room.PUBLIC)
    kind, who = chance.choice(list(Kind)), chance.choice(PEOPLE)
    found = identities.load(world.state, who.id)
    told = [each for each in records(world, where) if (where, each[0]) in world.known.posts]
    if kind is Kind.HANDLE and found and found.handle:
        return Target(kind, found.handle.encode()), ()
    if kind is Kind.POST and told:
        return _post_of(world.known.posts, chance, (where, chance.choice(told)[0]))
    if kind is Kind.CHANNEL:
        return Target(kind, where), ()
    return Target(Kind.ACCOUNT, who.id), ()


def _post_of(
    told: dict[tuple[bytes, int], tuple[Part, ...]], chance: random.Random, at: tuple[bytes, int]
) -> tuple[Target, tuple[Shown, ...]]:
    parts = told[at]
    number = chance.randrange(len(parts))
    leaves = leaves_of(parts[number])
    place = chance.randrange(len(leaves))
    proof = prove(parts, number, leaves, place)
    sequence = at[1] + proof.offset + place + (not chance.randrange(8))
    return Target(Kind.POST, at[0], sequence), (Shown(at[1], leaves[place], proof),)


def _report(world: Community, chance: random.Random) -> Ordered:
    target, shown = _target(world, chance)
    most = Amount(chance.choice([20_000, 20_000, 90_000, 1]))
    form = report.Report(target, shown, chance.choice(list(Reason)), bytes(32), most)
    return Ordered(chance.choice(PEOPLE), report.REPORT, form)


def _verdict(world: Community, chance: random.Random) -> Ordered:
    number = _case(world, chance, Phase.JUDGING)
    found = all_cases(world).get(number)
    drawn = [who for who in PEOPLE if found and who.id in found.jurors]
    owing = [who for who in drawn if cases.verdict(world.state, number, who.id) is None]
    who = chance.choice(owing if owing and chance.randrange(8) else PEOPLE)
    form = verdict.GiveVerdict(number, chance.randrange(3) > 0)
    return Ordered(who, verdict.VERDICT, form)


def _commit_beacon(world: Community, chance: random.Random) -> Ordered:
    at = chance.randrange(len(OPERATORS))
    held = beacon.load(world.state, ADDRESSES[at])
    number = (beacon.newest(held).number if held else 0) + chance.choice([1, 1, 1, 2])
    length = chance.choice([1, 4, 9])
    honest = at != 0 or chance.randrange(8)
    head = head_of(at if honest else IDLER, number, length)
    who = OPERATORS[at] if chance.randrange(8) else chance.choice(PEOPLE)
    form = chains.CommitBeacon(ADDRESSES[at], head, length, number)
    return Ordered(who, chains.FAMILY, form)


ERRANDS: Final[dict[str, Errand]] = {
    proposal.TEXT.name: _text,
    proposal.PARAMS.name: _params,
    proposal.UPGRADE.name: _upgrade,
    proposal.SPEND.name: _spend,
    proposal.APPEAL.name: _appeal,
    ballot.CAST.name: _cast,
    ballot.COMMIT.name: _commit,
    ballot.REVEAL.name: _reveal,
    juror.JOIN.name: _join_jury,
    juror.LEAVE.name: _leave_jury,
    report.REPORT.name: _report,
    verdict.VERDICT.name: _verdict,
    chains.FAMILY.name: _commit_beacon,
}
"""By family."""
