"""Change many keys at once: every page is touched once, every changed node hashed once.

Source: ADR 3 (state tree as pages).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from dchat.kernel.errors import InvariantBroken
from dchat.kernel.merkle import patch
from dchat.kernel.merkle.hashing import (
    EMPTY_ROOT,
    HASH_SIZE,
    LEAF_SIZE,
    LEAF_TAG,
    digest,
    subtree_hash,
)
from dchat.kernel.merkle.page import (
    BLANK,
    DIGITS,
    HEIGHT,
    LEAVES_AT,
    MAX_KEPT,
    OWN_PAGE,
    ROOT_HASH,
    ROOT_KEY,
    SLOT_HASH,
    is_small,
    leaves_at,
    rehash,
    slot_of,
)

# A change: the path of its key, and the new leaf or None to remove the old one.
Change = tuple[bytes, bytes | None]
# What a slot of a page becomes: its count, the leaves kept in place, its hash.
Slot = tuple[int, bytes, bytes]


class NodeStore(Protocol):
    """Where the pages of one version of the tree are read."""

    def get(self, page_key: bytes, /) -> bytes | None:
        """Return the page with this name, None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Update:
    """The tree after a change: its root hash, and each changed page (None: it is gone).

    `undo` holds for each changed page the patch that takes it back (None: it is new).
    """

    root: bytes
    pages: Mapping[bytes, bytes | None]
    undo: Mapping[bytes, bytes | None]


def root(pages: NodeStore) -> bytes:
    """Return the tree's root hash, as its root page states it."""
    page = pages.get(ROOT_KEY)
    return EMPTY_ROOT if page is None else page[ROOT_HASH]


def update(pages: NodeStore, changes: Mapping[bytes, bytes | None]) -> Update:
    """Return the tree with these values at these keys; None removes a key, if it is there.

    Raises: InvariantBroken if the pages do not form a tree.
    """
    return replace(pages, _sorted(changes))


def replace(pages: NodeStore, changes: Sequence[Change]) -> Update:
    """Return the tree with these leaves at these paths; changes ascend by path, each once.

    Raises: InvariantBroken if the pages do not form a tree.
    """
    batch = _Batch(pages)
    before = pages.get(ROOT_KEY)
    after, dirty = batch.apply(ROOT_KEY, before or BLANK, changes)
    if before is None and dirty:
        batch.add(ROOT_KEY, after)
    elif before is not None and after == BLANK:
        batch.remove(ROOT_KEY, before)
    elif before is not None:
        batch.alter(ROOT_KEY, before, after, dirty)
    return Update(after[ROOT_HASH], batch.changed, batch.undo)


def _sorted(changes: Mapping[bytes, bytes | None]) -> list[Change]:
    found: list[Change] = []
    for key, value in changes.items():
        path = digest(key)
        found.append((path, None if value is None else path + digest(value)))
    found.sort(key=_path_of)
    return found


def _path_of(change: Change) -> bytes:
    return change[0]


