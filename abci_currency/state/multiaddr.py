"""Addresses as the chain keeps them: one spelling for each, judged the same by every version.

    /ip4/A.B.C.D/tcp/PORT   /ip6/GROUPS/tcp/PORT   /dns|dns4|dns6/NAME/tcp/PORT

Numbers have no leading zeros, ports are 1 to 65535, IPv6 is in lower case and shortest form, names
are in lower case without a last dot. A wildcard is no address that anybody could dial. The peer id
is not part of it: the record that holds the address says whose it is.
Source: RFC 5952 (IPv6 text), RFC 1123 (host names); Python's `ipaddress` writes mapped IPv6
addresses by version, so it is not asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Final

MAX_BYTES: Final = 272
"""The longest name, 253 bytes, with what stands around it."""
_MAX_PORT: Final = 65_535
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_BYTE: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IP4: Final = re.compile(rf"(?:{_BYTE}\.){{3}}{_BYTE}", re.ASCII)
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}", re.ASCII)
"""The last label is no number: some resolvers would take it for an IPv4 address."""
_MAX_NAME: Final = 253
_GROUP: Final = re.compile(r"0|[1-9a-f][0-9a-f]{0,3}", re.ASCII)
_GROUPS: Final = 8
_WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def is_canonical(text: str) -> bool:
    """Tell whether text is an address in the one spelling that the chain keeps."""
    match text.split("/") if len(text) <= MAX_BYTES else []:
        case ["", kind, host, "tcp", port]:
            return _is_port(port) and host not in _WILDCARDS and _is_host(kind, host)
        case _:
            return False


def _is_port(text: str) -> bool:
    return _PORT.fullmatch(text) is not None and int(text) <= _MAX_PORT


def _is_host(kind: str, host: str) -> bool:
    match kind:
        case "ip4":
            return _IP4.fullmatch(host) is not None
        case "ip6":
            return _is_ip6(host)
        case "dns" | "dns4" | "dns6":
            return len(host) <= _MAX_NAME and _NAME.fullmatch(host) is not None
        case _:
            return False


def _is_ip6(text: str) -> bool:
    head, gap, tail = text.partition("::")
    left, right = _groups(head), _groups(tail)
    missing = _GROUPS - len(left) - len(right)
    well_formed = all(_GROUP.fullmatch(group) for group in (*left, *right))
    if not well_formed or missing < 0 or (missing == 0) == bool(gap):
        return False
    return text == _shortest((*left, *["0"] * missing, *right))


def _groups(text: str) -> list[str]:
    return text.split(":") if text else []


def _shortest(groups: Sequence[str]) -> str:
    """Return the text in which the first of the longest runs of zeros, two at least, is `::`."""
    best, length, at = 0, 1, 0
    for is_zero, run in groupby(groups, "0".__eq__):
        size = len(list(run))
        if is_zero and size > length:
            best, length = at, size
        at += size
    if length == 1:
        return ":".join(groups)
    return f"{':'.join(groups[:best])}::{':'.join(groups[best + length :])}"
