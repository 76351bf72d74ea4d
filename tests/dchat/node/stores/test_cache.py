from __future__ import annotations

from dchat.node.stores.cache import ENTRY_BYTES, Memo, PageCache
from tests.fakes.memory_store import MemoryStore

PAGE = bytes(1000)


def holding(*names: bytes) -> PageCache:
    """A cache with room for three pages, given these in turn."""
    cache = PageCache(3 * (len(PAGE) + ENTRY_BYTES))
    for name in names:
        cache.update({name: PAGE})
    return cache


def kept(cache: PageCache, *names: bytes) -> list[bool]:
    return [cache.get(name) is not None for name in names]


def put_and_measure(cache: PageCache, number: int) -> int:
    cache.update({b"%d" % (number % 37): bytes(number * 7919 % 1200)})
    return cache.used_bytes


def test_a_page_is_kept_until_it_is_dropped() -> None:
    cache = holding(b"a")
    kept = cache.get(b"a")

    cache.update({b"a": None})

    assert (kept, cache.get(b"a"), cache.used_bytes) == (PAGE, None, 0)


def test_the_page_written_longest_ago_makes_room() -> None:
    cache = holding(b"a", b"b", b"c", b"a")

    cache.update({b"d": PAGE})

    assert kept(cache, b"a", b"b", b"c", b"d") == [True, False, True, True]


def test_of_several_levels_the_deepest_makes_room_first() -> None:
    cache = holding(b"p", b"p0", b"p01")

    cache.update({b"p1": PAGE})

    assert kept(cache, b"p", b"p0", b"p01", b"p1") == [True, True, False, True]


def test_a_page_put_again_counts_once() -> None:
    cache = holding(b"a", b"a", b"a", b"a")

    assert cache.used_bytes == len(PAGE) + ENTRY_BYTES


def test_a_page_over_the_bound_is_not_kept() -> None:
    cache = holding(b"a")

    cache.update({b"b": bytes(100_000)})

    assert (cache.get(b"b"), cache.used_bytes) == (None, 0)


def test_dropping_what_is_not_there_does_nothing() -> None:
    cache = holding(b"a")

    cache.update({b"b": None})

    assert cache.used_bytes == len(PAGE) + ENTRY_BYTES


def test_a_memo_asks_once_for_what_is_there_and_what_is_not() -> None:
    store = MemoryStore({b"a": b"1"})
    memo = Memo(store)
    first = (memo.get(b"a"), memo.get(b"b"))

    store.write([(b"a", b"2"), (b"b", b"2")])

    assert (first, memo.get(b"a"), memo.get(b"b")) == ((b"1", None), b"1", None)


def test_a_memo_knows_what_the_block_before_wrote() -> None:
    memo = Memo(MemoryStore({}), {b"a": b"1", b"b": None})

    assert (memo.get(b"a"), memo.get(b"b")) == (b"1", None)


def test_a_full_memo_goes_on_asking() -> None:
    store = MemoryStore({b"a": bytes(1000), b"b": b"1"})
    memo = Memo(store, limit_bytes=500)
    memo.get(b"a")
    memo.get(b"b")

    store.write([(b"a", b"2"), (b"b", b"2")])

    assert (memo.get(b"a"), memo.get(b"b")) == (bytes(1000), b"2")


def test_a_page_that_grew_counts_with_its_new_size() -> None:
    cache = holding(b"a")

    cache.update({b"a": bytes(1500)})

    assert cache.used_bytes == 1500 + ENTRY_BYTES


def test_a_cache_stays_within_its_bound_whatever_is_put() -> None:
    cache = holding()

    sizes = [put_and_measure(cache, number) for number in range(1000)]

    assert max(sizes) <= cache.limit_bytes
    assert min(sizes[10:]) > cache.limit_bytes // 2
