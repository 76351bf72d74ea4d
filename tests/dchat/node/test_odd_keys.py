"""Keys and signatures with a second spelling or a small order are refused at every door but votes.

Who holds such a key is not the only one who can sign, or can sign one thing in several ways.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from abci_chat.machine import MACHINE as CHAT
from abci_chat.txs import identity
from abci_currency.machine import MACHINE as CURRENCY
from abci_currency.txs import transfer
from dchat.kernel import accounts, signing, tx, zip215
from dchat.kernel.errors import BadSignature, WeakKey
from dchat.kernel.ids import Amount
from dchat.kernel.machine import Machine
from dchat.kernel.pool import Pool
from dchat.node.app import BadGenesis, Node
from dchat.node.proto import keys_pb2
from dchat.node.storage import Storage
from genesis import build, settings
from genesis.check import GenesisRefused, check
from tests.dchat.kernel.test_zip215 import LOW_ORDER, SPECCHECK, P
from tests.fakes import odd_signatures
from tests.fakes.consensus import init_request
from tests.fakes.memory import ALICE, BOB, at_height, envelope, opened, run
from tests.fakes.memory_store import MemoryStore
from tests.genesis.test_build import SETTINGS

MIXED = (bytes.fromhex(SPECCHECK[3][1]),)
SECOND_SPELLINGS = tuple(
    (y + P).to_bytes(32, "little")
    for y in range(2, 19)
    if zip215._decode(y.to_bytes(32, "little")) is not None
)
Sign = Callable[[bytes, bytes], bytes]
ODD_KEYS = (*LOW_ORDER, *MIXED, *SECOND_SPELLINGS)
BODY = transfer.FAMILY.body(transfer.Transfer(BOB.id, Amount(5)))


def test_there_are_keys_of_each_kind() -> None:
    assert len(LOW_ORDER) == 14
    assert len(MIXED) == 1
    assert len(SECOND_SPELLINGS) > 5


@pytest.mark.parametrize("key", ODD_KEYS, ids=bytes.hex)
def test_a_chain_does_not_begin_with_such_a_validator(key: bytes) -> None:
    request = init_request()
    request.validators.add(pub_key=keys_pb2.PublicKey(ed25519=key), power=1)

    with pytest.raises(BadGenesis, match="strong"):
        Node(CURRENCY, Storage.over(MemoryStore({}))).init_chain(request)


@pytest.mark.parametrize("key", ODD_KEYS, ids=bytes.hex)
def test_a_genesis_file_with_such_a_validator_is_refused(key: bytes) -> None:
    written = json.loads(build.build(SETTINGS)["chat"].content)
    written["validators"][0]["pub_key"]["value"] = base64.b64encode(key).decode()

    with pytest.raises(GenesisRefused, match="not a safe Ed25519 key"):
        check(json.dumps(written).encode())


@pytest.mark.parametrize("key", ODD_KEYS, ids=bytes.hex)
def test_no_genesis_is_built_with_such_a_validator(key: bytes) -> None:
    odd = replace(SETTINGS.validators[0], chat_key=key)

    with pytest.raises(settings.BadGenesisSettings, match="safe Ed25519 key"):
        build.build(replace(SETTINGS, validators=(odd, *SETTINGS.validators[1:])))


@pytest.mark.parametrize("key", ODD_KEYS, ids=bytes.hex)
def test_no_account_is_opened_with_such_a_key(key: bytes) -> None:
    sender = accounts.account_id(key)
    raw = tx.build(replace(envelope(ALICE, BODY), sender=sender, public_key=key), ALICE.seed)

    assert judged(CURRENCY, raw) == (WeakKey.code, WeakKey.code)


@pytest.mark.parametrize("key", ODD_KEYS, ids=bytes.hex)
def test_no_inbox_is_opened_with_such_a_key(key: bytes) -> None:
    home = ("/ip4/127.0.0.1/tcp/7070/p2p/" + "Q" * 46,)
    body = identity.REGISTER.body(identity.RegisterIdentity("", b"", key, home, bytes(32)))
    raw = tx.build(envelope(ALICE, body), ALICE.seed)

    code = identity.WeakInboxKey.code
    assert judged(CHAT, raw) == (code, code)


def malleated(seed: bytes, message: bytes) -> bytes:
    """The usual signature with the group's order added to its scalar."""
    usual = signing.sign(seed, b"", message)
    scalar = int.from_bytes(usual[32:], "little") + odd_signatures.ORDER
    return usual[:32] + scalar.to_bytes(32, "little")


@pytest.mark.parametrize(
    "sign",
    [odd_signatures.with_torsion, odd_signatures.with_second_spelling, malleated],
    ids=["R of small order in part", "R spelled twice", "S beyond the order"],
)
def test_no_transaction_has_a_second_signature(sign: Sign) -> None:
    usual = tx.build(envelope(ALICE, BODY), ALICE.seed)
    message = tx.DOMAIN + tx.decode(usual).digest

    odd = usual[:-64] + sign(ALICE.seed, message)

    assert judged(CURRENCY, usual) == (0, 0)
    assert judged(CURRENCY, odd) == (BadSignature.code, BadSignature.code)


@pytest.mark.parametrize("sign", [odd_signatures.with_torsion, odd_signatures.with_second_spelling])
def test_a_vote_may_have_one(sign: Sign) -> None:
    made = sign(ALICE.seed, b"vote")

    assert zip215.verify_vote(ALICE.public_key, b"vote", made)


def judged(rules: Machine, raw: bytes) -> tuple[int, int]:
    """The codes of CheckTx and of a block."""
    state = opened(rules, alice=10**6)
    admitted = Pool(rules).check(state, raw, at_height()).code
    return admitted, run(rules, state, raw).outcomes[0].code
