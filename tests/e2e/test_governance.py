"""Votes under a real CometBFT: private ballots change a parameter and plan an upgrade."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from abci_chat.genesis import Beginning, Voter
from abci_chat.params import GOVERNANCE
from abci_chat.state import pools
from dchat.kernel.ids import Amount
from tests.conftest import Ran
from tests.e2e import quick
from tests.e2e.quick import Town

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FUNDS = Amount(100_000_000)
WEIGHTS = {"alice": 60, "bob": 30, "carol": 10}
QUICK = replace(GOVERNANCE.default, voting_ms=12_000, reveal_ms=16_000, upgrade_notice_blocks=5)
DIGEST = "5a" * 32
FAR = 1_000_000


@pytest.fixture
def town(tmp_path: Path, dchat: Callable[..., Ran]) -> Iterator[Town]:
    """A chain on which alice, bob and carol vote, quickly."""
    people = quick.write_identities(tmp_path, WEIGHTS)
    voters = [Voter(who.id, held) for who, held in zip(people, WEIGHTS.values(), strict=True)]
    ordered = tuple(sorted(voters, key=lambda each: each.account))

    def hasten(begun: Beginning) -> Beginning:
        return replace(begun, rules=replace(begun.rules, governance=QUICK), voters=ordered)

    with quick.chat_chain(tmp_path / "node", dict.fromkeys(people, FUNDS), hasten) as solo:
        made = Town(tmp_path, solo, dchat)
        made.write_network()
        yield made


def pooled(town: Town) -> list[int]:
    """What is set aside as deposits and as bonds."""
    return town.balances(pools.PROPOSAL_DEPOSITS, pools.BALLOT_BONDS)


def test_private_ballots_change_a_parameter_and_plan_an_upgrade(town: Town) -> None:
    title = ("--title", "as agreed")
    plan = ("--name", "v2", "--chat-height", FAR, "--currency-height", FAR + 1)
    binary = ("--binary", f"linux-x86_64={DIGEST}")
    changed = town.order(
        *("carol", "gov", "propose", "params", *title, "--section", "governance"),
        *("--set", "voting_ms=30000"),
    )
    town.order("carol", "gov", "propose", "upgrade", *title, *plan, *binary)
    vote = ("vote", "--private", "--choice", "yes", "--proposal")
    told = town.order("alice", "gov", *vote, 1)
    town.order("alice", "gov", *vote, 2)
    town.order("bob", "gov", *vote, 2)

    hidden = town.ask("query", "proposal", 2)["ballots"]
    bonded = pooled(town)
    town.wait_for("state", "revealing", "proposal", 2)
    town.order("alice", "gov", "reveal", "--proposal", 1)
    town.order("alice", "gov", "reveal", "--proposal", 2)
    revealed = town.order("bob", "gov", "reveal", "--proposal", 2)["ballots"]
    decided = [town.wait_for("state", "executed", "proposal", number) for number in (1, 2)]

    assert (changed["state"], told["choice"]) == ("voting", "hidden")
    assert (hidden["yes"], hidden["hidden"]) == (0, 90)
    assert bonded == [2 * QUICK.deposit, 3 * QUICK.ballot_bond]
    assert (revealed["yes"], revealed["hidden"]) == (90, 0)
    assert [each["ballots"]["yes"] for each in decided] == [60, 90]
    upgrade = town.ask("query", "upgrade")
    assert (upgrade["name"], upgrade["chat_height"], upgrade["ahead"]) == ("v2", FAR, True)
    assert upgrade["binaries"] == [{"platform": "linux-x86_64", "sha256": DIGEST}]
    rules = town.ask("query", "params", "--chain", "chat", "--section", "governance")
    assert rules["voting_ms"] == 30_000
    assert pooled(town) == [0, 0]


def test_a_private_ballot_that_nobody_reveals_is_burned(town: Town) -> None:
    town.order("carol", "gov", "propose", "text", "--title", "an opinion")
    town.order("alice", "gov", "vote", "--proposal", 1, "--choice", "yes")
    town.order("bob", "gov", "vote", "--proposal", 1, "--choice", "veto", "--private")
    before = town.ask("query", "supply", "--chain", "chat")["burned"]

    decided = town.wait_for("state", "executed", "proposal", 1)

    burned = town.ask("query", "supply", "--chain", "chat")["burned"]
    assert (decided["ballots"]["yes"], decided["ballots"]["hidden"]) == (60, 30)
    assert (burned - before, pooled(town)) == (QUICK.ballot_bond, [0, 0])
