"""What a block's rewards cost as delegators grow from a hundred to a hundred thousand.

`just bench rewards` takes ten seconds. A hundred validators vote; their delegations are spread
evenly. Measured are sharing a block's fees out, letting one validator catch up, and one withdrawal,
each the median of many. The peer is what they spare: to credit every delegator at once. The last
line is one JSON object; with `--write` it becomes the baseline.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

from abci_currency.hooks import fees
from abci_currency.state import rewards, stake, staking
from abci_currency.state.stake import Commission
from benchmarks.report import finish
from dchat.kernel import accounts
from dchat.kernel.ids import AccountId, Amount, ChainId, EpochMs, Height
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft
from tests.fakes.memory import MemoryState

VALIDATORS = 100
DELEGATORS = (100, 1_000, 10_000, 100_000)
RUNS = 200
STAKE = Amount(1_000 * stake.POWER_UNIT)
FEES = Amount(2_000_000)
PAYER = AccountId(bytes(32))
TERMS = (Commission(1_000, 10_000, 10_000, EpochMs(0)), Amount(0))
NOW = EpochMs(1_700_000_000_000)
BLOCK = BlockContext(ChainId("bench"), Height(1), NOW)


def main() -> None:
    """Measure every number of delegators."""
    curve = {count: measure(count) for count in DELEGATORS}
    for count, figures in curve.items():
        print(f"{count:>7} delegators:", *(f"{name} {us} µs" for name, us in figures.items()))
    least, most = curve[DELEGATORS[0]], curve[DELEGATORS[-1]]
    report: dict[str, object] = {
        "name": "rewards",
        "value": most["share_out"],
        "unit": f"µs to share a block's fees out among {DELEGATORS[-1]} delegators",
        "peer": "to credit every one of them",
        "peer_value": most["credit_all"],
        "ratio": round(most["share_out"] / most["credit_all"], 6),
        "growth": {name: round(most[name] / least[name], 2) for name in most},
        "us": curve,
    }
    finish(report, write_baseline="--write" in sys.argv)


def measure(count: int) -> dict[str, float]:
    """Return the microseconds of each step with so many delegators."""
    delegators = [named(VALIDATORS + at) for at in range(count)]
    state = begin(delegators)

    def share_out(at: int, draft: Draft) -> None:
        fees.take(draft, {PAYER: Amount(FEES + at)}, BLOCK)

    def settle(at: int, draft: Draft) -> None:
        operator = named(at % VALIDATORS)
        rewards.settle(draft, operator, staking.found(draft, operator))

    def withdraw(at: int, draft: Draft) -> None:
        rewards.claim(draft, delegators[at % count], named(at % count % VALIDATORS))

    def credit_all(_: int, draft: Draft) -> None:
        for who in delegators:
            accounts.credit(draft, who, Amount(1))

    return {
        "share_out": timed(share_out, state, RUNS),
        "settle": timed(settle, state, RUNS),
        "withdraw": timed(withdraw, state, RUNS),
        "credit_all": timed(credit_all, state, 3),
    }


def timed(step: Callable[[int, Draft], None], state: MemoryState, runs: int) -> float:
    """Return the median of what a step takes on a draft of its own, in microseconds."""
    spans: list[int] = []
    for at in range(runs):
        draft = Draft(state)
        start = time.perf_counter_ns()
        step(at, draft)
        spans.append(time.perf_counter_ns() - start)
    return round(median(spans) / 1_000, 1)


def begin(delegators: list[AccountId]) -> MemoryState:
    """Return a state in which everybody has stake, and has earned something."""
    draft = Draft(MemoryState())
    for at in range(VALIDATORS):
        begin_validator(draft, named(at), at)
    for at, who in enumerate(delegators):
        bond(draft, who, named(at % VALIDATORS))
    rewards.begin(draft, NOW)
    fees.take(draft, {PAYER: Amount(1_000 * FEES)}, BLOCK)
    return MemoryState().after(draft.writes())


def begin_validator(draft: Draft, operator: AccountId, number: int) -> None:
    """Let a validator vote with some stake of its own."""
    staking.open_validator(draft, operator, number.to_bytes(32, "big"), "", TERMS)
    bond(draft, operator, operator)
    held = staking.found(draft, operator)
    staking.replace_validator(draft, operator, held, replace(held, active=True))


def bond(draft: Draft, who: AccountId, operator: AccountId) -> None:
    """Let somebody stake."""
    accounts.credit(draft, who, STAKE)
    staking.bond(draft, who, operator, STAKE, who)


def named(number: int) -> AccountId:
    """Return an account."""
    return AccountId(number.to_bytes(32, "big"))


if __name__ == "__main__":
    main()
