"""Reports before juries on a real network: one validator withholds, and a vote overturns a case.

Each test would do on a network of its own; in this order they share one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256

import pytest

from abci_chat import genesis as chat
from abci_chat import params
from abci_chat.state import pools
from dchat.kernel import codec
from dchat.kernel.genesis import Allocation
from dchat.kernel.ids import Amount
from tests.conftest import Ran
from tests.e2e import lots, quick
from tests.e2e.lots import CHAIN, PREIMAGES, SETTINGS, Lots
from tests.e2e.quick import Orders, Town
from tests.e2e.solo import Json
from tests.fakes.memory import Person

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

WITHHOLDS = 3
BONDS = {"alice": 9_000, "carol": 500, "dave": 700, "erin": 900, "frank": 1_100, "grace": 1_300}
"""Jurors, in the order in which they join; alice, who reports, has most of all bonds."""
NAMES = (*BONDS, "bob")
WEIGHTS = {"carol": 60, "dave": 40}
FUNDS = Amount(10**9)
SEATS = 3
COURT = replace(
    params.MODERATION.default,
    juror_bond=Amount(500),
    jury_size=SEATS,
    draw_blocks=PREIMAGES,
    verdict_ms=30_000,
    appeal_ms=20_000,
    unbonding_ms=30_001,
)
VOTES = replace(params.GOVERNANCE.default, voting_ms=12_000, reveal_ms=1_000)
BUSY = {**SETTINGS, "create_empty_blocks": "true", "create_empty_blocks_interval": '"0s"'}
"""Phases end with block time, so blocks have to come."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lots]:
    """Four validators, of whom the last shows none of the preimages to which it is bound."""
    folder = tmp_path_factory.mktemp("jury")
    people = quick.write_identities(folder, NAMES)
    four = lots.build_four(folder, lambda begun: _opened(begun, people), BUSY)
    lots.write_secret(four.nodes[WITHHOLDS], b"another secret, of as many bytes")
    try:
        four.start()
        yield four
    finally:
        four.kill()


@pytest.fixture
def town(running: Lots, dchat: Callable[..., Ran]) -> Town:
    """The command line of everybody, at the first validator's node."""
    first = running.nodes[0]
    made = Town(first.home.parent, first, dchat)
    made.write_network()
    return made


def _opened(begun: chat.Beginning, people: list[Person]) -> chat.Beginning:
    """Let these people have credits, some of them vote, and everything take seconds."""
    paid = (*begun.kernel.allocations, *[Allocation(who.id, FUNDS) for who in people])
    ids = {name: who.id for name, who in zip(NAMES, people, strict=True)}
    voters = [chat.Voter(ids[name], weight) for name, weight in WEIGHTS.items()]
    return replace(
        begun,
        kernel=replace(
            begun.kernel, allocations=tuple(sorted(paid, key=lambda each: each.account))
        ),
        rules=replace(begun.rules, moderation=COURT, governance=VOTES),
        voters=tuple(sorted(voters, key=lambda each: each.account)),
    )


def naive_seed(case: int, revealed: list[tuple[int, bytes, bytes]]) -> bytes:
    """What a jury is drawn by, worked out by docs/randomness.md; a window is of one case."""
    digest = bytes(32)
    for _, proposer, preimage in revealed[PREIMAGES * (case - 1) : PREIMAGES * case]:
        shown = codec.pack(("dchat/beacon/revealed/v1", digest, proposer, preimage))
        digest = sha256(shown).digest()
    entry = codec.pack(("case", case))
    seed = codec.pack(("dchat/beacon/seed/v1", CHAIN, case, digest, entry))
    return sha256(b"dchat/jury/v1" + sha256(seed).digest() + entry).digest()


def naive_jury(seed: bytes, bonds: dict[str, int]) -> list[str]:
    """Who is drawn, one by one, by walking along all bonds that are left."""
    drawn: list[str] = []
    for number in range(64):
        left = [name for name, bond in bonds.items() if name not in drawn for _ in range(bond)]
        word = sha256(b"dchat/jury-draw/v1" + seed + number.to_bytes(8, "big")).digest()[:8]
        point = int.from_bytes(word, "big")
        if len(drawn) < SEATS and point < 2**64 - 2**64 % len(left):
            drawn.append(left[point % len(left)])
    return drawn


def report(town: Town, why: str) -> Json:
    """Let alice report bob, and jurors be shown why."""
    file = town.folder / f"{why}.txt"
    file.write_text(why)
    form = ("--account", town.account("bob"), "--reason", "spam", "--evidence", file)
    return town.order("alice", "moderation", "report", *form)


def jurors(found: Json) -> list[str]:
    """Who is on the jury of a case, in the order they were drawn."""
    return [each["juror"] for each in found["jurors"]]


