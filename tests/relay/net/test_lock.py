from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from relay.net.lock import DirectoryInUse, locked


def test_a_directory_has_one_holder(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(DirectoryInUse, match="in use by another process"),
        locked(tmp_path),
    ):
        pass


def test_a_directory_is_free_again_afterwards(tmp_path: Path) -> None:
    with locked(tmp_path):
        pass

    with locked(tmp_path):
        pass


def test_a_killed_holder_frees_the_directory(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from relay.net.lock import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
        holder.wait()

    with locked(tmp_path):
        pass
