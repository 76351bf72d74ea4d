"""`dchat query` against nodes over HTTP; tests/e2e has the same on real chains."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from dchat.kernel import accounts
from dchat.node import network
from tests.dchat.cli.nodes import ALICES, BOBS, CAROLS, Dchat, Nodes, pay, running
from tests.dchat.node.test_network import network as network_of
from tests.fakes.memory import BOB

ACCOUNT = accounts.show_account(BOB.id)
NOBODY = ("http://127.0.0.1:9",)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A network file whose nodes do not listen."""
    path, found = tmp_path / "network.toml", network_of(tmp_path)
    network.save(
        path,
        replace(
            found,
            chat=replace(found.chat, rpc=NOBODY),
            currency=replace(found.currency, rpc=NOBODY),
        ),
    )
    return path


@pytest.mark.parametrize(
    "words",
    [
        ("account", ACCOUNT),
        ("balance", ACCOUNT),
        ("balance", ACCOUNT, "--trust"),
        ("identity", "alice"),
        ("params", "--chain", "chat"),
        ("supply",),
        ("entries", "account"),
        ("roots",),
        ("status",),
        ("block",),
        ("block", "5"),
        ("tx", "ab" * 32),
    ],
)
def test_node_that_does_not_answer_is_told_with_its_address(
    dchat: Dchat, file: Path, words: tuple[str, ...]
) -> None:
    ran = dchat("query", *words, "--network", file)

    assert ran.code == 1
    assert "http://127.0.0.1:9" in ran.out + ran.err
    assert "dchat: hint: check that the node runs" in ran.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("account", "bob"), 1, "'bob' is not an account id"),
        (("balance", ACCOUNT.upper()[:-1]), 1, "is not an account id"),
        (("tx", "xyz"), 2, "'xyz' is not a transaction hash"),
        (("tx", "ab" * 31), 2, "is not a transaction hash"),
        (("block", "0"), 2, "invalid value"),
        (("block", "two"), 2, "invalid value"),
        (("params", "--chain", "mail"), 2, "invalid value"),
    ],
)
def test_wrong_argument_is_told(
    dchat: Dchat, file: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    ran = dchat("query", *words, "--network", file)

    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def test_network_comes_from_the_environment_too(
    dchat: Dchat, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCHAT_NETWORK", str(file))

    assert "http://127.0.0.1:9" in dchat("query", "block").err


def test_height_below_the_root_of_trust_is_told(dchat: Dchat, file: Path) -> None:
    found = network.load(file)
    root = replace(found.currency.root, height=50)
    network.save(file, replace(found, currency=replace(found.currency, root=root)))

    ran = dchat("query", "block", "49", "--network", file)

    assert (ran.code, ran.out) == (1, "")
    assert "height 49 is below the root of trust's 50" in ran.err


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with running(tmp_path_factory.mktemp("nodes")) as started:
        yield started


def proved(kind: str, header: int = 4) -> str:
    """What is said on stderr of a proof."""
    return (
        f"checked: {kind}header {header} of test-1 (HASH…, TIME), signed by 30 of 40 at least,"
        " from the root of trust at height 1; no other node compared\n"
    )


@pytest.mark.parametrize(
    ("words", "out", "checked"),
    [
        (
            ("balance", BOBS),
            f"account: {BOBS}\nbalance: 1.000005 DCHAT\n",
            proved("presence proved by "),
        ),
        (
            ("balance", BOBS, "--height", "1"),
            f"account: {BOBS}\nbalance: 1 DCHAT\n",
            proved("presence proved by ", 2),
        ),
        (
            ("balance", CAROLS, "--height", "1"),
            f"account: {CAROLS}\nbalance: 0 DCHAT\n",
            proved("absence proved by ", 2),
        ),
        (
            ("balance", BOBS, "--trust"),
            f"account: {BOBS}\nbalance: 1.000005 DCHAT\n",
            "checked: nothing, this is the node's word: --trust was given\n",
        ),
        (
            ("params", "--chain", "chat"),
            "fee_per_1000_cost:   1000\nmax_block_cost:      1000000\n"
            "max_block_bytes:     10485760\nmax_validity_blocks: 10000\n",
            proved("presence proved by "),
        ),
        (
            ("block", "2"),
            "height:      2\ntime:        TIME\nheader_hash: HASH\napp_hash:    HASH\n"
            "validators:  2\n",
            proved("", 2),
        ),
    ],
    ids=["now", "before", "never seen", "trust", "params", "block"],
)
def test_answer_is_on_stdout_and_what_was_checked_on_stderr(
    nodes: Nodes, dchat: Dchat, words: tuple[str, ...], out: str, checked: str
) -> None:
    ran = dchat("query", *words, "--network", nodes.file)

    assert (ran.code, nodes.masked(ran.out), nodes.masked(ran.err)) == (0, out, checked)


def test_json_holds_the_answer_and_what_was_checked_and_stderr_nothing(
    nodes: Nodes, dchat: Dchat
) -> None:
    ran = dchat("query", "account", ALICES, "--network", nodes.file, "--json")

    said = json.loads(ran.out)
    assert (ran.code, ran.err, said["nonce"], said["balance_base_units"]) == (0, "", 2, 995_988)
    assert (
        said["checked"].items()
        >= {
            "proof": "presence",
            "chain_id": "test-1",
            "state_after_block": 3,
            "header": 4,
            "signed_power_at_least": 30,
            "total_power": 40,
            "root_of_trust_height": 1,
            "other_nodes_asked": 0,
        }.items()
    )


@pytest.mark.parametrize("name", ["alice", ALICES])
def test_identity_is_found_by_handle_and_by_account(nodes: Nodes, dchat: Dchat, name: str) -> None:
    said = json.loads(dchat("query", "identity", name, "--network", nodes.file, "--json").out)

    assert (said["handle"], said["account"], said["registered_at"]) == ("alice", ALICES, 2)


@pytest.mark.parametrize("name", ["nobody", BOBS, "dchat1"])
def test_what_is_proved_absent_has_a_status_of_its_own(
    nodes: Nodes, dchat: Dchat, name: str
) -> None:
    ran = dchat("query", "identity", name, "--network", nodes.file)

    checked, error, hint = nodes.masked(ran.err).splitlines()
    assert (ran.code, ran.out, f"{checked}\n") == (11, "", proved("absence proved by "))
    assert (name in error, hint.startswith("dchat: hint: check the spelling")) == (True, True)


def test_what_is_proved_absent_is_told_to_programs_too(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat("query", "identity", "nobody", "--network", nodes.file, "--json")

    said = json.loads(ran.out)
    assert (ran.code, said["found"], said["checked"]["proof"]) == (11, False, "absence")


def test_height_that_is_not_there_yet_is_told_with_the_newest(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat("query", "balance", BOBS, "--network", nodes.file, "--height", "9")

    assert (ran.code, ran.out, ran.err.splitlines()) == (
        1,
        "",
        [
            "dchat: error: block 9 is not there yet, the newest is 4",
            "dchat: hint: ask for a height to 4, or leave --height out for the newest state",
        ],
    )


def test_height_that_is_not_kept_is_told_with_those_that_are(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat("query", "balance", BOBS, "--network", nodes.file, "--height", "9", "--trust")

    assert (ran.code, ran.err.splitlines()[0]) == (
        1,
        "dchat: error: height 9 is not kept, only 1 to 4 are",
    )
    assert "ask for one of the heights it keeps" in ran.err


@pytest.mark.slow
def test_newest_header_that_is_too_old_is_refused(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat("query", "balance", BOBS, "--network", nodes.file, "--max-age", "5")

    assert (ran.code, ran.out) == (1, "")
    assert "error: the newest header of test-1, 4, is 1" in ran.err
    assert "--max-age 0" in ran.err


def test_old_header_is_taken_on_purpose(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat("query", "balance", BOBS, "--network", nodes.file, "--max-age", "0")

    assert (ran.code, ran.out) == (0, f"account: {BOBS}\nbalance: 1.000005 DCHAT\n")


def test_node_named_is_asked_in_place_of_the_network_files(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat(
        *("query", "balance", BOBS, "--network", nodes.file, "--trust"),
        *("--rpc", nodes.urls["wrong"]),
    )

    assert "1.000006" in ran.out


def test_node_whose_state_is_not_the_signed_one_convinces_nobody(
    nodes: Nodes, dchat: Dchat
) -> None:
    ran = dchat("query", "balance", BOBS, "--network", nodes.file, "--rpc", nodes.urls["wrong"])

    assert (ran.code, ran.out) == (1, "")
    assert "dchat: error: test-1: " in ran.err


def test_status_shows_every_node_of_the_file(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat("query", "status", "--network", nodes.file, "--json")

    said = json.loads(ran.out)
    assert (ran.code, said["checked"]["proof"]) == (0, "none")
    assert [(row["chain"], row["node"], row["height"], row["state"]) for row in said["nodes"]] == [
        ("chat", nodes.urls["chat"], 4, "in step"),
        ("currency", nodes.urls["right"], 4, "in step"),
    ]


PAID = sha256(pay(0, 5)).hexdigest()


def test_a_transaction_is_shown_with_its_result_proved(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat("query", "tx", PAID, "--network", nodes.file)

    assert (ran.code, nodes.masked(ran.err)) == (
        0,
        "checked: result proved by header 3 of test-1 (HASH…, TIME), signed by 30 of 40 at least,"
        " from the root of trust at height 1; no other node compared; its log is the node's word\n",
    )
    assert ran.out.splitlines()[1:3] == ["height:     2", "code:       0"]


def test_a_node_that_shows_another_transactions_result_is_refused(
    nodes: Nodes, dchat: Dchat
) -> None:
    other = sha256(pay(0, 6)).hexdigest()

    ran = dchat("query", "tx", other, "--network", nodes.file, "--rpc", nodes.urls["wrong"])

    assert (ran.code, ran.out) == (1, "")
    assert "the transaction is not proved" in ran.err


def test_a_transactions_result_can_be_had_on_a_nodes_word(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat("query", "tx", PAID, "--network", nodes.file, "--trust", "--json")

    said = json.loads(ran.out)
    assert (said["height"], said["code"], said["checked"]["proof"]) == (2, 0, "none")


def test_a_transaction_that_nobody_knows_is_told(nodes: Nodes, dchat: Dchat) -> None:
    ran = dchat("query", "tx", "ab" * 32, "--network", nodes.file, "--wait-s", "0")

    assert (ran.code, ran.out) == (1, "")
    assert "is in no block" in ran.err
