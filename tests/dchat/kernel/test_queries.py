from __future__ import annotations

import pytest

from dchat.kernel import params, queries
from dchat.kernel.queries import BadQuery
from tests.fakes.memory import MemoryState


def test_params_answers_the_parameters_in_force() -> None:
    answer = queries.PATHS["/params"](MemoryState(), b"")

    assert params.SHAPE.decode(answer) == params.DEFAULT


def test_data_where_none_belongs_is_refused() -> None:
    with pytest.raises(BadQuery):
        queries.PATHS["/params"](MemoryState(), b"x")
