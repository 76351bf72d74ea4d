"""`dchat gov` and the queries that show what it did, on a chain behind real HTTP."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from abci_chat import params
from abci_chat.state import weights
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.store import Draft
from tests.conftest import Ran
from tests.dchat.cli.lounge import Lounge, lounge
from tests.dchat.cli.market import PEOPLE, SHOWN, hides_the_last_entry, said
from tests.dchat.cli.nodes import Dchat
from tests.fakes.rpc_node import Json

DIGEST = "5a" * 32
OPINION = ("gov", "propose", "text", "--title", "Keep it simple", "--json")
FASTER = ("gov", "propose", "params", "--title", "Vote faster", "--section", "governance")
UPGRADE = ("gov", "propose", "upgrade", "--title", "Go on", "--name", "v2")
HEIGHTS = ("--chat-height", "100", "--currency-height", "200")
BINARY = ("--binary", f"linux-x86_64={DIGEST}")


def votes_quickly(draft: Draft) -> None:
    """Voting takes 6 s and revealing 20; each transaction takes two, blocks of one second."""
    rules = replace(params.GOVERNANCE.default, voting_ms=6000, reveal_ms=20_000)
    params.GOVERNANCE.save(draft, replace(rules, upgrade_notice_blocks=10))
    for name, weight in (("alice", 60), ("bob", 30), ("carol", 10)):
        weights.set_weight(draft, PEOPLE[name], weight, Height(0), EpochMs(0))


@pytest.fixture
def town(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    with lounge(tmp_path, dchat, votes_quickly) as opened:
        yield opened


def vote(town: Lounge, who: str, choice: str, *more: str) -> Ran:
    words = ("gov", "vote", "--proposal", "1", "--choice", choice, *more)
    return town.run(who, *words, "--json")


def reveal(town: Lounge, who: str) -> Ran:
    return town.run(who, "gov", "reveal", "--proposal", "1", "--json")


def shown(town: Lounge, number: int = 1) -> Json:
    return said(town.query("proposal", number, "--json"))


def account_of(town: Lounge, who: str) -> Json:
    told = said(town.query("account", SHOWN[who], "--chain", "chat", "--json"))
    return {name: value for name, value in told.items() if name != "checked"}


def passes(town: Lounge) -> Json:
    """What becomes of a proposal that alice and bob vote for."""
    vote(town, "alice", "yes")
    town.node.block()
    [town.node.block() for _ in range(5)]
    return shown(town)


def test_an_opinion_is_put_to_the_vote(town: Lounge) -> None:
    told = said(town.run("carol", *OPINION, "--text", "As simple as that."))

    assert (told["proposal"], told["kind"], told["state"]) == (1, "text", "voting")
    assert (told["deposit"], told["proposer"]) == (1_000_000, SHOWN["carol"])
    assert (told["quorum"], told["threshold"], told["veto"]) == ("33.4%", "50%", "33.4%")


def test_a_deposit_that_is_too_low_is_refused_with_what_it_takes(town: Lounge) -> None:
    ran = town.run("carol", *OPINION, "--max-deposit", "7")

    assert ran.code == 13
    assert "allows a deposit of 7 credits, it takes 1000000" in ran.err


def test_parameters_that_have_the_votes_are_in_force(town: Lounge) -> None:
    town.run("carol", *FASTER, "--set", "voting_ms=5000", "--set", "quorum_bp=3000")

    told = passes(town)

    assert told["orders"] == {
        "chain": "chat",
        "section": "governance",
        "quorum_bp": 3000,
        "voting_ms": 5000,
    }
    assert told["state"] == "executed"
    assert said(town.run("carol", *OPINION))["quorum"] == "30%"


@pytest.mark.parametrize("wrong", ["voting_ms", "voting_ms=-1", "voting_ms=5s", f"a={2**64}"])
def test_a_change_that_is_no_number_is_refused_before_anything_is_sent(
    town: Lounge, wrong: str
) -> None:
    ran = town.run("carol", *FASTER, "--set", wrong)

    assert (ran.code, "--set voting_ms=604800000" in ran.err) == (2, True)


def test_an_upgrade_that_has_the_votes_is_shown_as_ahead(town: Lounge) -> None:
    town.run("carol", *UPGRADE, *HEIGHTS, *BINARY)
    passes(town)

    told = said(town.query("upgrade", "--json"))

    assert (told["name"], told["chat_height"], told["currency_height"]) == ("v2", 100, 200)
    assert told["binaries"] == [{"platform": "linux-x86_64", "sha256": DIGEST}]
    assert (told["proposal"], told["ahead"]) == (1, True)


@pytest.mark.parametrize("wrong", ["linux-x86_64", "linux-x86_64=5a", f"linux x={DIGEST}"])
def test_a_binary_without_a_digest_is_refused_before_anything_is_sent(
    town: Lounge, wrong: str
) -> None:
    assert town.run("carol", *UPGRADE, *HEIGHTS, "--binary", wrong).code == 2


def test_where_no_upgrade_is_planned_that_is_proved(town: Lounge) -> None:
    ran = town.query("upgrade", "--json")

    assert (ran.code, said(ran)["found"]) == (11, False)


@pytest.mark.parametrize("how", [(), ("--private",)])
def test_a_ballot_that_would_count_nothing_is_refused_before_anything_is_paid(
    town: Lounge, how: tuple[str, ...]
) -> None:
    town.run("carol", *OPINION)
    height = town.node.height

    ran = vote(town, "dave", "yes", *how)

    assert (ran.code, "the account had no weight at height" in ran.err) == (1, True)
    assert "dchat query weights" in ran.err
    assert (town.node.height, [*town.file.parent.rglob("*ballot*")]) == (height, [])


def test_a_cancelling_proposal_needs_a_plan(town: Lounge) -> None:
    ran = town.run("carol", *UPGRADE, "--chat-height", "0", "--currency-height", "0")

    assert (ran.code, "no upgrade 'v2' is ahead" in ran.err) == (13, True)


def test_a_spend_shows_whom_the_treasury_would_pay(town: Lounge) -> None:
    words = ("gov", "propose", "spend", "--title", "Pay bob", "--to", SHOWN["bob"])

    told = said(town.run("carol", *words, "--amount", "12.5", "--json"))

    assert told["orders"] == {"to": SHOWN["bob"], "amount": "12.5 DCHAT"}


def test_an_appeal_of_a_case_that_is_not_there_is_refused(town: Lounge) -> None:
    ran = town.run("carol", "gov", "propose", "appeal", "--title", "No spam", "--case", "1")

    assert (ran.code, "there is no case 1" in ran.err) == (13, True)


def test_an_open_ballot_shows_in_the_tally(town: Lounge) -> None:
    town.run("carol", *OPINION)

    told = said(vote(town, "bob", "veto"))

    assert told["ballots"] == {"yes": 0, "no": 0, "abstain": 0, "veto": 30, "hidden": 0}


def test_a_private_ballot_says_where_and_until_when_to_reveal(town: Lounge) -> None:
    town.run("carol", *OPINION)

    told = said(vote(town, "alice", "yes", "--private"))

    proposal = shown(town)
    assert told["reveal_with"] == "dchat gov reveal --proposal 1"
    assert told["reveal_from"] == proposal["ends_at"]
    assert told["reveal_until"] == proposal["reveals_until"]
    assert (told["choice"], proposal["ballots"]["hidden"]) == ("hidden", 60)


def test_a_private_ballot_is_kept_for_its_owner_alone(town: Lounge) -> None:
    town.run("carol", *OPINION)

    file = Path(said(vote(town, "alice", "yes", "--private"))["ballot_file"])

    kept = json.loads(file.read_text())["ballots"]
    assert file.parent == town.file.parent
    assert (stat.S_IMODE(file.stat().st_mode), [each["choice"] for each in kept]) == (
        0o600,
        ["yes"],
    )


def test_a_private_ballot_is_revealed_from_its_file(town: Lounge) -> None:
    town.run("carol", *OPINION)
    vote(town, "alice", "yes", "--private")
    [town.node.block() for _ in range(4)]

    told = said(reveal(town, "alice"))

    assert (told["choice"], told["state"], told["ballots"]["yes"]) == ("yes", "revealing", 60)


def test_of_two_private_ballots_the_one_on_the_chain_is_revealed(town: Lounge) -> None:
    town.run("carol", *OPINION)
    vote(town, "alice", "no", "--private")
    vote(town, "alice", "yes", "--private", "--max-bond", "7")
    [town.node.block() for _ in range(4)]

    assert said(reveal(town, "alice"))["choice"] == "no"


def test_revealing_too_early_costs_nothing(town: Lounge) -> None:
    town.run("carol", *OPINION)
    vote(town, "alice", "yes", "--private")
    before = account_of(town, "alice")

    ran = reveal(town, "alice")

    assert (ran.code, "ballots are revealed from" in ran.err) == (1, True)
    assert account_of(town, "alice") == before


def test_a_ballot_whose_file_is_lost_says_what_is_missing(town: Lounge) -> None:
    town.run("carol", *OPINION)
    Path(said(vote(town, "alice", "yes", "--private"))["ballot_file"]).unlink()
    [town.node.block() for _ in range(4)]

    ran = reveal(town, "alice")

    assert (ran.code, "there is no such file" in ran.err) == (11, True)


def test_where_nothing_is_hidden_nothing_is_revealed(town: Lounge) -> None:
    town.run("carol", *OPINION)
    vote(town, "alice", "yes")
    [town.node.block() for _ in range(4)]

    assert reveal(town, "alice").code == 11


def test_proposals_are_listed_the_newest_first(town: Lounge) -> None:
    town.run("carol", *OPINION)
    town.run("bob", *FASTER, "--set", "voting_ms=5000")

    told = said(town.query("proposals", "--json"))

    assert [(row["proposal"], row["kind"]) for row in told["proposals"]] == [
        (2, "params"),
        (1, "text"),
    ]
    assert (told["next_before"], told["checked"]["proof"]) == (None, "presence")


def test_proposals_are_listed_by_the_page(town: Lounge) -> None:
    town.run("carol", *OPINION)
    town.run("carol", *OPINION)

    first = said(town.query("proposals", "--limit", "1", "--json"))
    second = said(town.query("proposals", "--before", first["next_before"], "--json"))

    assert [row["proposal"] for row in second["proposals"]] == [1]


def test_where_nothing_was_proposed_that_is_proved(town: Lounge) -> None:
    assert town.query("proposals").code == 11
    assert town.query("proposal", "1").code == 11


def test_ballots_are_listed_and_add_up_to_the_proved_tally(town: Lounge) -> None:
    town.run("carol", *OPINION)
    vote(town, "alice", "yes", "--private")
    vote(town, "bob", "no")

    ran = town.query("ballots", "1")
    told = said(town.query("ballots", "1", "--json"))

    rows = {row["voter"]: (row["choice"], row["weight"]) for row in told["ballots"]}
    assert rows == {SHOWN["alice"]: ("hidden", 60), SHOWN["bob"]: ("no", 30)}
    assert "so none was left out" in ran.err


def test_weights_are_listed_and_add_up_to_the_proved_total(town: Lounge) -> None:
    ran = town.query("weights")
    told = said(town.query("weights", "--json"))

    rows = {row["voter"]: row["weight"] for row in told["weights"]}
    assert rows == {SHOWN["alice"]: 60, SHOWN["bob"]: 30, SHOWN["carol"]: 10}
    assert "so none was left out" in ran.err


def test_a_node_that_leaves_a_voter_out_is_found_out(town: Lounge) -> None:
    setattr(town.node, "answer", hides_the_last_entry(town.node))  # noqa: B010

    ran = town.query("weights")

    assert ran.code != 0
    assert "weights add up to" in ran.err
    assert "the proved total is 100" in ran.err


def test_a_node_that_leaves_a_ballot_out_is_found_out(town: Lounge) -> None:
    town.run("carol", *OPINION)
    vote(town, "alice", "yes")
    vote(town, "bob", "no")
    setattr(town.node, "answer", hides_the_last_entry(town.node))  # noqa: B010

    ran = town.query("ballots", "1")

    assert (ran.code != 0, "the proved tally is 90" in ran.err) == (True, True)


def test_somebodys_weight_is_shown(town: Lounge) -> None:
    told = said(town.query("weights", SHOWN["bob"], "--json"))

    assert [(row["weight"], row["since_height"]) for row in told["weights"]] == [(30, 0)]
