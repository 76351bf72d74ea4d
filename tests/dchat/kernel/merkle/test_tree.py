from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dchat.kernel.errors import InvariantBroken
from dchat.kernel.merkle.hashing import EMPTY_ROOT
from dchat.kernel.merkle.tree import Update, replace, root, update
from tests.fakes.naive_tree import naive_root

VECTORS = Path(__file__).parents[4].parent / "shared/vectors/jmt_sha2_256.json"
KEYS = [b"key %d" % number for number in range(400)]
keys = st.sampled_from(KEYS)
blocks = st.lists(st.dictionaries(keys, st.none() | st.binary(max_size=3), max_size=60), max_size=8)
sets = st.dictionaries(keys, st.binary(max_size=3), max_size=300)


class Pages(dict[bytes, bytes]):
    def take(self, changed: Update) -> Pages:
        for key, page in changed.pages.items():
            if page is None:
                del self[key]
            else:
                self[key] = page
        return self


def built(entries: Mapping[bytes, bytes]) -> Pages:
    return Pages().take(update(Pages(), entries))


def test_the_empty_tree_has_the_placeholder_as_root() -> None:
    changed = update(Pages(), {})

    assert (changed, root(Pages())) == (Update(EMPTY_ROOT, {}, {}), EMPTY_ROOT)


def test_roots_are_those_of_the_published_vectors() -> None:
    if not VECTORS.exists():
        pytest.skip("outside vectors are not beside this checkout")
    vectors = json.loads(VECTORS.read_text())["vectors"]
    entries = [
        {bytes.fromhex(leaf["key"]): bytes.fromhex(leaf["value"]) for leaf in vector["data"]}
        for vector in vectors
    ]

    roots = [update(Pages(), leaves).root.hex() for leaves in entries]

    assert roots == [vector["expected_root"] for vector in vectors]


@given(blocks)
def test_blocks_of_writes_and_removals_lead_to_the_root_of_the_resulting_set(
    written: list[dict[bytes, bytes | None]],
) -> None:
    pages, model, roots, expected = Pages(), dict[bytes, bytes](), list[bytes](), list[bytes]()

    for block in written:
        changed = update(pages, block)
        pages.take(changed)
        model |= {key: value for key, value in block.items() if value is not None}
        model = {key: value for key, value in model.items() if block.get(key, b"") is not None}
        roots += [changed.root, root(pages)]
        expected += [naive_root(model)] * 2

    assert roots == expected


@given(sets, sets)
@settings(max_examples=50)
def test_pages_depend_on_the_set_alone_and_not_on_the_way_to_it(
    wanted: dict[bytes, bytes], detour: dict[bytes, bytes]
) -> None:
    pages = built(detour)

    pages.take(update(pages, dict.fromkeys(detour) | wanted))

    assert pages == built(wanted)


@given(sets)
@settings(max_examples=30)
def test_removing_everything_leaves_no_page(entries: dict[bytes, bytes]) -> None:
    pages = built(entries)

    pages.take(update(pages, dict.fromkeys(entries)))

    assert pages == {}


@given(sets)
@settings(max_examples=30)
def test_writing_what_is_there_and_removing_what_is_not_changes_no_page(
    entries: dict[bytes, bytes],
) -> None:
    pages = built(entries)

    changed = update(pages, {b"never there": None} | entries)

    assert changed == Update(naive_root(entries), {}, {})


@pytest.mark.parametrize("count", [2, 3, 4, 5, 17, 200])
def test_paths_alike_to_the_last_byte_go_to_the_bottom_and_back(count: int) -> None:
    leaves = [bytes([*bytes(31), number]) + bytes(32) for number in range(count)]
    pages = Pages().take(replace(Pages(), [(leaf[:32], leaf) for leaf in leaves]))

    pages.take(replace(pages, [(leaf[:32], None) for leaf in leaves[1:]]))

    assert pages == Pages().take(replace(Pages(), [(leaves[0][:32], leaves[0])]))


def test_a_missing_page_stops_the_update() -> None:
    pages = built(dict.fromkeys(KEYS, b"value"))
    del pages[b"p0"]

    with pytest.raises(InvariantBroken, match="page p0 of the state tree is missing"):
        update(pages, dict.fromkeys(KEYS, b"other"))
