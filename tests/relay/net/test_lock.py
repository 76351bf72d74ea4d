from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from relay.net.lock import InUse, locked


def test_a_path_has_one_holder(tmp_path: Path) -> None:
    with (
        locked(tmp_path, tmp_path / "lock"),
        pytest.raises(InUse, match="in use by another process"),
        locked(tmp_path, tmp_path / "lock"),
    ):
        pass


def test_a_path_is_free_again_afterwards(tmp_path: Path) -> None:
    with locked(tmp_path, tmp_path / "lock"):
        pass

    with locked(tmp_path, tmp_path / "lock"):
        pass


def test_a_killed_holder_frees_the_path(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from relay.net.lock import locked\n"
        "home = pathlib.Path(sys.argv[1])\n"
        "with locked(home, home / 'lock'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
        holder.wait()

    with locked(tmp_path, tmp_path / "lock"):
        pass
