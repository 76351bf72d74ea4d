from __future__ import annotations

from dchat.node.identity import Identity
from dchat.operator import beacon

OWNER = Identity("node", bytes(32), b"s" * 32)


def test_the_secret_is_the_identitys_and_nobody_elses() -> None:
    other = Identity("node", bytes(32), b"t" * 32)

    assert beacon.secret(OWNER) == OWNER.child("beacon/chat")
    assert beacon.secret(OWNER) != beacon.secret(other)


def test_every_chain_and_number_has_a_head_of_its_own() -> None:
    heads = {beacon.head(OWNER, "a"), beacon.head(OWNER, "b"), beacon.head(OWNER, "a", 2)}

    assert len(heads) == 3
    assert {len(each) for each in heads} == {32}
