from __future__ import annotations

from pathlib import Path

import pytest

from dchat.node import sources
from dchat.node.sources import ANYTHING, NEVER, BadConfig, Value


def test_a_file_gives_every_key_with_its_table(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text("[node]\ndata_dir = 'd'\n[relay]\nmax_queue_size = 5\n")

    found = sources.read_file(path)

    assert found == {
        "node.data_dir": Value("d", str(path)),
        "relay.max_queue_size": Value(5, str(path)),
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[node", "at end of document"),
        (b"a = 1\na = 2\n", "Cannot overwrite a value"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"a = " + b"9" * 5_000, "Exceeds the limit"),
        (b"a = " + b"[" * 100_000, "recursion"),
        (b"#" * ((1 << 20) + 1), "larger than 1048576 bytes"),
    ],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "relay.toml"
    path.write_bytes(content)

    with pytest.raises(BadConfig, match=reason):
        sources.read_file(path)


@pytest.mark.parametrize(
    ("name", "reason"), [("absent", "No such file"), (".", "not a regular file")]
)
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(BadConfig, match=reason):
        sources.read_file(tmp_path / name)


@pytest.mark.parametrize(
    ("variable", "key"),
    [
        ("DCHAT_DATA_DIR", "node.data_dir"),
        ("DCHAT_NODE_DATA_DIR", "node.data_dir"),
        ("DCHAT_STORAGE_BACKEND", "storage.backend"),
    ],
)
def test_a_variable_names_a_key(variable: str, key: str) -> None:
    known = ("node.data_dir", "storage.backend", "database.backend")

    assert sources.read_environment({variable: "x"}, known) == {key: Value("x", variable)}


@pytest.mark.parametrize(
    "env",
    [{"DCHAT_BACKEND": "x"}, {"DCHAT_DATA_DIR": ""}, {"DATA_DIR": "x"}, {"DCHAT_COMETBFT": "x"}],
)
def test_an_ambiguous_empty_or_foreign_variable_sets_nothing(env: dict[str, str]) -> None:
    known = ("node.data_dir", "storage.backend", "database.backend")

    assert sources.read_environment(env, known) == {}


def test_a_flag_that_was_not_given_sets_nothing() -> None:
    flags = {"node.data_dir": None, "network.bootstrap_nodes": [], "network.listen_address": "a:1"}

    assert sources.read_flags(flags) == {"network.listen_address": Value("a:1", "--listen")}


def test_a_later_layer_wins() -> None:
    merged = sources.merge({"a.b": Value(1, "file")}, {"a.b": Value(2, "env")}, {})

    assert merged == {"a.b": Value(2, "env")}


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("network.max_pears", "; did you mean network.max_peers?"),
        ("relay.max_peers", "; did you mean network.max_peers?"),
        ("nat.enable_upmp", "; did you mean nat.enable_upnp?"),
        ("zzz.qqq", ""),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(key: str, meant: str) -> None:
    known = {"network.max_peers", "node.data_dir"}

    with pytest.raises(BadConfig) as caught:
        sources.without_later({key: Value(1, "f.toml")}, known, {"nat.enable_upnp": False})

    assert str(caught.value) == f"f.toml: unknown key {key}{meant}"


@pytest.mark.parametrize(
    ("accepted", "raw"),
    [
        (False, False),
        (False, "false"),
        (False, "False"),
        ("sqlite", "sqlite"),
        (ANYTHING, "secret"),
    ],
)
def test_a_later_key_may_say_what_happens_anyway(accepted: object, raw: object) -> None:
    assert sources.without_later({"a.b": Value(raw, "f")}, set(), {"a.b": accepted}) == {}


@pytest.mark.parametrize(
    ("accepted", "raw", "ending"),
    [
        (False, True, "; leave it out or set it to false"),
        (False, 0, "; leave it out or set it to false"),
        ("sqlite", "postgres", '; leave it out or set it to "sqlite"'),
        (NEVER, 300, ""),
    ],
)
def test_a_later_key_is_refused_rather_than_ignored(
    accepted: object, raw: object, ending: str
) -> None:
    with pytest.raises(BadConfig) as caught:
        sources.without_later({"a.b": Value(raw, "f")}, set(), {"a.b": accepted})

    assert str(caught.value) == f"f: a.b is not in this release{ending}"


def test_only_the_first_few_problems_are_listed() -> None:
    values = {f"a.b{number}": Value(1, "f") for number in range(8)}

    with pytest.raises(BadConfig, match=r"; and 3 more$"):
        sources.without_later(values, set(), {})


def test_nesting_fills_in_empty_tables() -> None:
    assert sources.nest({"a.b": 1}, ["a", "c"]) == {"a": {"b": 1}, "c": {}}
