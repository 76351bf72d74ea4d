"""Change many keys at once: every page is touched once, every changed node hashed once.

Source: ADR 3 (state tree as pages).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from operator import itemgetter
from typing import Final, Protocol

from dchat.kernel.errors import InvariantBroken
from dchat.kernel.merkle import patch
from dchat.kernel.merkle.hashing import (
    EMPTY_ROOT,
    HASH_SIZE,
    LEAF_SIZE,
    cut,
    leaf_hash,
    subtree_hash,
)
from dchat.kernel.merkle.page import (
    BLANK,
    COUNTS,
    COUNTS_AT,
    DIGITS,
    HEIGHT,
    LEAVES_AT,
    MAX_KEPT,
    OWN_PAGE,
    ROOT_HASH,
    ROOT_KEY,
    VERSION_SIZE,
    Slot,
    is_small,
    level_of,
    slot_at,
    slot_of,
    with_slot,
    with_slots,
)

NO_VERSION: Final = bytes(VERSION_SIZE)

# A change: the path of its key, and the new leaf or None to remove the old one.
Change = tuple[bytes, bytes | None]


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


def update(
    pages: NodeStore, changes: Mapping[bytes, bytes | None], version: bytes = NO_VERSION
) -> Update:
    """Return the tree with these values at these keys; None removes a key, if it is there.

    Raises: InvariantBroken if the pages do not form a tree.
    """
    return replace(pages, _sorted(changes), version)


def replace(pages: NodeStore, changes: Sequence[Change], version: bytes = NO_VERSION) -> Update:
    """Return the tree with these leaves at these paths; changes ascend by path, each once.

    Raises: InvariantBroken if the pages do not form a tree.
    """
    batch = _Batch(pages, version)
    before = pages.get(ROOT_KEY)
    after = batch.page(ROOT_KEY, before or BLANK, changes)
    if before is None and after is not BLANK:
        batch.undo[ROOT_KEY] = None
    elif before is not None and not any(after[COUNTS]):
        batch.remove(ROOT_KEY, before)
    return Update(after[ROOT_HASH], batch.changed, batch.undo)


def _sorted(changes: Mapping[bytes, bytes | None]) -> list[Change]:
    found: list[Change] = []
    for key, value in changes.items():
        path = sha256(key).digest()
        found.append((path, None if value is None else path + sha256(value).digest()))
    found.sort(key=itemgetter(0))
    return found


class _Batch:
    """One update on its way down the pages and back."""

    __slots__ = ("_pages", "_version", "changed", "undo")

    def __init__(self, pages: NodeStore, version: bytes) -> None:
        self._pages = pages
        self._version = version
        self.changed: dict[bytes, bytes | None] = {}
        self.undo: dict[bytes, bytes | None] = {}

    def page(self, name: bytes, before: bytes, changes: Sequence[Change]) -> bytes:
        """Return the page with the changes made; it and what becomes of pages below are noted."""
        if len(changes) == 1:
            return self._page_of_one(name, before, changes)
        were: dict[int, Slot] = {}
        slots: dict[int, Slot] = {}
        for slot, group in _by_slot(changes, level_of(name)):
            was = slot_at(before, slot)
            now = self._slot(name + DIGITS[slot], was, group)
            if now != was:
                were[slot] = was
                slots[slot] = now
        if not slots:
            return before
        after = with_slots(before, self._version, slots)
        self.changed[name] = after
        self.undo[name] = patch.of_slots(before[:VERSION_SIZE], were)
        return after

    def _page_of_one(self, name: bytes, before: bytes, changes: Sequence[Change]) -> bytes:
        """Do what `page` does for a single change, which is all that most pages see."""
        path, leaf = changes[0]
        trail: list[tuple[bytes, bytes, int]] = []
        page, slot = before, slot_of(path, name)
        while page[COUNTS_AT + slot] == OWN_PAGE:
            trail.append((name, page, slot))
            name += DIGITS[slot]
            page, slot = self._read(name), slot_of(path, name)
        was = slot_at(page, slot)
        now = self._settle(name + DIGITS[slot], was[1], changes)
        if now == was:
            return before
        after = self._put(name, page, slot, now, was)
        for upper, above, slot in reversed(trail):
            if leaf or not is_small(after):
                now = OWN_PAGE, b"", after[ROOT_HASH]
            else:
                now = self._taken_in(name, page, after)
            name, page = upper, above
            after = self._put(name, page, slot, now, slot_at(page, slot))
        return after

    def _put(self, name: bytes, before: bytes, slot: int, now: Slot, was: Slot) -> bytes:
        """Return the page with one slot changed, and note it."""
        after = self.changed[name] = with_slot(before, self._version, slot, now)
        self.undo[name] = patch.of_slot(before[:VERSION_SIZE], slot, was)
        return after

    def remove(self, name: bytes, page: bytes) -> None:
        """Note that a page is gone."""
        self.changed[name] = None
        self.undo[name] = patch.whole(page)

    def _slot(self, name: bytes, was: Slot, changes: Sequence[Change]) -> Slot:
        """Return what becomes of a slot, whose page, if it has or gets one, is named name."""
        count, kept, _ = was
        if count != OWN_PAGE:
            return self._settle(name, kept, changes)
        before = self._read(name)
        after = self.page(name, before, changes)
        if is_small(after):
            return self._taken_in(name, before, after)
        return OWN_PAGE, b"", after[ROOT_HASH]

    def _taken_in(self, name: bytes, before: bytes, after: bytes) -> Slot:
        """Return what becomes of the slot whose page is left with so few leaves; that page goes."""
        self.remove(name, before)
        leaves = after[LEAVES_AT:]
        return len(leaves) // LEAF_SIZE, leaves, after[ROOT_HASH]

    def _read(self, name: bytes) -> bytes:
        page = self._pages.get(name)
        if page is None:
            raise InvariantBroken(f"page {name.decode()} of the state tree is missing")
        return page

    def _settle(self, name: bytes, kept: bytes, changes: Sequence[Change]) -> Slot:
        """Change a slot whose leaves are kept in place; give it a page if they are too many."""
        path, leaf = changes[0]
        if leaf and len(changes) == 1 and len(kept) == LEAF_SIZE and kept.startswith(path):
            return 1, leaf, leaf_hash(leaf)
        leaves = _merged(kept, changes)
        count = len(leaves) // LEAF_SIZE
        if count <= MAX_KEPT:
            return count, leaves, subtree_hash(leaves, HEIGHT * level_of(name))
        page = self.page(name, BLANK, [(leaf[:HASH_SIZE], leaf) for leaf in cut(leaves)])
        self.undo[name] = None
        return OWN_PAGE, b"", page[ROOT_HASH]


def _merged(kept: bytes, changes: Sequence[Change]) -> bytes:
    """Return the leaves of one slot, ascending, after the changes."""
    path, leaf = changes[0]
    if leaf and len(changes) == 1:
        if not kept:
            return leaf
        for at in range(0, len(kept), LEAF_SIZE):
            if kept.startswith(path, at):
                return kept[:at] + leaf + kept[at + LEAF_SIZE :]
    leaves = {old[:HASH_SIZE]: old for old in cut(kept)}
    for path, leaf in changes:
        if leaf is None:
            leaves.pop(path, None)
        else:
            leaves[path] = leaf
    return b"".join(sorted(leaves.values()))


def _by_slot(changes: Sequence[Change], level: int) -> Iterable[tuple[int, Sequence[Change]]]:
    """Return the changes of each slot, ascending."""
    groups: list[tuple[int, list[Change]]] = []
    group: list[Change] = []
    last = -1
    at, shift = level >> 1, 0 if level & 1 else 4
    for change in changes:
        slot = change[0][at] >> shift & 15
        if slot != last:
            group, last = [], slot
            groups.append((slot, group))
        group.append(change)
    return groups
