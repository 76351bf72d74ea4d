"""`dchat query draw`, while a draw is under way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_chat import keys
from abci_chat.state import beacon
from dchat.kernel.ids import Height
from dchat.kernel.store import Draft
from tests.dchat.cli.lounge import Lounge, lounge
from tests.dchat.cli.market import table
from tests.dchat.cli.nodes import Dchat


def draws(draft: Draft) -> None:
    """Two cases wait for their juries, and no validator has any preimage."""
    beacon.request(draft, keys.case(1), Height(0))
    beacon.request(draft, keys.case(2), Height(0))


@pytest.fixture
def place(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    with lounge(tmp_path, dchat, draws) as opened:
        yield opened


def test_a_draw_shows_what_it_takes_and_who_waits(place: Lounge) -> None:
    ran = place.query("draw")

    assert ran.code == 0, ran.err
    assert table(ran)[:5] == [
        "window: 1",
        "phase: open",
        "preimages_to_come: 16",
        "blocks_without: 1",
        "waiting: 2",
    ]
