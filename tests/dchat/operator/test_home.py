from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dchat.kernel import signing
from dchat.node.address import Address
from dchat.node.config import Consensus
from dchat.operator import home
from dchat.operator.home import (
    GenesisDiffers,
    KeyFileDamaged,
    Keys,
    Node,
    OtherIdentity,
    SignStateDamaged,
    SignStateLost,
)

KEYS = Keys(b"n" * 32, b"c" * 32)
NODE = Node(
    moniker='my "node" 🦀',
    app_socket=Path("/run/chat.sock"),
    p2p=Address("127.0.0.1", 26_656),
    rpc=Address("127.0.0.1", 26_657),
    peers=("a@b:1", "c@d:2"),
    max_peers=40,
    consensus=Consensus(timeout_commit=500),
)


def written(folder: Path, node: Node = NODE) -> dict[str, Any]:
    home.write(folder, node, KEYS, b"{}")
    return tomllib.loads((folder / "config" / "config.toml").read_text())


def test_cometbft_is_told_what_the_design_asks_for(tmp_path: Path) -> None:
    told = written(tmp_path)

    assert told["proxy_app"] == "unix:///run/chat.sock"
    assert told["moniker"] == 'my "node" 🦀'
    assert told["mempool"]["type"] == "flood"
    assert told["p2p"]["libp2p"] == {"enabled": False}
    assert told["blocksync"]["adaptive_sync"] is False
    assert told["rpc"]["unsafe"] is False
    assert told["p2p"]["persistent_peers"] == "a@b:1,c@d:2"
    assert told["p2p"]["max_num_inbound_peers"] + told["p2p"]["max_num_outbound_peers"] == 40
    assert told["consensus"]["timeout_commit"] == "500ms"


def test_an_idle_chain_still_makes_headers(tmp_path: Path) -> None:
    consensus = written(tmp_path)["consensus"]

    assert consensus["create_empty_blocks"] is False
    assert consensus["create_empty_blocks_interval"] == "10s"


@pytest.mark.parametrize(("host", "strict"), [("127.0.0.1", False), ("10.0.0.1", True)])
def test_only_a_loopback_network_may_have_unroutable_peers(
    tmp_path: Path, host: str, strict: bool
) -> None:
    told = written(tmp_path, replace(NODE, p2p=Address(host, 1)))["p2p"]

    assert (told["addr_book_strict"], told["allow_duplicate_ip"]) == (strict, not strict)


def test_keys_are_in_cometbfts_form_and_owner_only(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "config" / "priv_validator_key.json"

    key = json.loads(path.read_text())

    public = signing.public_key(b"c" * 32)
    assert key["address"] == hashlib.sha256(public).hexdigest()[:40].upper()
    assert home.validator_address(public).hex().upper() == key["address"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert KEYS.node_id == hashlib.sha256(signing.public_key(b"n" * 32)).hexdigest()[:40]


def test_what_the_application_draws_with_is_owner_only(tmp_path: Path) -> None:
    home.write(tmp_path, NODE, replace(KEYS, beacon=b"b" * 32), b"{}")

    kept = home.beacon_secret(tmp_path)
    assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (b"b" * 32, 0o600)


def test_a_chain_that_draws_nothing_has_no_secret_for_it(tmp_path: Path) -> None:
    written(tmp_path)

    assert not home.beacon_secret(tmp_path).exists()


def test_keys_are_not_shown() -> None:
    assert "nnnn" not in repr(KEYS)


def test_a_second_start_keeps_the_sign_state(tmp_path: Path) -> None:
    written(tmp_path)
    state = tmp_path / "data" / "priv_validator_state.json"
    state.write_text('{"height": "7"}')

    written(tmp_path)

    assert state.read_text() == '{"height": "7"}'


@pytest.mark.parametrize("trace", ["blockstore.db", "cs.wal"])
def test_a_lost_sign_state_is_not_made_anew(tmp_path: Path, trace: str) -> None:
    written(tmp_path)
    (tmp_path / "data" / "priv_validator_state.json").unlink()
    (tmp_path / "data" / trace).mkdir()

    with pytest.raises(SignStateLost, match=r"priv_validator_state\.json is missing"):
        written(tmp_path)


@pytest.mark.parametrize(
    "content", ["", '{"height": "7", "ro', "[]", "7", '{"round": 1}', '{"height": "x"}', "\0" * 99]
)
def test_a_damaged_sign_state_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    written(tmp_path)
    state = tmp_path / "data" / "priv_validator_state.json"
    state.write_text(content)

    with pytest.raises(SignStateDamaged, match=r"priv_validator_state\.json is damaged"):
        written(tmp_path)

    assert state.read_text() == content


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"pub_key": 1}'])
def test_a_damaged_key_file_is_named_with_the_command_that_mends_it(
    tmp_path: Path, content: bytes
) -> None:
    written(tmp_path)
    path = tmp_path / "config" / "priv_validator_key.json"
    path.write_bytes(content)

    with pytest.raises(KeyFileDamaged) as caught:
        written(tmp_path)

    assert caught.value.hint.startswith(f"rm {path}, then start again")


def test_another_genesis_is_refused_and_the_first_kept(tmp_path: Path) -> None:
    written(tmp_path)

    with pytest.raises(GenesisDiffers):
        home.write(tmp_path, NODE, KEYS, b"{ }")

    assert home.read_genesis(tmp_path) == b"{}"


def test_another_identity_is_refused(tmp_path: Path) -> None:
    written(tmp_path)

    with pytest.raises(OtherIdentity):
        home.write(tmp_path, NODE, Keys(b"n" * 32, b"d" * 32), b"{}")


def test_a_new_home_has_no_genesis(tmp_path: Path) -> None:
    assert home.read_genesis(tmp_path / "new") is None


def test_no_variable_changes_what_cometbft_is_told() -> None:
    env = {"PATH": "/bin", "CMT_MEMPOOL_SIZE": "9", "CMTHOME": "/", "CMTMEMPOOL_SIZE": "9"}

    assert home.environment(env) == {"PATH": "/bin"}
