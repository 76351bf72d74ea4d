"""Merkle proofs: what is accepted is true, and is the one proof that there is."""

from __future__ import annotations

from random import Random
from typing import Final

from dchat.kernel import codec
from dchat.kernel.codec import CodecError
from dchat.kernel.merkle import tree
from dchat.kernel.merkle.proof import BadProof, Proof, prove, verify
from tests.fuzz.mutate import change_bytes, change_values
from tests.fuzz.target import Target, named

# 300 leaves: some in pages of their own, some below the root page; as many keys are absent.
STATE: Final = {codec.pack(("key", n)): b"value %d" % n for n in range(300)}
KEYS: Final = tuple(codec.pack(("key", n)) for n in range(600))
UPDATE: Final = tree.update({}, dict(STATE))
PAGES: Final = {name: page for name, page in UPDATE.pages.items() if page is not None}
HEAD: Final = 3
"""Bytes in front of a proof: `u16be key | u8 value`, 0 for none, 1 for its own, others invented."""


def claim(key: int, value: int, proof: bytes) -> bytes:
    """An input: this proof, for this value at this key."""
    return key.to_bytes(2, "big") + bytes([value]) + proof


def judge(data: bytes) -> str:
    """A proof is accepted for what the tree holds only, and byte by byte as the tree gives it."""
    head, encoded = data[:HEAD].ljust(HEAD, b"\0"), data[HEAD:]
    key = KEYS[int.from_bytes(head[:2], "big") % len(KEYS)]
    value = (None, STATE.get(key, b""))[head[2]] if head[2] < 2 else head[1:]
    try:
        proof = Proof.decode(encoded)
        assert proof.encode() == encoded, "two encodings of one proof"
        verify(UPDATE.root, key, value, proof)
    except (CodecError, BadProof) as fault:
        return named(fault)
    assert STATE.get(key) == value, f"proved that {key!r} has {value!r}"
    assert prove(PAGES, key) == proof, "a second proof of one fact"
    return f"proved {'absent' if value is None else 'present'}, {len(proof.siblings)} levels"


def _change_proof(rng: Random, data: bytes) -> bytes:
    return data[:HEAD] + change_values(rng, data[HEAD:])


def _change_claim(rng: Random, data: bytes) -> bytes:
    return claim(rng.randrange(len(KEYS)), rng.choice((0, 0, 1, 1, 7)), data[HEAD:])


TARGET: Final = Target(
    "proof",
    "a proof is accepted for what is true only, in one encoding, and each fact has one proof",
    judge,
    tuple(
        claim(n, int(KEYS[n] in STATE), prove(PAGES, KEYS[n]).encode()) for n in range(0, 600, 30)
    ),
    (_change_proof, _change_proof, _change_claim, change_bytes),
    max_bytes=20_000,
)
