from __future__ import annotations

from abci_chat.machine import MACHINE
from abci_chat.state import beacon as chains
from abci_chat.state.beacon import DUTY
from dchat.kernel import headers
from dchat.kernel.ids import Height
from dchat.kernel.store import Draft
from dchat.node.identity import Identity
from dchat.operator import beacon
from dchat.operator.plan import keys_of
from tests.fakes.memory import ALICE, CHAIN, FUNDS, opened

OWNER = Identity("node", bytes(32), b"s" * 32)


def test_the_secret_is_the_identitys_and_nobody_elses() -> None:
    other = Identity("node", bytes(32), b"t" * 32)

    assert beacon.secret(OWNER) == OWNER.child("beacon/chat")
    assert beacon.secret(OWNER) != beacon.secret(other)


def test_every_chain_and_number_has_a_head_of_its_own() -> None:
    heads = {beacon.head(OWNER, "a"), beacon.head(OWNER, "b"), beacon.head(OWNER, "a", 2)}

    assert len(heads) == 3
    assert {len(each) for each in heads} == {32}


def test_an_application_with_the_secret_reveals_what_genesis_binds_its_validator_to() -> None:
    keys = keys_of(OWNER, "chat")
    address = headers.address_of(keys.consensus_key)
    draft = Draft(opened(MACHINE, alice=FUNDS))
    chains.begin(draft, keys.consensus_key, ALICE.id, beacon.head(OWNER, CHAIN), beacon.LENGTH)
    chains.request(draft, b"entry", Height(1))

    revealed = DUTY.make(draft, address, keys.beacon)

    assert revealed
    assert DUTY.accepts(draft, address, revealed)
