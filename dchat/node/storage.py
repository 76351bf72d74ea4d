"""One chain's state on disk: a version per block, committed whole or not at all.

    "m"              what is stored: format, version, height, app hash, oldest readable height
    "v" | key        u64be height | value    of a state key, latest version
    "p" | ...        page                    of the authenticated tree, latest version
    "u" | ...        the undo log of the last blocks (`stores/undo.py`)
    "r" ...          a fingerprint of each module, for finding faults (`stores/roots.py`)

A block's writes reach the disk in one synced batch, so after a crash the store holds the state
before or after it. The height in front is that of the block that wrote the entry: an older
version is read by following the undo log from there, as far back as the entry is too new.
Source: ADR 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Final

from dchat.kernel.codec import U64, CodecError, Fixed, Record, Text, unpack_array
from dchat.kernel.errors import DchatError, LocalProtocolError
from dchat.kernel.merkle import tree
from dchat.kernel.merkle.hashing import EMPTY_ROOT, HASH_SIZE
from dchat.kernel.roots import Change, advance, compute, listed, table_of
from dchat.node.stores import leveldb, rocksdb, roots, sqlite, undo
from dchat.node.stores.backend import (
    Backend,
    Reader,
    StoreDamaged,
    StoreUnusable,
    Tuning,
    Write,
)
from dchat.node.stores.cache import Known, Memo, PageCache
from dchat.node.stores.pruner import Pruner
from dchat.node.stores.roots import Recorded, Roots
from dchat.node.stores.view import STAMP_SIZE, VALUE, StateView, stamp_of

FORMAT: Final = "dchat-state"
VERSION: Final = 2
DEFAULT_KEEP: Final = 100
QUERY_MEMO_BYTES: Final = 8 << 20
DEFAULT_PAGE_CACHE_BYTES: Final = 192 << 20
BACKENDS: Final[Mapping[str, Callable[[Path, Tuning], Backend]]] = {
    leveldb.NAME: leveldb.open_store,
    rocksdb.NAME: rocksdb.open_store,
    sqlite.NAME: sqlite.open_store,
}

_META: Final = b"m"


class HeightUnavailable(DchatError):
    """No state of this height is kept. Attributes: height, oldest, latest."""

    def __init__(self, height: int, oldest: int, latest: int) -> None:
        super().__init__(f"height {height} is not kept, only {oldest} to {latest} are")
        self.height = height
        self.oldest = oldest
        self.latest = latest


@dataclass(frozen=True, slots=True)
class _Meta:
    format: str
    version: int
    height: int
    app_hash: bytes
    oldest: int


_META_SHAPE: Final = Record(
    _Meta,
    format=Text(32),
    version=U64,
    height=U64,
    app_hash=Fixed(HASH_SIZE),
    oldest=U64,
)


@dataclass(frozen=True, slots=True)
class _Committed:
    """The latest version: what is recorded of it, and reads that stay with it.

    Queries have a memory of their own, so that however many of them take up none of the writer's.
    """

    meta: _Meta
    stored: Reader
    reader: Reader
    asked: Reader
    recorded: Recorded


def _committed(backend: Backend, meta: _Meta, recorded: Recorded, written: Known) -> _Committed:
    now = backend.snapshot()
    asked = Memo(now, written, QUERY_MEMO_BYTES)
    return _Committed(meta, now, Memo(now, written), asked, recorded)


@dataclass(frozen=True, slots=True, eq=False)
class Staged:
    """The state after a block, computed and not yet on disk."""

    height: int
    app_hash: bytes
    base: _Committed
    writes: Mapping[bytes, bytes | None]
    replaced: Mapping[bytes, bytes | None]
    pages: Mapping[bytes, bytes | None]
    changes: Sequence[Change]
    """What the fingerprints follow from: Commit makes them, the app hash need not wait."""


class _CachedPages:
    """The latest pages, by way of the cache."""

    __slots__ = ("_cache", "_reader")

    def __init__(self, reader: Reader, cache: PageCache) -> None:
        self._reader = reader
        self._cache = cache

    def get(self, name: bytes, /) -> bytes | None:
        page = self._cache.get(name)
        return self._reader.get(name) if page is None else page


class Storage:
    """The committed state of one chain. Views may be read from any thread at any time."""

    def __init__(self, backend: Backend, meta: _Meta, keep: int, page_cache_bytes: int) -> None:
        recorded = _recorded(backend, meta)
        self._backend = backend
        self._keep = keep
        self._cache = PageCache(page_cache_bytes)
        self._changing = Lock()
        self._committed = _committed(backend, meta, recorded, {})
        self._pruner = Pruner(backend)

    @staticmethod
    def open(
        path: Path,
        backend: str = "leveldb",
        keep: int = DEFAULT_KEEP,
        tuning: Tuning | None = None,
        page_cache_bytes: int = DEFAULT_PAGE_CACHE_BYTES,
    ) -> Storage:
        """Return the state in directory path, which is created if it is empty or not there.

        keep is the number of versions, the latest included, that stay readable.
        Raises: StoreUnusable, StoreLocked, StoreDamaged.
        """
        if backend not in BACKENDS:
            raise StoreUnusable(f"no backend {backend!r}", f"use one of {', '.join(BACKENDS)}")
        return Storage.over(BACKENDS[backend](path, tuning or Tuning()), keep, page_cache_bytes)

    @staticmethod
    def over(
        backend: Backend,
        keep: int = DEFAULT_KEEP,
        page_cache_bytes: int = DEFAULT_PAGE_CACHE_BYTES,
    ) -> Storage:
        """Return the state in an open backend, which is closed if that fails.

        Raises: StoreUnusable, StoreDamaged.
        """
        if keep < 1:
            backend.close()
            raise StoreUnusable(f"cannot keep {keep} versions", "keep at least 1")
        try:
            return Storage(backend, _recover(backend), keep, page_cache_bytes)
        except StoreUnusable:
            backend.close()
            raise

    @property
    def height(self) -> int:
        """The height of the latest committed block, 0 before the first."""
        return self._committed.meta.height

    @property
    def app_hash(self) -> bytes:
        """The root hash of the latest committed state."""
        return self._committed.meta.app_hash

    @property
    def oldest(self) -> int:
        """The least height whose state can still be read."""
        return self._committed.meta.oldest

    def latest(self) -> StateView:
        """Return the latest committed state."""
        committed = self._committed
        return self._view(committed.asked, committed.meta.height, committed.meta)

    def working(self) -> StateView:
        """Return the latest committed state for those who make the next: it remembers for them."""
        committed = self._committed
        return self._view(committed.reader, committed.meta.height, committed.meta)

    def at(self, height: int) -> StateView:
        """Return the state after the block at height. Raises: HeightUnavailable."""
        committed = self._committed
        meta = committed.meta
        if not meta.oldest <= height <= meta.height:
            raise HeightUnavailable(height, meta.oldest, meta.height)
        return self._view(committed.asked, height, meta)

    def roots_at(self, height: int) -> tuple[int, Roots]:
        """Return the height and its modules' fingerprints after that block, 0 for the latest.

        They are kept for more heights than states are. Raises: HeightUnavailable, StoreDamaged.
        """
        committed = self._committed
        latest = committed.meta.height
        oldest = committed.recorded.oldest(latest)
        wanted = height or latest
        if not oldest <= wanted <= latest:
            raise HeightUnavailable(height, oldest, latest)
        try:
            return wanted, roots.find(committed.reader, committed.recorded, wanted)
        except CodecError as fault:
            raise StoreDamaged(f"fingerprints of height {height} are damaged: {fault}") from None

    def stage(self, height: int, writes: Mapping[bytes, bytes | None]) -> Staged:
        """Return the state after the next block; nothing is written.

        Before the first commit any height is next, and staging height 0 gives the hash of a
        genesis state: merge its writes into those of the first block. None removes a key.
        Raises: LocalProtocolError if height is not the next one.
        """
        with self._changing:
            committed = self._committed
            if committed.meta.height and height != committed.meta.height + 1:
                raise LocalProtocolError(f"cannot stage height {height} on {committed.meta.height}")
            stamp = stamp_of(height)
            changed: dict[bytes, bytes | None] = {}
            replaced: dict[bytes, bytes | None] = {}
            moved: list[Change] = []
            get = committed.reader.get
            # A block removes keys that it put itself: what changes nothing is none of the tree's.
            for key, value in writes.items():
                name = VALUE + key
                old = get(name)
                before = old if old is None else old[STAMP_SIZE:]
                if value != before:
                    changed[name] = value if value is None else stamp + value
                    replaced[name] = old
                    moved.append((key, before, value))
            pages = _CachedPages(committed.stored, self._cache)
            update = tree.update(pages, {key: value for key, _, value in moved}, stamp)
        changed |= update.pages
        replaced |= update.undo
        return Staged(height, update.root, committed, changed, replaced, update.pages, moved)

    def commit(self, staged: Staged) -> None:
        """Make the staged state the latest one, on disk and in view; what is too old goes later.

        Raises: LocalProtocolError if it was staged on another state, or is a genesis state.
        StoreUnusable if the disk refuses: nothing is committed then.
        """
        with self._changing:
            if staged.base is not self._committed or not staged.height:
                raise LocalProtocolError(f"height {staged.height} was not staged on this state")
            meta = self._next_meta(staged)
            recorded = _moved(staged)
            self._backend.write(self._batch(staged, meta, recorded))
            # First the cache: who sees the new version must not find an old page there.
            self._cache.update(staged.pages)
            self._committed = _committed(self._backend, meta, recorded, staged.writes)
            self._pruner.reach(meta.oldest)

    def settle(self) -> None:
        """Return once nothing is being removed in the background."""
        self._pruner.wait()

    def close(self) -> None:
        """Release the store, pruning broken off. Views of it must not be read any more."""
        with self._changing:
            self._pruner.stop()
            self._backend.close()

    def _view(self, reader: Reader, height: int, meta: _Meta) -> StateView:
        return StateView(reader, height, meta.height, self._cache.get)

    def _next_meta(self, staged: Staged) -> _Meta:
        before = staged.base.meta
        first = before.oldest if before.height else staged.height
        oldest = max(first, staged.height - self._keep + 1)
        return _Meta(FORMAT, VERSION, staged.height, staged.app_hash, oldest)

    def _batch(self, staged: Staged, meta: _Meta, recorded: Recorded) -> Iterator[Write]:
        base = staged.base
        record: Iterable[Write] = undo.record(staged.height, staged.replaced)
        return chain(
            staged.writes.items(),
            record if base.meta.height else (),
            roots.writes(base.reader, staged.height, base.recorded, recorded),
            ((_META, _META_SHAPE.encode(meta)),),
        )


def _recover(backend: Backend) -> _Meta:
    """Return what is recorded of the store's latest state, checked against its root page.

    Raises: StoreUnusable, StoreDamaged.
    """
    data = backend.get(_META)
    if data is None:
        return _found(backend)
    try:
        meta = _decode(data, backend.where)
    except CodecError as fault:
        raise StoreDamaged(f"the store in {backend.where} has a damaged head: {fault}") from fault
    root = StateView(backend, meta.height, meta.height).app_hash
    if root != meta.app_hash:
        raise StoreDamaged(
            f"the store in {backend.where} is damaged: height {meta.height} has app hash"
            f" {meta.app_hash.hex()}, its tree has {root.hex()}"
        )
    return meta


def _recorded(backend: Backend, meta: _Meta) -> Recorded:
    """Return the fingerprints of the latest state, made anew from it where none are recorded.

    Raises: StoreUnusable.
    """
    if not meta.height:
        return Recorded(0, Roots(meta.app_hash, ()))
    found = roots.load(backend, meta.height, meta.app_hash)
    if found is None:
        table = compute(StateView(backend, meta.height, meta.height).scan(b""))
        found = Recorded(meta.height, Roots(meta.app_hash, listed(table)))
        roots.renew(backend, found)
    return found


def _moved(staged: Staged) -> Recorded:
    """Return the fingerprints after the staged block."""
    base = staged.base
    table = advance(table_of(base.recorded.latest.modules), staged.changes)
    since = base.recorded.since if base.meta.height else staged.height
    return Recorded(since, Roots(staged.app_hash, listed(table)))


def _decode(data: bytes, where: str) -> _Meta:
    """Return the head of a store of our own format. Raises: StoreUnusable, CodecError."""
    name, version = [*unpack_array(data), None, None][:2]
    if name != FORMAT:
        raise _foreign(where)
    if version != VERSION:
        raise StoreUnusable(
            f"the store in {where} is of format {version}, this dchat reads {VERSION}",
            "run the version of dchat that wrote it, or let the node sync again",
        )
    return _META_SHAPE.decode(data)


def _found(backend: Backend) -> _Meta:
    """Mark a new store as ours. Raises: StoreUnusable if it is another's."""
    if next(backend.entries(b"", b"\xff" * 32), None) is not None:
        raise _foreign(backend.where)
    meta = _Meta(FORMAT, VERSION, 0, EMPTY_ROOT, 0)
    backend.write([(_META, _META_SHAPE.encode(meta))])
    return meta


def _foreign(where: str) -> StoreUnusable:
    return StoreUnusable(
        f"{where} holds another program's data",
        "name an empty directory, or the one this node used before",
    )
