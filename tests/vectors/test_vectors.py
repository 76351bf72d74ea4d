from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from abci_chat.machine import MACHINE as CHAT
from abci_currency.machine import MACHINE as CURRENCY
from dchat.kernel import accounts, bundle, signing, tx
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.machine import (
    Block,
    BlockContext,
    Machine,
    Misbehaviour,
    Offence,
    Vote,
    run_block,
)
from tests.fakes.memory import CHAIN, MemoryState, run
from tests.vectors.write import CASES, app_hash

HERE = Path(__file__).parent


CHAINS = (
    (CURRENCY, "currency.json"),
    (CURRENCY, "rewards.json"),
    (CURRENCY, "postage.json"),
    (CURRENCY, "payments.json"),
    (CHAT, "rotation.json"),
    (CURRENCY, "staking.json"),
    (CURRENCY, "unjail.json"),
    (CHAT, "chat.json"),
    (CHAT, "beacon.json"),
    (CHAT, "channels.json"),
    (CHAT, "posts.json"),
    (CHAT, "recovery.json"),
    (CHAT, "moderation.json"),
    (CHAT, "governance.json"),
    (CHAT, "reputation.json"),
)


def stored(name: str) -> list[dict[str, str]]:
    return cast("list[dict[str, str]]", json.loads((HERE / name).read_text()))


def chain_cases() -> list[tuple[Machine, dict[str, object]]]:
    return [
        (rules, cast("dict[str, object]", case)) for rules, name in CHAINS for case in stored(name)
    ]


@pytest.mark.parametrize("case", stored("accounts.json"))
def test_account_ids_are_frozen(case: dict[str, str]) -> None:
    account = accounts.account_id(bytes.fromhex(case["public_key"]))

    assert (account.hex(), accounts.show_account(account)) == (case["account"], case["shown"])


@pytest.mark.parametrize("case", stored("envelopes.json"))
def test_envelopes_and_their_signatures_are_frozen(case: dict[str, str]) -> None:
    decoded = tx.decode(bytes.fromhex(case["raw"]))

    tx.verify(decoded)
    assert tx.build(decoded.envelope, bytes.fromhex(case["seed"])).hex() == case["raw"]
    assert decoded.digest.hex() == case["digest"]
    assert case["raw"][: -2 * signing.SIGNATURE_BYTES] == case["unsigned"]
    assert tx.tx_hash(bytes.fromhex(case["raw"])).hex() == case["hash"]


@pytest.mark.parametrize(("rules", "case"), chain_cases())
def test_what_a_transaction_does_is_frozen(rules: Machine, case: dict[str, object]) -> None:
    pre = cast("dict[str, str]", case["pre"])
    before = MemoryState({bytes.fromhex(k): bytes.fromhex(v) for k, v in pre.items()})

    result = run(
        rules, before, bytes.fromhex(cast("str", case["tx"])), height=cast("int", case["height"])
    )

    written = {k.hex(): v.hex() if v else None for k, v in result.writes.items()}
    hashes = [app_hash(before).hex(), app_hash(before.after(result.writes)).hex()]
    assert (result.outcomes[0].code, result.outcomes[0].cost_used) == (
        case["code"],
        case["cost_used"],
    )
    assert (written, hashes) == (case["post"], case["app_hash"])


@pytest.mark.parametrize("case", cast("list[dict[str, object]]", stored("slashing.json")))
def test_what_votes_and_evidence_do_is_frozen(case: dict[str, object]) -> None:
    before = entries_of(case)

    result = run_block(CURRENCY, before, Block(context_of(case), ()), {})

    written = {k.hex(): v.hex() if v else None for k, v in result.writes.items()}
    updates = [[each.public_key.hex(), each.power] for each in result.validator_updates]
    hashes = [app_hash(before).hex(), app_hash(before.after(result.writes)).hex()]
    assert (written, updates, hashes) == (case["post"], case["updates"], case["app_hash"])


def entries_of(case: dict[str, object]) -> MemoryState:
    pre = cast("dict[str, str]", case["pre"])
    return MemoryState({bytes.fromhex(k): bytes.fromhex(v) for k, v in pre.items()})


def context_of(case: dict[str, object]) -> BlockContext:
    votes = cast("list[tuple[str, int, bool]]", case["votes"])
    proved = cast("list[tuple[int, str, int, int, int]]", case["misbehaviour"])
    return BlockContext(
        CHAIN,
        Height(cast("int", case["height"])),
        EpochMs(cast("int", case["time_ms"])),
        last_commit=tuple([Vote(bytes.fromhex(who), power, here) for who, power, here in votes]),
        misbehaviour=tuple(
            [
                Misbehaviour(Offence(kind), bytes.fromhex(who), power, Height(at), EpochMs(time))
                for kind, who, power, at, time in proved
            ]
        ),
    )


@pytest.mark.parametrize("case", cast("list[dict[str, list[str]]]", stored("bundles.json")))
def test_bundles_are_frozen(case: dict[str, list[str]]) -> None:
    carried = tuple(bytes.fromhex(raw) for raw in case["carried"])

    assert bundle.decode(bytes.fromhex(cast("str", case["raw"]))) == carried


@pytest.mark.parametrize("name", CASES)
def test_the_stored_files_are_what_the_writer_writes(name: str) -> None:
    written = json.dumps(CASES[name](), indent=1) + "\n"

    assert written == (HERE / name).read_text(), "run `just vectors` and look at what changed"
