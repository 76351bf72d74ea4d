from __future__ import annotations

import pytest
import trio
import trio.testing

from dchat.operator.demo import Script, StepFailed


def test_a_step_is_said_with_its_number_time_and_details() -> None:
    said: list[str] = []

    async def main() -> None:
        script = Script(said.append)
        with script.step("walk") as shown:
            await trio.sleep(1.5)
            shown.append("far")

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

    assert said == ["✓  1. walk (1.5 s)", "       far"]


def test_a_step_that_takes_too_long_fails_by_name() -> None:
    said: list[str] = []

    async def main() -> None:
        with Script(said.append).step("wait"):
            await trio.sleep_forever()

    with pytest.raises(StepFailed, match="step 1, wait: not done in 30 s"):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

    assert said == []


def test_a_step_that_fails_says_nothing_good() -> None:
    said: list[str] = []

    async def main() -> None:
        with Script(said.append).step("lie"):
            raise StepFailed("it did not hold")

    with pytest.raises(StepFailed):
        trio.run(main)

    assert said == []
