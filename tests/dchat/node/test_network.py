"""Network files are read whole, refused with the key that is wrong, and written back the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dchat.kernel.ids import ChainId, Height
from dchat.kernel.light import TrustRoot
from dchat.node.network import (
    ChainEntry,
    GenesisMismatch,
    NetworkFile,
    NetworkMalformed,
    load,
    load_named,
    read_genesis,
    save,
)

GENESIS = b'{"chain_id": "devnet"}'
RELAY = "/ip4/127.0.0.1/tcp/7070/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
SEED = "ab" * 20 + "@127.0.0.1:26656"


def entry(folder: Path, chain_id: str) -> ChainEntry:
    return ChainEntry(
        genesis_file=folder / f"{chain_id}.json",
        genesis_sha256=hashlib.sha256(GENESIS).digest(),
        rpc=("http://127.0.0.1:26657", "https://rpc.example.org/chat"),
        seeds=(SEED,),
        root=TrustRoot(ChainId(chain_id), Height(1), 1_700_000_000_000_000_001, bytes(range(32))),
        trusting_period_s=1_209_600,
    )


def network(folder: Path) -> NetworkFile:
    return NetworkFile("dev net", (RELAY,), entry(folder, "devnet"), entry(folder, "d-currency"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "network.toml"
    save(path, network(tmp_path))
    return path


def test_network_survives_the_file(file: Path) -> None:
    assert load(file) == network(file.parent)


def test_genesis_files_are_named_relative_to_the_file(file: Path) -> None:
    assert 'genesis_file = "devnet.json"' in file.read_text()


def test_saving_leaves_nothing_beside_the_file(file: Path) -> None:
    save(file, network(file.parent))

    assert [path.name for path in file.parent.iterdir()] == ["network.toml"]


def test_name_with_quotes_and_other_scripts_survives(tmp_path: Path) -> None:
    path = tmp_path / "network.toml"
    named = replace(network(tmp_path), name='a "b" \\ ü 🦉')

    save(path, named)

    assert load(path) == named


def test_network_is_found_by_its_path(file: Path) -> None:
    assert load_named(str(file)).name == "dev net"


@pytest.mark.parametrize("name", ["~nosuchuser/network.toml", "n" * 300])
def test_network_of_an_impossible_path_is_told(name: str) -> None:
    with pytest.raises(NetworkMalformed, match="names no file"):
        load_named(name)


def test_network_of_an_unknown_name_is_told() -> None:
    with pytest.raises(NetworkMalformed, match="'mainnet' is no network file"):
        load_named("mainnet")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('name = "dev net"', "", "name is missing"),
        ('name = "dev net"', 'name = "dev net"\nnam = 1', "nam is no known key"),
        ('name = "dev net"', "name = 5", "name is not printable text"),
        ('name = "dev net"', 'name = ""', "name is not 1 to 512 bytes"),
        ('name = "dev net"', 'name = "a\\u001b[2J"', "name is not printable text"),
        ('name = "dev net"', "name = ", "Invalid value"),
        ("[chat]", "[chats]", "chats is no known key"),
        ("[chat.root]", "[chat.roots]", "chat.roots is no known key"),
        ('chain_id = "devnet"', f'chain_id = "{"x" * 51}"', "chat.chain_id is longer"),
        ("height = 1", "height = 0", "chat.root.height is not an integer from 1"),
        ("height = 1", "height = true", "chat.root.height is not an integer from 1"),
        ("height = 1", "height = 1.5", "chat.root.height is not an integer from 1"),
        ("trusting_period_s = 1209600", "trusting_period_s = -1", "trusting_period_s is not"),
        ("2023-11-14T22", "2023-11-34T22", "chat.root.time: day is out of range"),
        ("000102", "00010", "validators_hash is not 64"),
        ("http:", "ftp:", "chat.rpc: 'ftp"),
        ("//127", "//user:secret@127", "chat.rpc: "),
        ("http://127.0.0.1:26657", "http://127.0.0.1:99999", "Port out of range"),
        (SEED, "me@127.0.0.1:26656", "chat.seeds: "),
        (f'["{RELAY}"]', '["127.0.0.1:7070"]', "relays: "),
        (f'["{RELAY}"]', '"127.0.0.1:7070"', "relays is not a list"),
        (f'["{RELAY}"]', "[5]", "relays is not printable text"),
    ],
)
def test_wrong_key_is_named(file: Path, old: str, new: str, reason: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))

    with pytest.raises(NetworkMalformed) as caught:
        load(file)

    assert reason in str(caught.value)


def test_chain_without_nodes_is_refused(file: Path) -> None:
    text = file.read_text().splitlines()
    text = ["rpc = []" if line.startswith("rpc") else line for line in text]
    file.write_text("\n".join(text))

    with pytest.raises(NetworkMalformed, match=r"chat\.rpc names no node"):
        load(file)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.write_bytes(b"#" * (1 << 20) + b"#"),
        lambda path: path.write_text("a = " + "[" * 10_000),
    ],
    ids=["missing", "not utf-8", "too large", "deep"],
)
def test_file_that_cannot_be_read_is_told(file: Path, make: Callable[[Path], object]) -> None:
    make(file)

    with pytest.raises(NetworkMalformed, match=r"network\.toml"):
        load(file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_arbitrary_content_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    with pytest.raises(NetworkMalformed):
        load(file)


def test_genesis_is_given_when_its_hash_is_the_one_named(tmp_path: Path) -> None:
    (tmp_path / "devnet.json").write_bytes(GENESIS)

    assert read_genesis(entry(tmp_path, "devnet")) == GENESIS


def test_other_genesis_is_refused(tmp_path: Path) -> None:
    (tmp_path / "devnet.json").write_bytes(GENESIS + b"\n")

    with pytest.raises(GenesisMismatch, match="has sha256"):
        read_genesis(entry(tmp_path, "devnet"))


def test_missing_genesis_is_told(tmp_path: Path) -> None:
    with pytest.raises(GenesisMismatch, match=r"devnet\.json"):
        read_genesis(entry(tmp_path, "devnet"))
