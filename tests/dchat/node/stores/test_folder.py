from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from dchat.node.storage import BACKENDS
from dchat.node.stores.backend import StoreUnusable, Tuning
from dchat.node.stores.folder import prepare


def files(path: Path) -> dict[str, bytes]:
    return {found.name: found.read_bytes() for found in path.iterdir()}


@pytest.mark.parametrize(("held", "wanted"), list(permutations(BACKENDS, 2)))
def test_a_store_of_another_backend_is_refused_by_name_and_left_alone(
    tmp_path: Path, held: str, wanted: str
) -> None:
    store = BACKENDS[held](tmp_path, Tuning())
    store.write([(b"a", b"1")])
    store.close()
    before = files(tmp_path)

    with pytest.raises(StoreUnusable, match=f"holds a {held} store, not a {wanted} one") as refused:
        BACKENDS[wanted](tmp_path, Tuning())

    assert (files(tmp_path), f'backend = "{held}"' in refused.value.hint) == (before, True)


def test_an_empty_directory_is_new(tmp_path: Path) -> None:
    assert [prepare(tmp_path / kind, kind) for kind in BACKENDS] == [True, True, True]


@pytest.mark.parametrize("kind", BACKENDS)
def test_a_store_is_not_new(tmp_path: Path, kind: str) -> None:
    BACKENDS[kind](tmp_path, Tuning()).close()

    assert not prepare(tmp_path, kind)


@pytest.mark.parametrize(
    "left", [["LOCK", "LOG"], ["IDENTITY", "MANIFEST-000001"], ["000001.dbtmp", "LOG.old.17"]]
)
@pytest.mark.parametrize("kind", BACKENDS)
def test_what_a_first_start_left_when_it_was_killed_is_begun_again(
    tmp_path: Path, kind: str, left: list[str]
) -> None:
    [(tmp_path / name).write_bytes(b"") for name in left]

    store = BACKENDS[kind](tmp_path, Tuning())
    store.write([(b"a", b"1")])

    assert store.get(b"a") == b"1"
    store.close()
