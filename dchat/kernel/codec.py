"""Value to bytes and back: canonical msgpack, exactly one encoding per value.

Values are unsigned 64-bit integers, byte strings, UTF-8 text, booleans and arrays of those.
Every length and integer takes its shortest form, so `pack(unpack(data)) == data` decides whether
data is canonical. Packed arrays delimit themselves: no packed tuple is a prefix of another, and
the byte order of packed integers is their numeric order.

Source: the msgpack specification; ADR 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final, Generic, Never, Protocol, TypeVar, cast

import msgpack

from dchat.kernel.errors import ProtocolError

Raw = int | bytes | str | bool | Sequence["Raw"]

MAX_U64: Final = 2**64 - 1
MAX_U128: Final = 2**128 - 1
_WIDE: Final = 16
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 8
MAX_ENTRIES: Final = 256
"""Per array, unless a decoder asks for more: room is made for the announced entries of every open
array at once, so a kilobyte of nested array heads could otherwise cost milliseconds."""

E = TypeVar("E", bound=IntEnum)
T = TypeVar("T")
_packb: Final = msgpack.packb
_unpackb: Final = msgpack.unpackb


class CodecError(ProtocolError):
    """The bytes are not the canonical encoding of an allowed value."""


def pack(value: Raw) -> bytes:
    """Return the one encoding of value. Raises: CodecError if it has none."""
    _check(value, MAX_DEPTH)
    return _packb(value)


def unpack(data: bytes, max_bytes: int = MAX_BYTES) -> Raw:
    """Return the value that data encodes, arrays as lists. Raises: CodecError."""
    raw = _load(data, max_bytes)
    return _check(raw, MAX_DEPTH)


def unpack_array(data: bytes, max_bytes: int = MAX_BYTES) -> Sequence[object]:
    """Return the array that data encodes canonically, its parts still to be lifted.

    Raises: CodecError.
    """
    return as_array(_load(data, max_bytes))


def _load(data: bytes, max_bytes: int, max_entries: int = MAX_ENTRIES) -> object:
    if len(data) > max_bytes:
        raise CodecError(f"{len(data)} bytes, limit {max_bytes}")
    try:
        raw = _unpackb(
            data,
            use_list=False,  # a tuple costs half, and one without entries nothing
            max_array_len=max_entries,
            max_map_len=0,
            max_ext_len=0,
            object_hook=_refuse_map,
            ext_hook=_refuse_extension,
        )
        again = _packb(raw)
    except (ValueError, TypeError, OverflowError) as fault:
        raise CodecError(f"not msgpack: {fault}") from None
    if again != data:
        raise CodecError("not the canonical encoding")
    return raw


def _refuse_map(_: object) -> Never:
    raise ValueError("a map")


def _refuse_extension(_code: int, _content: bytes) -> Never:
    raise ValueError("an extension")


def _check(raw: object, depth: int) -> Raw:
    match raw:
        case bool() | bytes():
            return raw
        case int() if 0 <= raw <= MAX_U64:
            return raw
        case str():
            _encoded(raw)
            return raw
        case list() | tuple() if depth > 0:
            return [_check(part, depth - 1) for part in as_array(cast("object", raw))]
        case _:
            raise CodecError(f"{type(raw).__name__} is no allowed value here")


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise CodecError("text with a lone surrogate") from None


class Shape(Generic[T]):
    """What a value must look like; lower() and lift() go between it and raw msgpack values."""

    def lower(self, value: T) -> Raw:
        """Return value as a raw one. Raises: CodecError if it is out of bounds."""
        raise NotImplementedError

    def lift(self, raw: object) -> T:
        """Return the value that raw stands for. Raises: CodecError."""
        raise NotImplementedError

    def encode(self, value: T) -> bytes:
        """Return the one encoding of value. Raises: CodecError if it is out of bounds."""
        return _packb(self.lower(value))

    def decode(self, data: bytes, max_bytes: int = MAX_BYTES, max_entries: int = MAX_ENTRIES) -> T:
        """Return the value that data encodes, no array of it longer. Raises: CodecError."""
        return self.lift(_load(data, max_bytes, max_entries))

    def decode_own(self, data: bytes) -> T:
        """Return the value in bytes that encode() wrote and the tree or disk kept since."""
        return self.lift(_unpackb(data, use_list=False))


class AnyShape(Protocol):
    """A shape of whatever type: what a record is made of."""

    def lower(self, value: Never) -> Raw:
        """Return value as a raw one. Raises: CodecError."""
        ...

    def lift(self, raw: object) -> object:
        """Return the value that raw stands for. Raises: CodecError."""
        ...


class _Plain(Shape[T]):
    """A shape whose values msgpack takes as they are: to lower one is to look at its bounds."""

    def lower(self, value: T) -> Raw:
        """Return value. Raises: CodecError if it is out of bounds."""
        return cast("Raw", self.lift(value))


class _U64(_Plain[int]):
    def lift(self, raw: object) -> int:
        if type(raw) is not int or not 0 <= raw <= MAX_U64:
            raise CodecError(f"expected an unsigned 64-bit integer, got {type(raw).__name__}")
        return raw


class _Bool(_Plain[bool]):
    def lift(self, raw: object) -> bool:
        if type(raw) is not bool:
            raise CodecError(f"expected a boolean, got {type(raw).__name__}")
        return raw


class _U128(Shape[int]):
    """As 16 bytes, the most significant first: msgpack knows no integer of this size."""

    def lower(self, value: int) -> Raw:
        if type(value) is not int or not 0 <= value <= MAX_U128:
            raise CodecError("expected an unsigned 128-bit integer")
        return value.to_bytes(_WIDE, "big")

    def lift(self, raw: object) -> int:
        if type(raw) is not bytes or len(raw) != _WIDE:
            raise CodecError("expected an unsigned 128-bit integer as 16 bytes")
        return int.from_bytes(raw, "big")


class Blob(_Plain[bytes]):
    """A byte string of at most `most` bytes."""

    def __init__(self, most: int, least: int = 0) -> None:
        self._most = most
        self._least = least

    def lift(self, raw: object) -> bytes:
        """Return raw if it is a byte string within the bounds. Raises: CodecError."""
        if type(raw) is not bytes:
            raise CodecError(f"expected bytes, got {type(raw).__name__}")
        if not self._least <= len(raw) <= self._most:
            raise CodecError(f"{len(raw)} bytes, allowed {self._least} to {self._most}")
        return raw


class Fixed(Blob):
    """A byte string of exactly `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(size, size)


class Text(_Plain[str]):
    """UTF-8 text of at most `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most

    def lift(self, raw: object) -> str:
        """Return raw if it is text within the bound. Raises: CodecError."""
        if type(raw) is not str:
            raise CodecError(f"expected text, got {type(raw).__name__}")
        if len(_encoded(raw)) > self._most:
            raise CodecError(f"text over {self._most} bytes")
        return raw


