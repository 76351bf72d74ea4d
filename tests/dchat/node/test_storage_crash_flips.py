"""A flipped bit anywhere in a closed store's files is refused, or it changes no answer."""

from __future__ import annotations

import random
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from dchat.kernel.merkle.proof import BadProof, verify
from dchat.node.storage import BACKENDS, Storage
from dchat.node.stores.backend import StoreUnusable
from tests.faults.sweep import BLOCKS, KEEP, TUNING, block, commit_blocks, expected

pytestmark = pytest.mark.slow

FLIPS = 60
# What an operator's log, lock and settings hold, and SQLite's index of its log, is no state.
NO_STATE = ("LOG", "LOCK", "OPTIONS", "IDENTITY", "rocksdict", "state.sqlite-shm")
KEYS = [*(b"key %d" % number for number in range(400)), b"height"]


def flip(state: Path, dice: random.Random) -> None:
    """Turn one bit of one file round, each byte as likely as any other."""
    files = [file for file in sorted(state.iterdir()) if not file.name.startswith(NO_STATE)]
    sizes = [file.stat().st_size for file in files]
    (file,) = dice.choices(files, sizes)
    content = bytearray(file.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    file.write_bytes(content)


def final_state() -> dict[bytes, bytes]:
    state: dict[bytes, bytes] = {}
    for height in range(1, BLOCKS + 1):
        for key, value in block(height).items():
            state.pop(key, None)
            state |= {} if value is None else {key: value}
    return state


def answer(state: Path, backend: str, app_hash: bytes, entries: dict[bytes, bytes]) -> str:
    """What somebody who asks for every key, with its proof, is told."""
    try:
        with closing(Storage.open(state, backend, KEEP, TUNING)) as storage:
            view = storage.latest()
            given = {key: view.get(key) for key in KEYS}
            for key, value in given.items():
                verify(app_hash, key, value, view.prove(key))
    except (StoreUnusable, BadProof) as fault:
        return type(fault).__name__
    return "right" if given == {key: entries.get(key) for key in KEYS} else "wrong"


def bent_answers(whole: Path, backend: str) -> set[str]:
    """What is told after each of many flips, every one of them in a copy of its own."""
    app_hash, entries, dice = expected()[BLOCKS], final_state(), random.Random(5)
    answers: set[str] = set()
    for number in range(FLIPS):
        bent = whole.with_name(str(number))
        shutil.copytree(whole, bent)
        flip(bent, dice)
        answers.add(answer(bent, backend, app_hash, entries))
        shutil.rmtree(bent)
    return answers


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_flipped_bit_is_refused_or_changes_no_proved_answer(tmp_path: Path, backend: str) -> None:
    commit_blocks(tmp_path / "whole", backend, tmp_path / "said")

    answers = bent_answers(tmp_path / "whole", backend)

    assert {"right", "StoreDamaged"} <= answers <= {"right", "StoreDamaged", "BadProof"}
