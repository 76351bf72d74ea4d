"""A fingerprint a module: which part of the state two nodes disagree about.

The tree orders its leaves by the hash of their keys, so none of its subtrees is a module's; a
module is what has the same first part in its keys. Beside the tree, each has

    digest      = SHA-256("dchat/root/v1" | u32be key size | key | value), read as a number
    fingerprint = sum of the digests of its entries, modulo 2^256

which a change moves by two digests, wherever it lies. For finding a fault between honest nodes
only: whoever may choose entries can make two sets of them add up to the same sum (Wagner 2002).
What a state is, the app hash alone decides. Source: ADR 12.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from dchat.kernel import codec

FINGERPRINT_BYTES: Final = 32
MAX_MODULES: Final = 256
OTHER: Final = ""
"""Takes the keys that are no packed tuple beginning with a word; neither chain has such keys."""

_TAG: Final = b"dchat/root/v1"
_MODULUS: Final = 1 << 8 * FINGERPRINT_BYTES
_ARRAY: Final = 0x90
_TEXT: Final = 0xA0
_SMALL: Final = 0x0F
_SHORT: Final = 0x1F

Change = tuple[bytes, bytes | None, bytes | None]
"""A key, the value before and the value after; None where there is none."""


@dataclass(frozen=True, slots=True)
class Root:
    """What one module holds."""

    module: str
    entries: int
    fingerprint: bytes


Table = Mapping[str, Root]
"""By module; a module without entries is not in it."""

NONE: Final[Table] = MappingProxyType({})
_ROOT: Final = codec.Record(
    Root,
    module=codec.Text(_SHORT),
    entries=codec.U64,
    fingerprint=codec.Fixed(FINGERPRINT_BYTES),
)
ROOTS: Final = codec.ListOf(_ROOT, MAX_MODULES)
"""A table as the list of its roots, ascending by module."""


def advance(table: Table, changes: Iterable[Change]) -> Table:
    """Return the table after the changes, each to another key."""
    counts: dict[bytes, int] = {}
    sums: dict[bytes, int] = {}
    number = int.from_bytes
    for key, old, new in changes:
        head = key[: 2 + (key[1] & _SHORT)] if len(key) > 1 else key
        start = _TAG + len(key).to_bytes(4, "big") + key
        moved = sums.get(head, 0)
        if new is None:
            counts[head] = counts.get(head, 0) - 1
        else:
            moved += number(sha256(start + new).digest())
        if old is None:
            counts[head] = counts.get(head, 0) + 1
        else:
            moved -= number(sha256(start + old).digest())
        sums[head] = moved
    return _moved(table, counts, sums) if sums else table


def compute(entries: Iterable[tuple[bytes, bytes]]) -> Table:
    """Return the table of a whole state."""
    return advance(NONE, ((key, None, value) for key, value in entries))


def listed(table: Table) -> tuple[Root, ...]:
    """Return the roots, ascending by module."""
    return tuple([table[name] for name in sorted(table)])


def table_of(roots: Iterable[Root]) -> Table:
    """Return the roots by module. Raises: CodecError if one comes twice."""
    found: dict[str, Root] = {}
    for root in roots:
        if root.module in found:
            raise codec.CodecError(f"module {root.module!r} comes twice")
        found[root.module] = root
    return found


def module_of(key: bytes) -> str:
    """Return the first part of the tuple that key packs, OTHER if that is no word."""
    size = key[1] & _SHORT if len(key) > 1 else 0
    word = key[2 : 2 + size]
    if not size or len(word) < size or key[1] & ~_SHORT != _TEXT or key[0] & ~_SMALL != _ARRAY:
        return OTHER
    return word.decode() if word.isascii() else OTHER


def prefixes(module: str) -> tuple[bytes, ...]:
    """Return what the keys of a module begin with, ascending: tuples of 1 to 15 parts.

    Raises: CodecError if no key begins with such a word.
    """
    word = codec.pack(module)
    if not module.isascii() or not 1 < len(word) <= 1 + _SHORT:
        raise codec.CodecError(f"a module has a name of 1 to {_SHORT} ASCII letters")
    return tuple([bytes([_ARRAY + parts]) + word for parts in range(1, _SMALL + 1)])


def _moved(table: Table, counts: Mapping[bytes, int], sums: Mapping[bytes, int]) -> Table:
    after = dict(table)
    for head, moved in sums.items():
        module = module_of(head)
        held = after.get(module) or Root(module, 0, bytes(FINGERPRINT_BYTES))
        entries = held.entries + counts.get(head, 0)
        total = (int.from_bytes(held.fingerprint, "big") + moved) % _MODULUS
        after[module] = Root(module, entries, total.to_bytes(FINGERPRINT_BYTES, "big"))
        if not entries:
            del after[module]
    return after
