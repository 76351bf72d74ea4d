"""Change many keys at once: every page is touched once, every changed node hashed once.

Source: ADR 3 (state tree as pages).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from dchat.kernel.errors import InvariantBroken
from dchat.kernel.merkle.hashing import (
    EMPTY_ROOT,
    HASH_SIZE,
    LEAF_SIZE,
    NODE_TAG,
    digest,
    leaf_hash,
    subtree_hash,
)
from dchat.kernel.merkle.page import (
    BLANK,
    DIGITS,
    HEAP_AT,
    HEIGHT,
    LEAVES_AT,
    MAX_KEPT,
    OWN_PAGE,
    ROOT_KEY,
    SLOTS,
)

# A change: the path of its key, and the new leaf or None to remove the old one.
Change = tuple[bytes, bytes | None]
_NODES_AT: Final = HEAP_AT - HASH_SIZE
_SMALL: Final = LEAVES_AT + MAX_KEPT * LEAF_SIZE
_OWN: Final = bytes([OWN_PAGE])


class NodeStore(Protocol):
    """Where the pages of one version of the tree are read."""

    def get(self, page_key: bytes, /) -> bytes | None:
        """Return the page with this name, None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Update:
    """The tree after a change: its root hash, and each changed page (None: it is gone)."""

    root: bytes
    pages: Mapping[bytes, bytes | None]


def root(pages: NodeStore) -> bytes:
    """Return the tree's root hash, as its root page states it."""
    page = pages.get(ROOT_KEY)
    return EMPTY_ROOT if page is None else page[HEAP_AT : HEAP_AT + HASH_SIZE]


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
    after = batch.apply(ROOT_KEY, BLANK if before is None else before, changes)
    if len(after) == LEAVES_AT and _OWN not in after[:SLOTS]:
        after = None
    if after != before:
        batch.changed[ROOT_KEY] = after
    top = EMPTY_ROOT if after is None else after[HEAP_AT : HEAP_AT + HASH_SIZE]
    return Update(top, batch.changed)


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

    __slots__ = ("_pages", "changed")

    def __init__(self, pages: NodeStore) -> None:
        self._pages = pages
        self.changed: dict[bytes, bytes | None] = {}

    def apply(self, key: bytes, page: bytes, changes: Sequence[Change]) -> bytes:
        """Return the page named key with the changes made, its subpages recorded in `changed`."""
        slots = bytearray(page[:LEAVES_AT])
        kept: list[bytes] = []
        done = LEAVES_AT
        dirty: list[int] = []
        for slot, group in _by_slot(changes, len(key)):
            start = LEAVES_AT + LEAF_SIZE * (
                sum(page[:slot]) - OWN_PAGE * page.count(_OWN, 0, slot)
            )
            if page[slot] == OWN_PAGE:
                count, leaves, top = self._descend(key + DIGITS[slot], group)
                end = start
            else:
                end = start + LEAF_SIZE * page[slot]
                count, leaves, top = self._settle(key + DIGITS[slot], page[start:end], group)
            at = _NODES_AT + HASH_SIZE * (SLOTS + slot)
            if top == page[at : at + HASH_SIZE] and count == page[slot]:
                continue
            slots[slot] = count
            slots[at : at + HASH_SIZE] = top
            kept += (page[done:start], leaves)
            done = end
            dirty.append(slot)
        if not dirty:
            return page
        _rehash(slots, dirty)
        return b"".join((slots, *kept, page[done:]))

    def _descend(self, key: bytes, changes: Sequence[Change]) -> tuple[int, bytes, bytes]:
        """Change a slot that has a page of its own; drop the page if few leaves remain."""
        before = self._pages.get(key)
        if before is None:
            raise InvariantBroken(f"page {key.decode()} of the state tree is missing")
        after = self.apply(key, before, changes)
        top = after[HEAP_AT : HEAP_AT + HASH_SIZE]
        if len(after) <= _SMALL and _OWN not in after[:SLOTS]:
            self.changed[key] = None
            return (len(after) - LEAVES_AT) // LEAF_SIZE, after[LEAVES_AT:], top
        if after is not before:
            self.changed[key] = after
        return OWN_PAGE, b"", top

    def _settle(
        self, key: bytes, kept: bytes, changes: Sequence[Change]
    ) -> tuple[int, bytes, bytes]:
        """Change a slot whose leaves are kept in place; give it a page if they are too many."""
        leaves = {
            kept[at : at + HASH_SIZE]: kept[at : at + LEAF_SIZE]
            for at in range(0, len(kept), LEAF_SIZE)
        }
        for path, leaf in changes:
            if leaf is None:
                leaves.pop(path, None)
            else:
                leaves[path] = leaf
        if len(leaves) == 1:
            (leaf,) = leaves.values()
            return 1, leaf, leaf_hash(leaf)
        ordered = sorted(leaves.values())
        if len(ordered) <= MAX_KEPT:
            return len(ordered), b"".join(ordered), subtree_hash(ordered, HEIGHT * len(key))
        page = self.apply(key, BLANK, [(leaf[:HASH_SIZE], leaf) for leaf in ordered])
        self.changed[key] = page
        return OWN_PAGE, b"", page[HEAP_AT : HEAP_AT + HASH_SIZE]


def _by_slot(changes: Sequence[Change], level: int) -> Iterable[tuple[int, Sequence[Change]]]:
    """Return the changes of each slot, ascending."""
    byte, shift = level >> 1, 0 if level & 1 else 4
    if len(changes) == 1:
        return (((changes[0][0][byte] >> shift) & 15, changes),)
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


def _rehash(page: bytearray, dirty: Sequence[int]) -> None:
    """Hash again every node of the page above the dirty slots, each once."""
    nodes = [SLOTS + slot for slot in dirty]
    full = 0 not in page[:SLOTS]
    width = 1
    while width < SLOTS:
        width += width
        nodes = [node >> 1 for node in nodes] if len(nodes) == 1 else _parents(nodes)
        for node in nodes:
            first = node * width - SLOTS
            pair = _NODES_AT + 2 * HASH_SIZE * node
            if full or sum(page[first : first + width]) > 1:
                top = sha256(NODE_TAG + page[pair : pair + 2 * HASH_SIZE]).digest()
            else:
                top = _lone(page[pair : pair + 2 * HASH_SIZE])
            at = _NODES_AT + HASH_SIZE * node
            page[at : at + HASH_SIZE] = top


def _parents(nodes: Sequence[int]) -> list[int]:
    return list(dict.fromkeys([node >> 1 for node in nodes]))


def _lone(pair: bytearray) -> bytearray:
    """Return the hash of a node that holds at most one leaf: its leaf rises, or it is empty."""
    return pair[HASH_SIZE:] if pair.startswith(EMPTY_ROOT) else pair[:HASH_SIZE]
