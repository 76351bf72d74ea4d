"""Transactions, from their bytes to what a block does with them, on both chains."""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any, Final

import msgpack

from abci_chat.machine import MACHINE as CHAT
from abci_chat.state.work import Proof
from abci_chat.txs import handle, identity
from abci_currency.machine import MACHINE as CURRENCY
from abci_currency.txs import escrow, issuer, relay, transfer
from dchat.kernel import signing, supply, tx
from dchat.kernel.errors import (
    MalformedTransaction,
    TransactionTooLarge,
    UnknownKind,
    UnknownVersion,
)
from dchat.kernel.ids import Amount, Height
from dchat.kernel.machine import Machine
from dchat.kernel.pool import Pool
from dchat.kernel.refusals import REFUSALS
from tests.fakes.memory import ALICE, BOB, MemoryState, at_height, opened, run, signed
from tests.fakes.postage import ADDRESSES, PEER, peer_of, registration
from tests.fuzz.mutate import change_bytes, change_values
from tests.fuzz.target import Target, named

CHAINS: Final = tuple((rules, opened(rules, alice=10**10, bob=10**6)) for rules in (CURRENCY, CHAT))
FORM: Final = identity.RegisterIdentity(
    "alice", bytes(32), ALICE.public_key, ("/ip4/127.0.0.1/tcp/7070/p2p/" + "Q" * 46,), b"h" * 32
)
WORK: Final = Proof(b"a" * 32, b"salt")
CHEQUES: Final = escrow.OpenEscrow(peer_of(PEER), ALICE.public_key, Amount(10**6))
BODIES: Final = (
    transfer.FAMILY.body(transfer.Transfer(BOB.id, Amount(5), "memo")),
    identity.REGISTER.body(FORM),
    identity.UPDATE_RELAYS.body(identity.UpdateRelays(FORM.home_relays)),
    identity.UPDATE_PREKEYS.body(identity.UpdatePrekeys(b"p" * 32)),
    identity.DEACTIVATE.body(identity.Deactivate()),
    handle.COMMIT.body(handle.CommitHandle(b"c" * 32, WORK)),
    handle.CLAIM.body(handle.ClaimHandle("alice", b"s" * 32)),
    handle.RELEASE.body(handle.ReleaseHandle()),
    handle.TRANSFER.body(handle.TransferHandle(BOB.id, Height(9), bytes(64))),
    relay.REGISTER.body(registration(ALICE.id, until=100)),
    relay.EDIT.body(relay.EditRelay(peer_of(PEER), ADDRESSES)),
    escrow.OPEN.body(CHEQUES),
    issuer.OPEN.body(issuer.OpenIssuerBond(Amount(10**6))),
)


def judge(raw: bytes) -> str:
    """Canonical or refused; admitted ones pay; a block does the same twice; nothing is minted."""
    try:
        decoded = tx.decode(raw)
    except (MalformedTransaction, TransactionTooLarge, UnknownKind, UnknownVersion) as fault:
        return named(fault)
    fields: list[Any] = [getattr(decoded.envelope, name) for name in tx.Envelope.__slots__]
    assert msgpack.packb([tx.KIND, tx.VERSION, *fields]) + decoded.signature == raw
    return "; ".join(_on(rules, state, raw) for rules, state in CHAINS)


def _on(rules: Machine, state: MemoryState, raw: bytes) -> str:
    admitted = Pool(rules).check(state, raw, at_height())
    ran, again = run(rules, state, raw), run(rules, state, raw)
    outcome = ran.outcomes[0]
    assert (ran.writes, ran.outcomes) == (again.writes, again.outcomes)
    assert {admitted.code, outcome.code} <= {0, *REFUSALS}
    assert admitted.code or outcome.cost_used, f"admitted, but does not pay: {outcome.reason}"
    supply.check_invariant(state.after(ran.writes))
    return f"{rules.name} {admitted.code}/{outcome.code}"


def _signed_again(rng: Random, raw: bytes) -> bytes:
    """Another value in the envelope, signed, so that it gets past the signature."""
    changed = change_values(rng, raw[: -signing.SIGNATURE_BYTES])
    who = rng.choice((ALICE, ALICE, ALICE, BOB))
    return changed + signing.sign(who.seed, tx.DOMAIN, hashlib.sha256(changed).digest())


SEEDS: Final = tuple(signed(ALICE, body) for body in BODIES)
TARGET: Final = Target(
    "envelope",
    "one encoding per transaction; CheckTx's admission means that its block is paid; supply holds",
    judge,
    (*SEEDS, signed(BOB, BODIES[0], nonce=1), b"\0" * (tx.MAX_TX_BYTES + 1)),
    (_signed_again, _signed_again, _signed_again, change_bytes),
)
