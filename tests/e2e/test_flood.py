"""A flood that piles up over many blocks, so that most of it is rechecked many times."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import flood
from dchat.kernel.ids import Cost

TRANSFERS = 5_000
A_BLOCK = 250

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_what_was_let_in_is_in_a_block_however_long_it_waited(tmp_path: Path) -> None:
    figures = flood.run(tmp_path, TRANSFERS, Cost(A_BLOCK * flood.COST))

    assert (figures.failed, figures.first_failure) == (0, "")
    assert (figures.accepted, figures.lost) == (TRANSFERS, 0)
    assert figures.most_in_block <= A_BLOCK
    assert figures.most_waiting > A_BLOCK
