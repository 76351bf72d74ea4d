"""Orders to the chat chain, each on the state that it was made for: all families of the vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from types import MappingProxyType
from typing import Any, Final

from abci_chat.machine import MACHINE
from abci_chat.txs import proposal
from abci_chat.txs.proposal import ProposeAppeal
from dchat.kernel import accounts, codec, supply, tx
from dchat.kernel.codec import CodecError
from dchat.kernel.errors import TxRejected
from dchat.kernel.pool import Pool
from dchat.kernel.refusals import REFUSALS
from tests.fakes import appeals
from tests.fakes.channels import DAVE
from tests.fakes.court import JURORS
from tests.fakes.guarded import ERIN, NEW
from tests.fakes.memory import (
    ALICE,
    BOB,
    CAROL,
    MemoryState,
    Person,
    at_height,
    opened,
    run,
    signed,
)
from tests.fakes.voting import DEPOSIT
from tests.fuzz.mutate import change_bytes, change_tree
from tests.fuzz.target import Target, named
from tests.vectors import (
    beacons,
    channels,
    governance,
    identities,
    moderation,
    payments,
    posts,
    recovery,
    reputation,
)

STORIES: Final = (
    identities,
    recovery,
    channels,
    posts,
    governance,
    moderation,
    beacons,
    reputation,
)
PEOPLE: Final = (ALICE, BOB, CAROL, DAVE, ERIN, NEW, Person(payments.NEXT), *JURORS)
SEEDS_OF: Final[Mapping[bytes, bytes]] = MappingProxyType({p.public_key: p.seed for p in PEOPLE})


@dataclass(frozen=True, slots=True)
class Stage:
    """A state in the middle of a story, and what is sent next."""

    state: MemoryState
    height: int
    raw: bytes


def _stages() -> Iterator[Stage]:
    for story in STORIES:
        yield from _told(story.start(), story.orders())
    yield from _told(opened(MACHINE, alice=10**6, bob=10**6), payments.chat_orders())
    judged, against = appeals.decided(), ProposeAppeal("no spam", "", DEPOSIT, appeals.CASE)
    yield from _told(judged.state, [signed(ALICE, proposal.APPEAL.body(against))])


def _told(state: MemoryState, orders: list[bytes]) -> Iterator[Stage]:
    for height, raw in enumerate(orders, 1):
        yield Stage(state, height, raw)
        state = state.after(run(MACHINE, state, raw, height=height).writes)


STAGES: Final = tuple(_stages())


def judge(data: bytes) -> str:
    """The first byte chooses the stage; the rest is a transaction, and stays within its bounds."""
    stage, raw = STAGES[int.from_bytes(data[:1], "big") % len(STAGES)], data[1:]
    try:
        sender = tx.decode(raw).envelope.sender
    except TxRejected as fault:
        return named(fault)
    admitted = Pool(MACHINE).check(stage.state, raw, at_height(stage.height))
    ran, again = (run(MACHINE, stage.state, raw, height=stage.height) for _ in range(2))
    outcome = ran.outcomes[0]
    assert (ran.writes, ran.outcomes) == (again.writes, again.outcomes)
    assert {admitted.code, outcome.code} <= {0, *REFUSALS}
    assert admitted.code or outcome.cost_used, f"admitted, but does not pay: {outcome.reason}"
    without = run(MACHINE, stage.state, height=stage.height).writes
    assert not outcome.code or _only_pays(sender, ran.writes, without), "refused, and did something"
    supply.check_invariant(stage.state.after(ran.writes))
    return f"{admitted.code}/{outcome.code}"


def _only_pays(
    sender: bytes, written: Mapping[bytes, bytes | None], anyway: Mapping[bytes, bytes | None]
) -> bool:
    """Whether a block did with the transaction what it does anyway, but for nonce, fee and work."""
    paid = {accounts.key(accounts.AccountId(sender)), supply.KEY}
    words = {
        codec.unpack_array(key)[0]
        for key in {*written, *anyway} - paid
        if written.get(key) != anyway.get(key)
    }
    return words <= {"reputation", "work"}


def _change_body(rng: Random, data: bytes) -> bytes:
    """Another body, or one that another stage has, from the same sender, signed."""
    if rng.randrange(8) == 0:
        return bytes([rng.randrange(len(STAGES))]) + data[1:]
    try:
        envelope = tx.decode(data[1:]).envelope
        body: Any = change_tree(rng, list(envelope.body))
        changed = replace(envelope, body=tuple(body))
        return data[:1] + tx.build(changed, SEEDS_OF.get(envelope.public_key, ALICE.seed))
    except (TxRejected, CodecError, TypeError, ValueError, OverflowError, RecursionError):
        return change_bytes(rng, data)


TARGET: Final = Target(
    "order",
    "an order of any family, where it was made for, is carried out or refused by its code alone",
    judge,
    tuple(bytes([at]) + stage.raw for at, stage in enumerate(STAGES)),
    (_change_body, _change_body, _change_body, change_bytes),
    max_bytes=8192,
)