class Choice(Shape[E]):
    """One of the members of an IntEnum, as its number."""

    def __init__(self, kind: type[E]) -> None:
        self._members = {int(member): member for member in kind}

    def lower(self, value: E) -> Raw:
        """Return the number. Raises: CodecError."""
        return int(self.lift(int(value)))

    def lift(self, raw: object) -> E:
        """Return the member of that number. Raises: CodecError."""
        if type(raw) is not int or raw not in self._members:
            raise CodecError(f"expected one of {sorted(self._members)}")
        return self._members[raw]


class ListOf(Shape[tuple[T, ...]]):
    """An array of at most `most` values of one shape, as a tuple."""

    def __init__(self, shape: Shape[T], most: int) -> None:
        self._shape = shape
        self._most = most
        self._lower = cast("Callable[[T], Raw]", _lower_of(shape))

    def lower(self, value: tuple[T, ...]) -> Raw:
        """Return the raw parts. Raises: CodecError."""
        self._bound(len(value))
        lower = self._lower
        return [lower(part) for part in value]

    def lift(self, raw: object) -> tuple[T, ...]:
        """Return the lifted parts. Raises: CodecError."""
        parts = as_array(raw)
        self._bound(len(parts))
        return tuple([self._shape.lift(part) for part in parts])

    def _bound(self, count: int) -> None:
        if count > self._most:
            raise CodecError(f"{count} entries, limit {self._most}")


class Record(Shape[T]):
    """A frozen dataclass as the array of its fields, in the order the shapes are given."""

    def __init__(self, make: Callable[..., T], **shapes: AnyShape) -> None:
        self._make = make
        self._shapes = dict(shapes)
        self._lifts = tuple(shape.lift for shape in shapes.values())
        self._flat = all(isinstance(shape, _Plain) for shape in shapes.values())
        self._lowers = tuple((name, _lower_of(shape)) for name, shape in shapes.items())

    def lower(self, value: T) -> Raw:
        """Return the raw fields. Raises: CodecError naming the field that is out of bounds."""
        raw: list[Raw] = []
        name = ""
        try:
            for name, lower in self._lowers:
                raw.append(lower(getattr(value, name)))
        except CodecError as fault:
            raise CodecError(f"{name}: {fault}") from None
        return raw

    def lift(self, raw: object) -> T:
        """Return the dataclass. Raises: CodecError."""
        parts = as_array(raw)
        if len(parts) != len(self._lifts):
            raise CodecError(f"{len(parts)} fields, expected {len(self._lifts)}")
        return self._make(*[lift(part) for lift, part in zip(self._lifts, parts, strict=True)])

    def decode_own(self, data: bytes) -> T:
        """Return the dataclass in bytes that encode() wrote; plain fields need no second look."""
        raw = _unpackb(data, use_list=False)
        return self._make(*as_array(raw)) if self._flat else self.lift(raw)


def _lower_of(shape: AnyShape) -> Callable[[Never], Raw]:
    """Return shape.lower, or what it comes down to."""
    plain = isinstance(shape, _Plain)
    return cast("Callable[[Never], Raw]", shape.lift) if plain else shape.lower


def as_array(raw: object) -> Sequence[object]:
    """Return raw if it is an array. Raises: CodecError."""
    if type(raw) is not list and type(raw) is not tuple:  # an extension arrives as a subclass
        raise CodecError(f"expected an array, got {type(raw).__name__}")
    return cast("Sequence[object]", raw)


def as_values(raw: object) -> Sequence[Raw]:
    """Return raw as an array of allowed values. Raises: CodecError."""
    return [_check(part, MAX_DEPTH) for part in as_array(raw)]


U64: Final[Shape[int]] = _U64()
U128: Final[Shape[int]] = _U128()
Bool: Final[Shape[bool]] = _Bool()
