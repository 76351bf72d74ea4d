from __future__ import annotations

import pytest

from dchat.kernel.refusals import REFUSALS


def test_the_table_of_refusals_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        REFUSALS[1] = REFUSALS[2]  # pyright: ignore[reportIndexIssue] -- that it is refused is tested
