"""The chat chain's port: every family's malformed bodies, and contributions from outside.

Nothing of it gets into a block or changes an account; what is well formed, but not for a stranger,
is refused in a block by its own code, and the chain goes on.
"""

from __future__ import annotations

import base64
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from abci_chat.machine import FAMILIES
from abci_chat.txs import anchor
from abci_chat.txs.handle import COMMIT, CommitHandle
from dchat.kernel import bundle, codec, contribution, tx
from dchat.kernel.codec import Raw
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Family
from dchat.kernel.ids import Amount, ChainId, Cost, Height
from tests.e2e.bad_requests import funded_genesis
from tests.e2e.solo import PATIENCE_S, Json, Solo
from tests.fakes.memory import ALICE, BOB, envelope
from tests.fuzz.targets.codec import sample

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

Body = tuple[Raw, ...]
MALFORMED, TOO_CHEAP = 17, 10
LIMIT = Cost(100_000)
ALL = tuple([cast("Family[Any]", family) for family in FAMILIES.values()])


CLIENT = httpx.Client(timeout=PATIENCE_S, trust_env=False)
"""One connection for all that is sent."""


def check_tx(chain: Solo, raw: bytes) -> Json:
    """What CheckTx says of a transaction that no address is long enough for."""
    params = {"tx": base64.b64encode(raw).decode()}
    body = {"jsonrpc": "2.0", "id": 1, "method": "broadcast_tx_sync", "params": params}
    answer: Json = CLIENT.post(f"http://127.0.0.1:{chain.rpc_port}", json=body).json()
    return answer["result"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Solo]:
    solo = Solo(tmp_path_factory.mktemp("n"), "abci_chat", funded_genesis())
    solo.start()
    solo.wait_for_height(2)
    yield solo
    CLIENT.close()
    solo.stop(signal.SIGKILL)


def body_of(family: Family[Any]) -> Body:
    """Well formed, if about nothing that there is."""
    return family.body(sample(family.shape))


def signed(body: Body, nonce: int = 0, **changes: Any) -> bytes:
    plain = envelope(ALICE, body, nonce)
    meant = {"chain_id": ChainId("solo-1"), "valid_until_height": Height(900)}
    paid = {"fee": Amount(LIMIT), "cost_limit": LIMIT}
    return tx.build(replace(plain, **{**meant, **paid, **changes}), ALICE.seed)


def wrong(body: Body) -> Iterator[Body]:
    """The body in every way that is none of its family's."""
    yield (*body, 7)
    for at in range(1, len(body)):
        yield body[:at]
        yield (*body[:at], [[[]]], *body[at + 1 :])
        yield (*body[:at], bytes(5000), *body[at + 1 :])
        yield (*body[:at], "\u202e" * 3000, *body[at + 1 :])
        yield (*body[:at], *body[at + 1 :], body[at])[: len(body) - 1]


def codes(chain: Solo, bodies: Sequence[Body], nonce: int) -> set[int]:
    return {check_tx(chain, signed(body, nonce))["code"] for body in bodies}


@pytest.mark.parametrize("family", ALL, ids=[each.name for each in ALL])
def test_no_other_form_of_an_order_is_taken(chain: Solo, family: Family[Any]) -> None:
    before = chain.account(ALICE)

    said = codes(chain, list(wrong(body_of(family))), before.nonce)

    assert said <= {MALFORMED, TOO_CHEAP}
    assert MALFORMED in said
    assert chain.account(ALICE) == before


def test_other_forms_are_not_taken_in_a_bundle_either(chain: Solo) -> None:
    before = chain.account(ALICE)
    bodies = [(*body_of(family), 7) for family in ALL]

    carried = [signed(body, before.nonce + at) for at, body in enumerate(bodies)]
    answers = [check_tx(chain, bundle.build(carried)), check_tx(chain, bundle.build(carried[:1]))]

    assert [each["code"] for each in answers] == [MALFORMED, MALFORMED]
    assert chain.account(ALICE) == before


CONTRIBUTIONS = {
    "a preimage": contribution.build(bytes(32)),
    "the longest": contribution.build(bytes(contribution.MAX_DATA_BYTES)),
    "of another version": codec.pack([contribution.KIND, 2, bytes(32)]),
    "empty": codec.pack([contribution.KIND, 1, b""]),
    "over the bound": codec.pack([contribution.KIND, 1, bytes(257)]),
    "of no bytes": codec.pack([contribution.KIND, 1, [1]]),
    "with a signature": contribution.build(bytes(32)) + bytes(64),
    "in a bundle": codec.pack([bundle.KIND, 1, [contribution.build(bytes(32))]]),
    "in a bundle with an order": codec.pack(
        [bundle.KIND, 1, [signed(body_of(anchor.FAMILY)), contribution.build(bytes(32))]]
    ),
    "first in a bundle": codec.pack(
        [bundle.KIND, 1, [contribution.build(bytes(32)), signed(body_of(anchor.FAMILY))]]
    ),
    "as a bundle's kind": codec.pack([contribution.KIND, 1, [signed(body_of(anchor.FAMILY))]]),
}


@pytest.mark.parametrize("raw", CONTRIBUTIONS.values(), ids=CONTRIBUTIONS)
def test_nobody_contributes_from_outside(chain: Solo, raw: bytes) -> None:
    before = chain.account(ALICE)

    answer = check_tx(chain, raw)

    assert (answer["code"], answer["codespace"]) in {(1, "dchat"), (3, "dchat")}
    assert answer["log"]
    assert chain.account(ALICE) == before


def is_sound(family: Family[Any]) -> bool:
    """Whether the body has nothing wrong that shows without the state."""
    try:
        return not family.prepare(body_of(family)[1:]).rekeys
    except TxRejected:
        return False


def test_what_is_well_formed_is_paid_for_and_stops_nothing(chain: Solo) -> None:
    first = chain.account(ALICE).nonce
    bodies = [body_of(family) for family in ALL if is_sound(family)]

    sent = [check_tx(chain, signed(body, first + at)) for at, body in enumerate(bodies[:-1])]
    last = chain.commit(signed(bodies[-1], first + len(bodies) - 1))

    assert {each["code"] for each in sent} == {0}
    assert (last["check_tx"]["code"], last["tx_result"]["codespace"]) == (0, "dchat")
    assert chain.account(ALICE).nonce == first + len(bodies)


def test_the_door_still_stands(chain: Solo) -> None:
    before = chain.account(BOB)
    plain = envelope(BOB, COMMIT.body(CommitHandle(bytes(32))), before.nonce)
    raw = tx.build(
        replace(plain, chain_id=ChainId("solo-1"), valid_until_height=Height(900)), BOB.seed
    )

    result = chain.commit(raw)

    assert (result["check_tx"]["code"], result["tx_result"]["code"]) == (0, 0)
    assert chain.account(BOB).nonce == before.nonce + 1
