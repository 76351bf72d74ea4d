"""Where a setting comes from: flag over `DCHAT_*` over file over default, each key traced.

Keys are written `table.key`. Nothing here knows which process is configured.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from dchat.kernel.errors import OperatorError
from dchat.node.files import read_bounded

MAX_FILE_BYTES: Final = 1 << 20
MAX_PROBLEMS: Final = 5
FLAGS: Final[Mapping[str, str]] = {
    "identity_file": "--identity",
    "listen_address": "--listen",
    "rpc_listen_address": "--rpc-listen",
    "bootstrap_nodes": "--bootstrap",
    "bootstrap_validators": "--bootstrap",
    "genesis_files": "--genesis-file",
    "initial_stake": "--stake",
}
"""Flags whose name is not the key's."""


class BadConfig(OperatorError):
    """The settings cannot be used; the message names the source, the key and the reason."""

    exit_code = 2
    hint = "`dchat config show` prints the settings in force and where each comes from"


@dataclass(frozen=True, slots=True)
class Value:
    """A raw setting and where it was said: a file name, a variable, a flag."""

    raw: object
    source: str


@dataclass(frozen=True, slots=True)
class Anything:
    """Stands for a value that never matters in this release."""


@dataclass(frozen=True, slots=True)
class Never:
    """Stands for a key that no value of is accepted in this release."""


ANYTHING: Final = Anything()
NEVER: Final = Never()


def read_file(path: Path) -> dict[str, Value]:
    """Return every key of a TOML file as `table.key`. Raises: BadConfig."""
    try:
        text = read_bounded(path, MAX_FILE_BYTES)
        tables = cast("dict[str, object]", tomllib.loads(text.decode()))
    except OSError as fault:
        raise BadConfig(f"{path}: {fault.strerror}") from None
    except UnicodeDecodeError:
        raise BadConfig(f"{path}: not UTF-8 text") from None
    except (ValueError, RecursionError) as fault:  # TOML's own, and numbers or depth past Python's
        raise BadConfig(f"{path}: {fault}") from None
    return {key: Value(raw, str(path)) for key, raw in _flatten(tables)}


def read_environment(env: Mapping[str, str], known: Iterable[str]) -> dict[str, Value]:
    """Return the known keys that `DCHAT_KEY` or `DCHAT_TABLE_KEY` sets, as text.

    The short form counts only where one table alone has such a key. An empty variable is no value.
    """
    names = list(known)
    short = [key.partition(".")[2] for key in names]
    found: dict[str, Value] = {}
    for key, last in zip(names, short, strict=True):
        candidates = ["DCHAT_" + key.replace(".", "_").upper()]
        if short.count(last) == 1:
            candidates.append("DCHAT_" + last.upper())
        for variable in candidates:
            if env.get(variable):
                found[key] = Value(env[variable], variable)
                break
    return found


def read_flags(flags: Mapping[str, object]) -> dict[str, Value]:
    """Return the flags that were given; None and empty lists mean not given."""
    return {
        key: Value(raw, flag_of(key)) for key, raw in flags.items() if raw is not None and raw != []
    }


def flag_of(key: str) -> str:
    """Return the flag that sets `table.key`."""
    name = key.partition(".")[2]
    return FLAGS.get(name, "--" + name.replace("_", "-"))


def merge(*layers: Mapping[str, Value]) -> dict[str, Value]:
    """Return one value a key; a later layer wins."""
    merged: dict[str, Value] = {}
    for layer in layers:
        merged |= layer
    return merged


def without_later(
    values: Mapping[str, Value], known: Set[str], later: Mapping[str, object]
) -> dict[str, Value]:
    """Return the values a model knows. Raises: BadConfig for unknown and not yet working keys."""
    problems = [
        problem
        for key, value in values.items()
        if key not in known
        for problem in [_objection(key, value, known, later)]
        if problem
    ]
    refuse_if_any(problems)
    return {key: value for key, value in values.items() if key in known}


def refuse_if_any(problems: list[str]) -> None:
    """Return if there are no problems. Raises: BadConfig naming the first few."""
    if not problems:
        return
    more = len(problems) - MAX_PROBLEMS
    shown = problems[:MAX_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
    raise BadConfig("; ".join(shown))


def nest(values: Mapping[str, object], names: Iterable[str]) -> dict[str, dict[str, object]]:
    """Return `table.key` values as the named tables, empty ones included."""
    tables: dict[str, dict[str, object]] = {name: {} for name in names}
    for key, raw in values.items():
        table, _, name = key.partition(".")
        tables[table][name] = raw
    return tables


def nearest(key: str, known: Iterable[str]) -> str | None:
    """Return the known key that was probably meant."""
    names = list(known)
    same = [name for name in names if name.partition(".")[2] == key.rpartition(".")[2]]
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
    return (same or close or [None])[0]


def _objection(key: str, value: Value, known: Set[str], later: Mapping[str, object]) -> str | None:
    if key not in later:
        meant = nearest(key, [*known, *later])
        return f"{value.source}: unknown key {key}" + (f"; did you mean {meant}?" if meant else "")
    accepted = later[key]
    if accepted is ANYTHING or _same(accepted, value.raw):
        return None
    only = "" if accepted is NEVER else f"; leave it out or set it to {_show(accepted)}"
    return f"{value.source}: {key} is not in this release{only}"


def _same(accepted: object, raw: object) -> bool:
    """Compare a setting with the accepted one; a variable's text counts as its value."""
    if isinstance(raw, str) and not isinstance(accepted, str):
        return raw.strip().lower() == _show(accepted)
    return type(accepted) is type(raw) and accepted == raw


def _show(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'


def _flatten(tables: Mapping[str, object]) -> Iterable[tuple[str, object]]:
    for table, content in tables.items():
        if isinstance(content, dict):
            for name, raw in cast("dict[str, object]", content).items():
                yield f"{table}.{name}", raw
        else:
            yield table, content
