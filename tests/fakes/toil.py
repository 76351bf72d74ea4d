"""Work in place of a fee, done for whoever a test lets register without credits."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from abci_chat.params import WORK, Work
from abci_chat.state import work
from abci_chat.state.work import Proof
from abci_chat.txs import handle, identity
from abci_chat.txs.handle import CommitHandle
from abci_chat.txs.identity import Deactivate, RegisterIdentity
from dchat.kernel import codec, signing
from dchat.kernel.ids import Amount, Height, Nonce
from dchat.kernel.store import Draft
from tests.fakes.memory import CHAIN, MemoryState, Person, signed
from tests.fakes.orders import RELAY

EASY = Work(base_bits=4, step=2, cooling_blocks=10, anchor_blocks=5)
"""Rules that a test can meet at once."""


PLAIN = RegisterIdentity("", b"", signing.public_key(b"i" * 32), (RELAY,), b"h" * 32)
"""A registration without a handle."""


def eased(state: MemoryState, rules: Work = EASY) -> MemoryState:
    """Return the state with little work to do."""
    draft = Draft(state)
    WORK.save(draft, rules)
    return state.after(draft.writes())


def salt_for(problem: bytes, need: int, below: int | None = None) -> bytes:
    """Return the first salt that is worth so many hashes, and less than `below` of them."""
    most = below or 1 << 256
    salts = (at.to_bytes(8, "big") for at in count())
    return next(salt for salt in salts if need <= work.worked(problem, salt) < most)


def proof(state: MemoryState, who: Person, body: bytes, nonce: int = 0, height: int = 1) -> Proof:
    """Return the work that the chain asks for an order at this height."""
    anchor = work.anchors(work.load(state), CHAIN)[0]
    bound_to = work.statement(CHAIN, who.id, Nonce(nonce), anchor)
    need = work.required(state, Height(height))
    return Proof(anchor, salt_for(work.task(bound_to, body), need))


def too_little(who: Person, body: bytes, rules: Work = EASY) -> Proof:
    """Return work that is almost what a fresh chain asks for a first order."""
    anchor, need = work.first_anchor(CHAIN), 1 << rules.base_bits
    bound_to = work.statement(CHAIN, who.id, Nonce(0), anchor)
    return Proof(anchor, salt_for(work.task(bound_to, body), need // 2, need))


def free(who: Person, body: tuple[codec.Raw, ...], nonce: int = 0) -> bytes:
    """Return the transaction without a fee."""
    return signed(who, body, nonce, fee=Amount(0))


def registration(
    state: MemoryState, who: Person, form: RegisterIdentity, nonce: int = 0, height: int = 1
) -> bytes:
    """Return a registration that was worked for."""
    worked = proof(state, who, identity.registering(form), nonce, height)
    return free(who, identity.REGISTER.body(replace(form, work=worked)), nonce)


def commitment(
    state: MemoryState, who: Person, digest: bytes, nonce: int = 0, height: int = 1
) -> bytes:
    """Return a commitment to a handle that was worked for."""
    plain = CommitHandle(digest)
    worked = proof(state, who, handle.committing(plain), nonce, height)
    return free(who, handle.COMMIT.body(replace(plain, work=worked)), nonce)


def deactivation(state: MemoryState, who: Person, nonce: int, height: int = 1) -> bytes:
    """Return a deactivation that was worked for."""
    worked = proof(state, who, identity.deactivating(Deactivate()), nonce, height)
    return free(who, identity.DEACTIVATE.body(Deactivate(worked)), nonce)