def judge(town: Town, case: int, said: str) -> list[str]:
    """Let the whole jury say that; what everybody sees then."""
    names = {town.account(name): name for name in BONDS}
    for juror in jurors(town.ask("query", "case", case)):
        town.order(names[juror], "moderation", "verdict", "--case", case, said)
    return [each["verdict"] for each in town.ask("query", "case", case)["jurors"]]


def test_all_nodes_have_the_jury_that_the_preimages_in_the_blocks_come_to(
    running: Lots, town: Town
) -> None:
    Orders(town.solo).register(town.person("bob"))
    bonded = [
        town.order(name, "moderation", "join", "--bond", bond)["bond"]
        for name, bond in BONDS.items()
    ]
    opened = [report(town, why)["phase"] for why in ("a flood", "another")]
    town.wait_for("phase", "judging", "case", 1)
    town.wait_for("phase", "judging", "case", 2)

    at = town.solo.height()
    [each.wait_for_height(at + 1) for each in running.nodes]
    urls = [f"http://127.0.0.1:{each.rpc_port}" for each in running.nodes]
    shown = [
        [jurors(town.ask("query", "case", case, "--rpc", url)) for case in (1, 2)] for url in urls
    ]

    revealed = running.revealed(at)
    others = {town.account(name): bond for name, bond in BONDS.items() if name != "alice"}
    by_hand = [naive_jury(naive_seed(case, revealed), others) for case in (1, 2)]
    assert bonded == list(BONDS.values())
    assert opened == ["drawing"] * 2
    assert shown == [by_hand] * 4


def test_blocks_of_who_withholds_are_rejected_while_a_window_is_open_and_never_else(
    running: Lots, town: Town
) -> None:
    last = town.solo.height()
    revealed = running.revealed(last)
    windows = [revealed[:PREIMAGES], revealed[PREIMAGES:]]
    inside = {height for each in windows for height in range(each[0][0], each[-1][0] + 1)}
    withheld = running.address(WITHHOLDS)
    made = {
        height: bytes.fromhex(running.block(height)["header"]["proposer_address"])
        for height in range(2, last + 1)
    }
    rounds = running.rounds(2, last)

    its_own = {height for height, proposer in made.items() if proposer == withheld}
    told = [(running.nodes[at].home / "app.log").read_text() for at in range(4)]
    assert len(revealed) == 2 * PREIMAGES
    assert inside & its_own == set()
    assert its_own - inside != set()
    assert max(rounds[height] for height in inside) > 0
    assert ["contribution_missed" in each for each in told] == [False, False, False, True]


def test_a_verdict_stands_and_is_settled_once_nobody_can_appeal(running: Lots, town: Town) -> None:
    seated = jurors(town.ask("query", "case", 1))
    outside = next(name for name in BONDS if town.account(name) not in seated)
    refused = town.send(outside, "moderation", "verdict", "--case", 1, "--uphold")
    upheld, dismissed = judge(town, 1, "--uphold"), judge(town, 2, "--dismiss")
    bonds = town.balances(pools.REPORT_BONDS)

    decided = town.wait_for("phase", "decided", "case", 1)
    marked = town.ask("query", "mark", "--account", town.account("bob"))

    assert "NotOnJury" in refused.err
    assert (upheld, dismissed) == (["uphold"] * SEATS, ["dismiss"] * SEATS)
    assert bonds == [2 * COURT.report_bond]
    assert (decided["ruling"], decided["appeal_until"]) == ("upheld", decided["ends_at"])
    assert marked["cases"] == [1]


def test_a_vote_overturns_what_a_jury_dismissed_and_the_bond_returns(town: Town) -> None:
    before = town.wait_for("phase", "decided", "case", 2)
    appeal = ("gov", "propose", "appeal", "--case", 2, "--title", "it was a flood")
    number = town.order("alice", *appeal)["proposal"]
    [town.order(name, "gov", "vote", "--proposal", number, "--choice", "yes") for name in WEIGHTS]

    town.wait_for("state", "executed", "proposal", number)
    overturned = town.ask("query", "case", 2)
    over = [town.wait_for("phase", "settled", "case", case) for case in (1, 2)]

    assert (before["ruling"], before["overturned"]) == ("dismissed", False)
    assert (overturned["ruling"], overturned["overturned"]) == ("upheld", True)
    assert [each["ruling"] for each in over] == ["upheld"] * 2
    assert [each["overturned"] for each in over] == [False, True]
    assert town.ask("query", "mark", "--account", town.account("bob"))["cases"] == [1, 2]
    assert town.balances(pools.REPORT_BONDS) == [0]
    deeds = town.ask("query", "reputation", town.account("alice"), "--explain")
    assert "report_upheld" in str(deeds)


def test_what_follows_from_cases_is_the_same_on_all_nodes(running: Lots, town: Town) -> None:
    last = town.solo.height() - 1
    [each.wait_for_height(last) for each in running.nodes]

    hashes = running.app_hashes(0, last)

    assert [running.app_hashes(at, last) for at in range(1, 4)] == [hashes] * 3
