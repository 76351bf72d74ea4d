"""Who may touch the state next."""

from __future__ import annotations

import threading


class _Turn:
    """Entered by one thread at a time."""

    def __init__(self, *locks: threading.Lock, release_early: threading.Lock) -> None:
        self._locks = locks
        self._early = release_early

    def __enter__(self) -> None:
        for lock in self._locks:
            lock.acquire()
        self._early.release()

    def __exit__(self, *_: object) -> None:
        for lock in reversed(self._locks):
            if lock is not self._early:
                lock.release()


class Turns:
    """One request on the state at a time; consensus overtakes every queued mempool request.

    `threading.Lock` is not fair: a thread that checks transactions back to back would otherwise
    take the lock again before a waiting FinalizeBlock wakes up.
    """

    def __init__(self) -> None:
        state, upcoming, mempool = threading.Lock(), threading.Lock(), threading.Lock()
        self.consensus = _Turn(upcoming, state, release_early=upcoming)
        self.mempool = _Turn(mempool, upcoming, state, release_early=upcoming)
