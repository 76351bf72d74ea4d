from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dchat.kernel.merkle import patch
from dchat.kernel.merkle.page import ROOT_KEY, level_of
from dchat.kernel.merkle.tree import update

KEYS = [b"key %d" % number for number in range(120)]
sets = st.dictionaries(st.sampled_from(KEYS), st.none() | st.binary(max_size=2), max_size=60)


def take(pages: dict[bytes, bytes], changed: dict[bytes, bytes | None]) -> dict[bytes, bytes]:
    merged = {**pages, **changed}
    return {key: page for key, page in merged.items() if page is not None}


@given(sets, sets)
@settings(max_examples=60)
def test_every_changed_page_goes_back_to_what_it_was(
    first: dict[bytes, bytes | None], second: dict[bytes, bytes | None]
) -> None:
    before = take({}, dict(update({}, first).pages))
    changed = update(before, second)
    after = take(before, dict(changed.pages))

    restored = {
        key: None if undo is None else patch.restore(after.get(key, b""), level_of(key), [undo])
        for key, undo in changed.undo.items()
    }

    assert restored == {key: before.get(key) for key in changed.pages}


@given(st.lists(sets, min_size=1, max_size=5))
@settings(max_examples=40)
def test_patches_of_many_blocks_are_undone_at_once(
    blocks: list[dict[bytes, bytes | None]],
) -> None:
    first: dict[bytes, bytes | None] = dict.fromkeys(KEYS, b"first")
    pages = start = take({}, dict(update({}, first).pages))
    patches: list[bytes] = []

    for block in blocks:
        kept = {key: value or b"" for key, value in block.items()}
        changed = update(pages, kept)
        pages = take(pages, dict(changed.pages))
        patches.insert(0, changed.undo.get(ROOT_KEY) or patch.of_slots(bytes(8), {}))

    assert patch.restore(pages[ROOT_KEY], 0, patches) == start[ROOT_KEY]


def test_a_patch_of_one_slot_is_a_small_part_of_the_page() -> None:
    pages = take({}, dict(update({}, dict.fromkeys(KEYS, b"value")).pages))

    undo = update(pages, {KEYS[0]: b"other"}).undo

    assert max(len(part) for part in undo.values() if part) < len(pages[ROOT_KEY]) // 4


def test_a_removed_page_comes_back_whole() -> None:
    page = next(iter(update({}, {b"key": b"value"}, bytes([5] * 8)).pages.values())) or b""

    assert patch.restore(b"", 3, [patch.whole(page)]) == page
