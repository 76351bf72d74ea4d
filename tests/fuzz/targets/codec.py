"""Every shape of every record, found by walking the rooms, and plain values."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from abci_chat.state import reputation
from dchat.client.core import content
from dchat.kernel import codec
from dchat.kernel.codec import CodecError
from dchat.kernel.family import Family
from dchat.kernel.headers import HeaderRefused, Validator, validator_set
from tests.fuzz.mutate import change_bytes, change_values
from tests.fuzz.target import Target, named

ROOMS: Final = (
    "dchat.kernel",
    "dchat.node",
    "dchat.client",
    "relay.core",
    "abci_chat",
    "abci_currency",
)
_TRIED: Final = 3
"""Levels of tables and tuples in which shapes are looked for."""


@dataclass(frozen=True, slots=True)
class Form:
    """One encoding: a name, both directions, and a value if one could be made up."""

    name: str
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    again: Callable[[bytes], Any]
    """How our own bytes are read back from the disk."""
    sample: bytes | None


def sample(shape: Any) -> Any:  # noqa: PLR0911 -- a table
    """The plainest value of a shape. Raises: LookupError where there is no way to tell."""
    match type(shape).__name__:
        case "_U64" | "_U128":
            return 7
        case "_Bool":
            return True
        case "Blob" | "Fixed":
            return b"\x05" * max(shape._least, min(shape._most, 4))
        case "Text":
            return "text"[: shape._most]
        case "Choice":
            return next(iter(shape._members.values()))
        case "ListOf":
            return (sample(shape._shape),)
        case "Record":
            return shape._make(**{name: sample(part) for name, part in shape._shapes.items()})
        case other:
            return SPECIAL[other]


SPECIAL: Final[Mapping[str, Any]] = {
    "_Body": (1, b"body", "text", (2, True)),
    "_Marks": reputation.Record((1, 2, 3)),
    "_KindShape": content.Undecryptable((b"1" * 32,), 3),
    "_Members": validator_set((Validator(b"k" * 32, 7),)),
}


def shapes() -> dict[int, tuple[str, Any]]:
    """Every shape that a module of ours holds, by identity, with the first name it was found by."""
    found: dict[int, tuple[str, Any]] = {}
    for module in sorted(_modules()):
        for name, value in sorted(vars(importlib.import_module(module)).items()):
            for shape in _within(value, _TRIED):
                found.setdefault(id(shape), (f"{module}.{name}", shape))
    return found


def _modules() -> Iterator[str]:
    for room in ROOMS:
        for module in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}."):
            if not module.name.endswith("__main__") and ".proto" not in module.name:
                yield module.name


def _within(value: object, levels: int) -> Iterator[Any]:
    if isinstance(value, codec.Shape):
        yield value
        yield from _parts(value, levels)
    elif isinstance(value, Family):
        yield from _within(value.shape, levels)
    elif isinstance(value, Mapping) and levels:
        yield from (shape for part in value.values() for shape in _within(part, levels - 1))
    elif isinstance(value, tuple) and levels:
        yield from (shape for part in value for shape in _within(part, levels - 1))


def _parts(shape: Any, levels: int) -> Iterator[Any]:
    if isinstance(shape, codec.Record):
        yield from _within(shape._shapes, levels)
    elif isinstance(shape, codec.ListOf):
        yield from _within(shape._shape, levels)


def _form(name: str, shape: Any) -> Form:
    return Form(name, shape.decode, shape.encode, shape.decode_own, shape.encode(sample(shape)))


VALUE: Final = Form(
    "value",
    codec.unpack,
    codec.pack,
    codec.unpack,
    codec.pack([0, 2**64 - 1, b"b", "t", [True, []]]),
)
FORMS: Final = (VALUE, *(_form(*each) for each in shapes().values()))


def judge(data: bytes) -> str:
    """The first two bytes choose the form; the rest is canonical and comes back, or is refused."""
    return judge_form(FORMS[int.from_bytes(data[:2], "big") % len(FORMS)], data[2:])


def judge_form(form: Form, encoded: bytes) -> str:
    """One form has one encoding for each value that it decodes."""
    try:
        value = form.decode(encoded)
    except (CodecError, HeaderRefused) as fault:
        return named(fault)
    assert form.encode(value) == encoded, f"{form.name}: two encodings of {value!r}"
    assert form.again(encoded) == value, f"{form.name}: read back as another value"
    return f"accepted: {form.name}"


def _change(rng: Any, data: bytes) -> bytes:
    return data[:2] + change_values(rng, data[2:])


TARGET: Final = Target(
    "codec",
    "every value and record: canonical bytes that come back as they were, or CodecError",
    judge,
    tuple(at.to_bytes(2, "big") + form.sample for at, form in enumerate(FORMS) if form.sample),
    (_change, _change, change_bytes),
)