class _Batch:
    """One update on its way down the pages and back."""

    __slots__ = ("_pages", "changed", "undo")

    def __init__(self, pages: NodeStore) -> None:
        self._pages = pages
        self.changed: dict[bytes, bytes | None] = {}
        self.undo: dict[bytes, bytes | None] = {}

    def add(self, key: bytes, page: bytes) -> None:
        """Note a page that was not there."""
        self.changed[key] = page
        self.undo[key] = None

    def alter(self, key: bytes, before: bytes, after: bytes, dirty: Sequence[int]) -> None:
        """Note what a page has become, if it differs."""
        if dirty:
            self.changed[key] = after
            self.undo[key] = patch.of_slots(before, dirty)

    def remove(self, key: bytes, page: bytes) -> None:
        """Note that a page is gone."""
        self.changed[key] = None
        self.undo[key] = patch.whole(page)

    def apply(
        self, key: bytes, before: bytes, changes: Sequence[Change]
    ) -> tuple[bytes, Sequence[int]]:
        """Return the page named key with the changes made, and which of its slots differ.

        What becomes of pages below it is noted.
        """
        if len(changes) == 1:
            return self._apply_one(key, before, changes)
        page = bytearray(before)
        dirty: list[int] = []
        for slot, group in _by_slot(changes, len(key)):
            was, own = page[slot], SLOT_HASH[slot]
            at = end = LEAVES_AT
            if was == OWN_PAGE:
                count, leaves, top = self._descend(key + DIGITS[slot], group)
                if count != OWN_PAGE:
                    at = end = leaves_at(page, slot)
            else:
                at = leaves_at(page, slot)
                end = at + LEAF_SIZE * was
                count, leaves, top = self._settle(key + DIGITS[slot], bytes(page[at:end]), group)
            if count != was or not page.startswith(top, own.start):
                page[at:end] = leaves
                page[slot] = count
                page[own] = top
                dirty.append(slot)
        if not dirty:
            return before, dirty
        rehash(page, dirty)
        return bytes(page), dirty

    def _apply_one(
        self, key: bytes, before: bytes, changes: Sequence[Change]
    ) -> tuple[bytes, Sequence[int]]:
        """Do what `apply` does, for the one change that most pages see."""
        slot = slot_of(changes[0][0], len(key))
        was, own = before[slot], SLOT_HASH[slot]
        at = end = LEAVES_AT
        if was == OWN_PAGE:
            count, leaves, top = self._descend(key + DIGITS[slot], changes)
            if count != OWN_PAGE:
                at = end = leaves_at(before, slot)
        else:
            at = leaves_at(before, slot)
            end = at + LEAF_SIZE * was
            count, leaves, top = self._settle(key + DIGITS[slot], before[at:end], changes)
        if count == was and before.startswith(top, own.start):
            return before, ()
        page = bytearray(before)
        page[at:end] = leaves
        page[slot] = count
        page[own] = top
        rehash(page, (slot,))
        return bytes(page), (slot,)

    def _descend(self, key: bytes, changes: Sequence[Change]) -> Slot:
        """Change a slot that has a page of its own; drop the page if few leaves remain."""
        before = self._pages.get(key)
        if before is None:
            raise InvariantBroken(f"page {key.decode()} of the state tree is missing")
        after, dirty = self.apply(key, before, changes)
        if is_small(after):
            self.remove(key, before)
            return (len(after) - LEAVES_AT) // LEAF_SIZE, after[LEAVES_AT:], after[ROOT_HASH]
        self.alter(key, before, after, dirty)
        return OWN_PAGE, b"", after[ROOT_HASH]

    def _settle(self, key: bytes, kept: bytes, changes: Sequence[Change]) -> Slot:
        """Change a slot whose leaves are kept in place; give it a page if they are too many."""
        leaves = _merged(kept, changes)
        if len(leaves) == 1:
            return 1, leaves[0], sha256(LEAF_TAG + leaves[0]).digest()
        if len(leaves) <= MAX_KEPT:
            return len(leaves), b"".join(leaves), subtree_hash(leaves, HEIGHT * len(key))
        page, _ = self.apply(key, BLANK, [(leaf[:HASH_SIZE], leaf) for leaf in leaves])
        self.add(key, page)
        return OWN_PAGE, b"", page[ROOT_HASH]


def _merged(kept: bytes, changes: Sequence[Change]) -> Sequence[bytes]:
    """Return the leaves of one slot after the changes, ascending."""
    if len(changes) == 1:
        path, leaf = changes[0]
        if leaf is not None:
            for at in range(0, len(kept), LEAF_SIZE):
                if kept.startswith(path, at):
                    return _cut(kept[:at] + leaf + kept[at + LEAF_SIZE :])
            if not kept:
                return (leaf,)
    leaves = {
        kept[at : at + HASH_SIZE]: kept[at : at + LEAF_SIZE]
        for at in range(0, len(kept), LEAF_SIZE)
    }
    for path, leaf in changes:
        if leaf is None:
            leaves.pop(path, None)
        else:
            leaves[path] = leaf
    return sorted(leaves.values())


def _cut(kept: bytes) -> Sequence[bytes]:
    """Return the leaves of a run of them."""
    if len(kept) == LEAF_SIZE:
        return (kept,)
    return [kept[at : at + LEAF_SIZE] for at in range(0, len(kept), LEAF_SIZE)]


def _by_slot(changes: Sequence[Change], level: int) -> Iterable[tuple[int, Sequence[Change]]]:
    """Return the changes of each slot, ascending."""
    byte, shift = level >> 1, 0 if level & 1 else 4
    groups: list[tuple[int, list[Change]]] = []
    last = -1
    group: list[Change] = []
    for change in changes:
        slot = (change[0][byte] >> shift) & 15
        if slot != last:
            group = []
            groups.append((slot, group))
            last = slot
        group.append(change)
    return groups
