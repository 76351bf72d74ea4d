from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel.amounts import UNIT
from genesis import build
from genesis.check import GenesisRefused, check
from tests.genesis.test_build import KEYS, SETTINGS

CONTENT = build.build(SETTINGS)["chat"].content


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(CONTENT)
    change(document)
    return json.dumps(document).encode()


def test_a_built_file_is_whole_and_summed_up() -> None:
    summary = check(CONTENT)

    assert summary.chain_id == "devnet"
    assert summary.sha256 == hashlib.sha256(CONTENT).digest()
    assert summary.validators_hash == build.build(SETTINGS)["chat"].root.validators_hash
    assert summary.validators == (KEYS[0], KEYS[2])
    assert (summary.accounts, summary.supply, summary.staked) == (1, 9, 0)
    assert (summary.voters, summary.weight, summary.beacons) == (2, 15 * UNIT, 0)


CHANGES: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("no state", lambda d: d.pop("app_state"), "'app_state' is missing"),
    ("state of a number", lambda d: d.update(app_state=5), "app_state is not a string"),
    ("state not base64", lambda d: d.update(app_state="%"), "not a usable genesis file"),
    ("state cut off", lambda d: d.update(app_state=d["app_state"][:-8]), "not a usable genesis"),
    ("no validators", lambda d: d.update(validators=[]), "there are no validators"),
    ("validators no list", lambda d: d.update(validators={}), "validators is not a list"),
    ("same twice", lambda d: d["validators"].append(d["validators"][0]), "named twice"),
    ("one less", lambda d: d["validators"].pop(), "only the application has validator"),
    ("no power", lambda d: d["validators"][0].update(power="0"), "has no power"),
    ("negative", lambda d: d["validators"][0].update(power="-1"), "out of range"),
    ("odd power", lambda d: d["validators"][0].update(power="x"), "not a usable genesis file"),
    ("address", lambda d: d["validators"][0].update(address="AA"), "address of"),
    ("key type", lambda d: d["validators"][0]["pub_key"].update(type="x"), "not Ed25519"),
    ("key text", lambda d: d["validators"][0]["pub_key"].update(value="%"), "validator key:"),
    ("gas", lambda d: d["consensus_params"]["block"].update(max_gas="-1"), "are not those of the"),
    ("height", lambda d: d.update(initial_height="5"), "initial_height is not 1"),
    ("app hash", lambda d: d.update(app_hash="AB"), "app_hash is not empty"),
    ("time", lambda d: d.update(genesis_time="later"), "not an RFC 3339 time"),
]


@pytest.mark.parametrize(
    ("change", "reason"), [each[1:] for each in CHANGES], ids=[each[0] for each in CHANGES]
)
def test_a_changed_file_is_refused(change: Callable[[dict[str, Any]], object], reason: str) -> None:
    with pytest.raises(GenesisRefused) as caught:
        check(changed(change))

    assert reason in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b"[" * 100_000, b"\xff"])
def test_what_is_no_genesis_is_refused(content: bytes) -> None:
    with pytest.raises(GenesisRefused, match="not a usable genesis file"):
        check(content)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_and_nothing_else(content: bytes) -> None:
    with pytest.raises(GenesisRefused):
        check(content)
