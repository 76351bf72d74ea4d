"""Two people for the tests of the client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.people import Person, person


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Person]:
    """Somebody who knows nobody."""
    somebody = person("alice", tmp_path / "alice")
    yield somebody
    somebody.store.close()


@pytest.fixture
def bob(tmp_path: Path) -> Iterator[Person]:
    """Somebody else who knows nobody."""
    somebody = person("bob", tmp_path / "bob")
    yield somebody
    somebody.store.close()
