"""Contributions, from a block's first bytes to what the chat chain makes of them."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Final

import msgpack

from abci_chat.machine import MACHINE
from abci_chat.state.beacon import DUTY
from dchat.kernel import bundle, contribution
from dchat.kernel.machine import Block, run_block
from dchat.kernel.pool import Pool
from dchat.kernel.refusals import REFUSALS
from tests.fakes.draws import ADDRESSES, ANNA, BERT, DIRK, Lottery, preimage
from tests.fakes.memory import at_height
from tests.fuzz.mutate import change_bytes, change_values
from tests.fuzz.target import REFUSED, Target


def _asked() -> Lottery:
    chain = Lottery()
    chain.block(DIRK, ask=(1,))
    return chain


CHAIN: Final = _asked()
PROPOSERS: Final = (ANNA, BERT, DIRK)
"""Two that owe something each, and one that owes nothing."""


def judge(raw: bytes) -> str:
    """One encoding; it counts where everybody accepts it and nowhere else; no mempool takes it."""
    lead, rest = contribution.split([raw])
    assert not lead or contribution.build(lead) == raw
    assert bool(lead) != bool(rest)
    codes = [Pool(MACHINE).check(CHAIN.state, each, at_height(2)).code for each in _offered(raw)]
    assert all(codes), "a mempool takes it"
    assert set(codes) <= set(REFUSALS)
    said = [_proposed(who, raw, lead) for who in PROPOSERS]
    takers = [str(who) for who, code in zip(PROPOSERS, said, strict=True) if not code]
    return f"taken from {takers}" if takers else f"{REFUSED}{REFUSALS[said[0]].name}"


def _proposed(who: int, raw: bytes, lead: bytes) -> int:
    """The code of it as all that a validator's block has."""
    proposer = ADDRESSES[who]
    context = replace(at_height(2), proposer=proposer)
    with_it = run_block(MACHINE, CHAIN.state, Block(context, (raw,)), {})
    without = run_block(MACHINE, CHAIN.state, Block(context, ()), {})
    counts = who != DIRK and lead == preimage(who, 0)
    assert (with_it.writes != without.writes) == counts
    assert counts == bool(lead and DUTY.accepts(CHAIN.state, proposer, lead))
    code = with_it.outcomes[0].code
    # A bundle is none, and well formed it has code 0 whatever became of what it carries.
    assert counts == (not code) or (not counts and bundle.is_bundle(raw))
    return code


def _offered(raw: bytes) -> tuple[bytes, bytes]:
    return raw, _carried(raw)


def _carried(raw: bytes) -> bytes:
    return msgpack.packb([bundle.KIND, bundle.VERSION, [raw]])


def _with_preimage(rng: Random, _: bytes) -> bytes:
    """One of the chain's, of another's, or nearly one."""
    made = preimage(rng.randrange(3), rng.randrange(3))
    return contribution.build(made[: rng.choice((1, 31, 32, 32, 32))])


TARGET: Final = Target(
    "contribution",
    "one encoding; it counts where everybody accepts it and nowhere else; no mempool takes it",
    judge,
    (
        contribution.build(preimage(ANNA, 0)),
        contribution.build(preimage(BERT, 0)),
        contribution.build(preimage(ANNA, 1)),
        contribution.build(bytes(contribution.MAX_DATA_BYTES)),
        bundle.build((b"\0",)),
    ),
    (_with_preimage, change_values, change_bytes),
    max_bytes=1024,
)
