"""What a chain opened for a user signs, pays and tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from abci_currency.txs import multi_transfer, transfer
from dchat.kernel import accounts, params, signing, tx
from dchat.kernel.ids import Amount, Height, Nonce, TxHash
from dchat.kernel.machine import cost_of
from dchat.kernel.refusals import REFUSALS
from dchat.kernel.store import Draft
from dchat.kernel.wire import NS_PER_SECOND
from dchat.node.chain import VALID_BLOCKS, OpenChain, Order, Refused, open_chain, order_of
from dchat.node.clock import SystemClock
from dchat.node.follow import Trust
from dchat.node.identity import Identity
from dchat.node.network import ChainEntry
from dchat.node.reader import ChainReader, MemoryTrustStore, NodeMisled
from dchat.node.rpc import Included, NodeUnreachable, Queried, Question, Submitted
from tests.fakes.memory import ALICE, BOB, MemoryState
from tests.fakes.node import FakeNode, HandClock

PERIOD_S = 1000
ORDER = Order(
    transfer.FAMILY.body(transfer.Transfer(BOB.id, Amount(5))), transfer.FAMILY.cost, ALICE.seed
)


def state_of(rules: params.Params, nonce: int = 7) -> dict[bytes, bytes]:
    draft = Draft(MemoryState())
    params.save(draft, rules)
    accounts.save(
        draft, ALICE.id, accounts.Account(ALICE.public_key, 0, Nonce(nonce), Amount(10**9))
    )
    return {key: value for key, value in draft.writes().items() if value is not None}


def make_node(rules: params.Params = params.DEFAULT) -> FakeNode:
    return FakeNode(dict.fromkeys(range(1, 100), state_of(rules)), 50)


def entry_of(node: FakeNode, urls: tuple[str, ...] = ()) -> ChainEntry:
    return ChainEntry(Path("genesis.json"), bytes(32), urls, (), node.root, PERIOD_S)


def opened(node: FakeNode) -> OpenChain:
    clock = HandClock(node.chain.time_ns(node.height) + NS_PER_SECOND)
    reader = ChainReader(node, Trust(node.root, PERIOD_S), clock, MemoryTrustStore())
    return OpenChain(entry_of(node), node, reader)


def sign(node: FakeNode) -> tx.SignedTx:
    return tx.decode(trio.run(opened(node).sign, ORDER))


def test_transaction_is_signed_for_this_chain_by_the_orders_key() -> None:
    signed = sign(make_node())

    tx.verify(signed)
    envelope = signed.envelope
    assert (envelope.chain_id, envelope.sender, envelope.nonce) == ("fake-chain", ALICE.id, 7)
    assert envelope.body == ORDER.body


FRESH = b"n" * 32
ROTATED = Identity("user", signing.public_key(FRESH), ALICE.seed, 1, FRESH)


def test_a_rotated_identity_signs_for_its_old_account_with_its_new_key() -> None:
    body = transfer.Transfer(BOB.id, Amount(5))

    signed = tx.decode(trio.run(opened(make_node()).sign, order_of(ROTATED, transfer.FAMILY, body)))

    tx.verify(signed)
    assert signed.envelope.sender == ROTATED.account_id
    assert signed.envelope.public_key == ROTATED.public_key
    assert accounts.account_id(ROTATED.public_key) != ROTATED.account_id


def test_an_order_is_priced_by_the_entries_of_its_body() -> None:
    outputs = tuple(multi_transfer.Output(BOB.id, Amount(1)) for _ in range(9))
    body = multi_transfer.MultiTransfer(outputs)

    order = order_of(ROTATED, multi_transfer.FAMILY, body)

    family = multi_transfer.FAMILY
    assert order.cost == family.cost + 9 * family.cost_per_entry


def test_declared_cost_covers_the_work_and_the_fee_is_the_least() -> None:
    signed = sign(make_node())

    needed = cost_of(signed.size, ORDER.cost)
    envelope = signed.envelope
    assert needed <= envelope.cost_limit <= needed + 1
    assert envelope.fee == params.least_fee(params.DEFAULT, envelope.cost_limit)


def test_price_in_force_on_the_chain_is_paid() -> None:
    dear = replace(params.DEFAULT, fee_per_1000_cost=Amount(50_000))

    envelope = sign(make_node(dear)).envelope

    assert envelope.fee == params.least_fee(dear, envelope.cost_limit)


def test_node_cannot_raise_the_price() -> None:
    dear = replace(params.DEFAULT, fee_per_1000_cost=Amount(50_000))

    class Greedy(FakeNode):
        async def abci_query(self, question: Question) -> Queried:
            said = await super().abci_query(question)
            return replace(said, value=params.SHAPE.encode(dear)) if question.prove else said

    node = make_node()
    greedy = Greedy(node.states, 50)

    with pytest.raises(NodeMisled, match="the leaf is not that of the key"):
        trio.run(opened(greedy).sign, ORDER)


def test_transaction_is_valid_for_a_bounded_time() -> None:
    assert sign(make_node()).envelope.valid_until_height == 50 + VALID_BLOCKS


def test_short_validity_of_a_chain_is_kept() -> None:
    short = replace(params.DEFAULT, max_validity_blocks=Height(10))

    assert sign(make_node(short)).envelope.valid_until_height == 59


def test_given_nonce_is_used_without_asking() -> None:
    node = make_node()

    raw = trio.run(opened(node).sign, ORDER, Nonce(12))

    assert tx.decode(raw).envelope.nonce == 12
    assert node.asked.count("query 49") == 1


def test_a_node_cannot_choose_the_nonce() -> None:
    """Or it has one payment signed under several nonces, and carries out each of them."""

    class Ahead(FakeNode):
        async def abci_query(self, question: Question) -> Queried:
            said = await super().abci_query(question)
            false = state_of(params.DEFAULT, nonce=8)[question.key]
            return said if question.prove else replace(said, value=false)

    assert sign(Ahead(make_node().states, 50)).envelope.nonce == 7


def test_a_nonce_that_the_last_header_cannot_prove_yet_is_waited_for() -> None:
    class Growing(FakeNode):
        async def abci_query(self, question: Question) -> Queried:
            if question.prove:
                return await super().abci_query(question)
            self.height = 51
            return await super().abci_query(replace(question, height=Height(50)))

    states = {**make_node().states, 50: state_of(params.DEFAULT, nonce=8)}

    assert sign(Growing(states, 50)).envelope.nonce == 8


def test_account_never_seen_begins_at_nonce_zero() -> None:
    assert trio.run(opened(make_node()).next_nonce, BOB.id) == 0


def test_executed_order_is_told_with_its_height() -> None:
    node = make_node()

    included = trio.run(opened(node).execute, ORDER)

    assert (included.height, node.asked[-1]) == (50, "broadcast")


def test_refusal_at_the_door_is_told_with_name_numbers_and_hint() -> None:
    class Refusing(FakeNode):
        async def broadcast_sync(self, raw: bytes) -> Submitted:
            submitted = await super().broadcast_sync(raw)
            return replace(submitted, code=9, log="NonceMismatch: nonce 7, the account's next is 8")

    with pytest.raises(Refused) as caught:
        trio.run(opened(Refusing(make_node().states, 50)).execute, ORDER)

    assert str(caught.value) == "refused, NonceMismatch (9): nonce 7, the account's next is 8"
    assert (caught.value.code, caught.value.hint) == (9, REFUSALS[9].hint)


def test_refusal_in_the_block_is_told_alike() -> None:
    class Failing(FakeNode):
        async def wait_for(self, tx_hash: TxHash, timeout_s: float) -> Included:
            found = await super().wait_for(tx_hash, timeout_s)
            return replace(found, code=21, log="InsufficientFunds: holds 3 base units, needs 5")

    with pytest.raises(Refused, match=r"InsufficientFunds \(21\): holds 3 base units, needs 5"):
        trio.run(opened(Failing(make_node().states, 50)).execute, ORDER)


@pytest.mark.parametrize(
    ("log", "told"),
    [("", "refused, unknown refusal (77)"), ("x", "refused, unknown refusal (77): x")],
)
def test_unknown_refusal_keeps_its_number(log: str, told: str) -> None:
    refused = Refused(77, log)

    assert (str(refused), refused.hint) == (told, "upgrade dchat")


def test_a_hint_that_the_node_repeats_is_told_once() -> None:
    refused = Refused(22, f"AmountTooLarge: 5 exceeds 3; {REFUSALS[22].hint}")

    assert (str(refused), refused.hint) == (
        "refused, AmountTooLarge (22): 5 exceeds 3",
        REFUSALS[22].hint,
    )


def test_order_does_not_show_its_key() -> None:
    assert ALICE.seed.hex() not in repr(ORDER)
    assert repr(ALICE.seed) not in repr(ORDER)


def test_chain_without_a_node_is_told() -> None:
    async def main() -> None:
        entry = entry_of(make_node(), ("http://127.0.0.1:9",))
        async with open_chain(entry, MemoryTrustStore(), SystemClock()) as chain:
            await chain.sign(ORDER)

    with pytest.raises(NodeUnreachable):
        trio.run(main)
