from __future__ import annotations

import pytest

from dchat.node.proto import abci_pb2 as pb
from dchat.node.requests import BESIDE, HANDLERS, MEMPOOL, Application


def test_every_request_of_the_protocol_has_a_handler() -> None:
    assert set(HANDLERS) == set(pb.Request.DESCRIPTOR.fields_by_name)


def test_every_request_has_an_answer_of_its_name() -> None:
    assert set(HANDLERS) | {"exception"} == set(pb.Response.DESCRIPTOR.fields_by_name)


def test_an_application_answers_all_but_echo_and_flush() -> None:
    methods = {name for name in vars(Application) if not name.startswith("_")}

    assert methods - {"foresee", "mempool_gone"} == set(HANDLERS) - {"echo", "flush"}


@pytest.mark.parametrize("kinds", [BESIDE, MEMPOOL])
def test_the_sorts_of_requests_name_real_ones(kinds: frozenset[str]) -> None:
    assert kinds <= set(HANDLERS)
