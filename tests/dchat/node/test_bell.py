from __future__ import annotations

import os
import select
import signal

from dchat.node.bell import Bell


def heard(bell: Bell) -> bool:
    return bool(select.select([bell], [], [], 0)[0])


def test_a_rung_bell_wakes_a_selector_until_it_is_quieted() -> None:
    with Bell() as bell:
        bell.ring()
        before = heard(bell)
        bell.quiet()

        assert (before, heard(bell), bell.rung) == (True, False, False)


def test_quieting_a_silent_bell_changes_nothing() -> None:
    with Bell() as bell:
        bell.quiet()

        assert not bell.rung


def test_a_thousand_rings_that_nobody_hears_do_not_block() -> None:
    with Bell() as bell:
        [bell.ring() for _ in range(100_000)]

        assert heard(bell)


def test_a_signal_rings_it() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with Bell() as bell:
        bell.on(signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, before)

        assert bell.rung
