"""A state that counts what is read of it: the same on any machine, however busy."""

from __future__ import annotations

from collections.abc import Iterator

from dchat.kernel.store import State


class Counted:
    """A state that counts the entries asked for, and those that scans yield."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.reads = 0

    def get(self, key: bytes) -> bytes | None:
        """Return the value at key."""
        self.reads += 1
        return self._state.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries under prefix."""
        for entry in self._state.scan(prefix):
            self.reads += 1
            yield entry
