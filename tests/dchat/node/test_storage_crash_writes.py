"""kill -9 and power cuts between every two writes that a database makes of some commits."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dchat.node.storage import BACKENDS
from tests.dchat.node.test_storage_crash import ROOT
from tests.faults import disk
from tests.faults.blow import DISK

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(disk.COMPILER is None, reason="no C compiler to build what strikes"),
]

# Every one of them: `DCHAT_STRIDE=1 pytest tests/dchat/node/test_storage_crash_writes.py`.
STRIDES = {"leveldb": 11, "rocksdb": 11, "sqlite": 101}
SYNC_STRIDE = 3


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return disk.build(tmp_path_factory.mktemp("c"))


def stride(backend: str, point: str) -> str:
    chosen = SYNC_STRIDE if point == "disk.sync" else STRIDES[backend]
    return os.environ.get("DCHAT_STRIDE", str(chosen))


@pytest.mark.parametrize("point", DISK)
@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_database_struck_at_any_write_holds_one_block_whole_and_no_commit_is_lost(
    tmp_path: Path, library: Path, backend: str, point: str
) -> None:
    how = point.removeprefix("disk.")

    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.sweep", backend, how, stride(backend, point)],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(library), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert re.fullmatch(r"points ([2-9]|\d\d+)\n", done.stdout), done.stdout + done.stderr
