"""Draws against a plain log: who asked when, and who revealed what in which block."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from abci_chat import keys
from abci_chat.state.beacon import MAX_WAITING, Phase
from tests.fakes.draws import ANNA, DIRK, PREIMAGES, Lottery, preimage, seed

LENGTH = 12
validators = st.integers(ANNA, DIRK)


@dataclass
class Window:
    """One window as somebody sees it who reads all blocks."""

    number: int
    numbers: list[int]
    revealed: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])


class Draws(RuleBasedStateMachine):
    """Whatever comes, each entry gets one seed, of preimages that came after it."""

    def __init__(self) -> None:
        super().__init__()
        self.chain = Lottery(length=LENGTH)
        self.asked = 0
        self.waiting: list[int] = []
        self.window: Window | None = None
        self.windows = 0
        self.used = [0, 0, 0, LENGTH]
        self.numbers = [1, 1, 1, 0]
        self.coming: dict[int, tuple[int, int]] = {}
        """By validator: the number of its next chain, and the first window of that."""

    @rule(who=validators, asks=st.integers(0, 3))
    def makes_a_block(self, who: int, asks: int) -> None:
        self._block(who, asks)

    @rule(who=validators, asks=st.sampled_from([MAX_WAITING, MAX_WAITING + 5]))
    def asks_a_lot(self, who: int, asks: int) -> None:
        self._block(who, asks)

    @rule(who=validators)
    def binds(self, who: int) -> None:
        self._turn(who)
        number = max(self.numbers[who], self.coming.get(who, (0, 0))[0]) + 1
        since = self.chain.bind(who, number, LENGTH)
        self.coming[who] = (number, self.windows + 1)

        assert since == self.windows + 1

    def _block(self, who: int, asks: int) -> None:
        expected = self._owed(who)
        numbers = list(range(self.asked + 1, self.asked + asks + 1))

        made = self.chain.block(who, ask=numbers)

        assert made.contributed == expected
        self._reveal(who, expected)
        over = self._over()
        assert made.seeds == over
        self.asked += asks
        self.waiting += numbers
        self._open()

    def _owed(self, who: int) -> bytes:
        if self.window is None:
            return b""
        self._turn(who)
        left = LENGTH - self.used[who]
        return preimage(who, self.used[who], self.numbers[who], LENGTH) if left else b""

    def _turn(self, who: int) -> None:
        number, since = self.coming.get(who, (0, 0))
        if number and self.windows >= since:
            self.numbers[who], self.used[who] = number, 0
            del self.coming[who]

    def _reveal(self, who: int, value: bytes) -> None:
        if self.window is not None and value:
            self.window.revealed.append((who, value))
            self.used[who] += 1

    def _over(self) -> dict[bytes, bytes]:
        window = self.window
        if window is None or len(window.revealed) < PREIMAGES:
            return {}
        self.window = None
        self.waiting = self.waiting[len(window.numbers) :]
        return {
            keys.case(each): seed(window.number, each, window.revealed) for each in window.numbers
        }

    def _open(self) -> None:
        if self.window is None and self.waiting:
            self.windows += 1
            self.window = Window(self.windows, self.waiting[:MAX_WAITING])
        elif self.window is not None and self.chain.draw.opened_at == self.chain.height:
            self.window.numbers = self.waiting[:MAX_WAITING]

    @invariant()
    def phase_and_queue_agree(self) -> None:
        draw = self.chain.draw
        assert draw.phase is (Phase.OPEN if self.window else Phase.IDLE)
        assert draw.last - draw.first == len(self.waiting)
        assert draw.window == self.windows

    @invariant()
    def nobody_is_bound_to_more_than_there_is(self) -> None:
        for who in range(DIRK):
            assert 0 <= self.chain.bound(who).link.left <= LENGTH


TestDraws = Draws.TestCase
TestDraws.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
