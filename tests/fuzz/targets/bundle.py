"""Bundles, from their bytes to what a block does with what they carry."""

from __future__ import annotations

import hashlib
from random import Random
from typing import Final

import msgpack

from dchat.kernel import bundle, signing, supply, tx
from dchat.kernel.bundle import Did
from dchat.kernel.codec import CodecError
from dchat.kernel.errors import TxRejected
from dchat.kernel.machine import Machine
from dchat.kernel.pool import Pool
from dchat.kernel.refusals import REFUSALS
from tests.fakes.memory import ALICE, BOB, MemoryState, at_height, run, signed
from tests.fuzz.mutate import change_bytes, change_values
from tests.fuzz.target import Target, named
from tests.fuzz.targets.envelope import BODIES, CHAINS


def judge(raw: bytes) -> str:
    """One encoding; each does what it does alone; where CheckTx admits it, all of it is paid."""
    try:
        carried = bundle.decode(raw)
    except TxRejected as fault:
        assert bundle.carried(raw) == (raw,)
        return named(fault)
    assert msgpack.packb([bundle.KIND, bundle.VERSION, list(carried)]) == raw
    return "; ".join(_on(rules, state, raw, carried) for rules, state in CHAINS)


def _on(rules: Machine, state: MemoryState, raw: bytes, carried: tuple[bytes, ...]) -> str:
    admitted = Pool(rules).check(state, raw, at_height())
    # A bundle within a bundle does nothing, which is what malformed bytes do.
    flat = [each if bundle.carried(each) == (each,) else b"" for each in carried]
    together, alone = run(rules, state, raw), run(rules, state, *flat)
    outcome = together.outcomes[0]
    did = bundle.decode_results(outcome.data)
    assert together.writes == alone.writes
    assert did == tuple(Did(each.code, each.cost_used) for each in alone.outcomes)
    assert {admitted.code, *(each.code for each in did)} <= {0, *REFUSALS}
    assert admitted.code or all(each.cost_used for each in did), "admitted, but not all of it pays"
    supply.check_invariant(state.after(together.writes))
    return f"{rules.name} {admitted.code}/{'+'.join(str(each.code) for each in did[:4])}"


def _carrying_another(rng: Random, raw: bytes) -> bytes:
    """One that it carries left out, put in twice, moved, changed or made anew."""
    carried = list(bundle.carried(raw))
    at = rng.randrange(len(carried))
    which = rng.randrange(5)
    if which == 0:
        carried.pop(at)
    elif which == 1:
        carried.insert(rng.randrange(len(carried) + 1), carried[at])
    elif which == 2:
        carried[at] = _changed(rng, carried[at])
    elif which == 3:
        carried[at] = raw[:2000]
    else:
        who, nonce = rng.choice((ALICE, BOB)), rng.randrange(4)
        carried.append(signed(who, rng.choice(BODIES), nonce, cost_limit=rng.choice((80, 2000))))
    return msgpack.packb([bundle.KIND, bundle.VERSION, carried])


def _changed(rng: Random, raw: bytes) -> bytes:
    try:
        changed = change_values(rng, raw[: -signing.SIGNATURE_BYTES])
    except (CodecError, ValueError):
        return change_bytes(rng, raw)
    digest = hashlib.sha256(changed).digest()
    return changed + signing.sign(ALICE.seed, tx.DOMAIN, digest)


PAID: Final = tuple(signed(ALICE, BODIES[0], nonce) for nonce in range(3))
TARGET: Final = Target(
    "bundle",
    "one encoding; each does what it does alone; CheckTx's admission means that all of it is paid",
    judge,
    (
        bundle.build(PAID),
        bundle.build([*PAID[:2], signed(BOB, BODIES[0])]),
        bundle.build([signed(ALICE, BODIES[1]), signed(ALICE, BODIES[2], 1)]),
        bundle.build([PAID[0]]),
    ),
    (_carrying_another, _carrying_another, _carrying_another, change_values, change_bytes),
    max_bytes=4096,
)
