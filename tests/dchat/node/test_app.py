from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from dchat.kernel import accounts, params
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.family import Event
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.machine import BlockContext, Outcome
from dchat.kernel.proposal import size_in_block
from dchat.kernel.refusals import REFUSALS
from dchat.kernel.store import Draft
from dchat.node.app import APP_VERSION, BadGenesis, Node, explain, unwrap
from dchat.node.frames import MAX_FRAME_BYTES
from dchat.node.proto import abci_pb2 as pb
from dchat.node.proto import keys_pb2
from dchat.node.storage import Storage
from tests.fakes.consensus import Consensus, cheap_blocks, init_request, wrapped
from tests.fakes.memory import ALICE, BOB, CHAIN, FUNDS, Person, signed


def pay(to: Person, amount: int, nonce: int = 0, who: Person = ALICE) -> bytes:
    return signed(who, transfer.FAMILY.body(transfer.Transfer(to.id, Amount(amount))), nonce)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with closing(Storage.open(tmp_path / "state")) as opened:
        yield opened


@pytest.fixture
def chain(storage: Storage) -> Consensus:
    """A chain at height 1."""
    consensus = Consensus(Node(MACHINE, storage))
    consensus.init()
    consensus.block()
    return consensus


def balance(storage: Storage, who: Person) -> int:
    return accounts.load(storage.latest(), who.id).balance


def test_a_new_node_reports_no_block(storage: Storage) -> None:
    info = Node(MACHINE, storage).info(pb.RequestInfo())

    assert (info.last_block_height, info.last_block_app_hash) == (0, b"")
    assert (info.data, info.app_version) == ("currency", APP_VERSION)


def test_info_names_the_last_committed_block(chain: Consensus, storage: Storage) -> None:
    staged = chain.finalize(pay(BOB, 5))
    before = chain.app.info(pb.RequestInfo())
    chain.commit()
    after = chain.app.info(pb.RequestInfo())

    assert (before.last_block_height, after.last_block_height) == (1, 2)
    assert before.last_block_app_hash != staged.app_hash == after.last_block_app_hash


def test_init_chain_answers_with_the_genesis_hash_and_block_bounds(storage: Storage) -> None:
    consensus = Consensus(Node(MACHINE, storage))
    answer = consensus.init(cheap_blocks(777))
    first = consensus.block()

    assert answer.app_hash == first.app_hash
    assert answer.consensus_params.block.max_gas == 777
    assert answer.consensus_params.block.max_bytes == 10 * 1024 * 1024


def test_genesis_reaches_the_disk_with_the_first_commit_only(storage: Storage) -> None:
    consensus = Consensus(Node(MACHINE, storage))
    consensus.init()
    before = balance(storage, ALICE)
    consensus.block()

    assert (before, balance(storage, ALICE)) == (0, FUNDS)


def test_init_chain_again_after_a_crash_before_the_first_commit_gives_the_same(
    storage: Storage,
) -> None:
    crashed = Consensus(Node(MACHINE, storage))
    first = crashed.init()
    crashed.finalize(pay(BOB, 5))
    restarted = Consensus(Node(MACHINE, storage))

    assert restarted.init() == first


def test_transactions_are_checked_and_executed_before_the_first_commit(storage: Storage) -> None:
    consensus = Consensus(Node(MACHINE, storage))
    consensus.init()
    raw = pay(BOB, 5)

    assert consensus.check(raw).code == 0
    assert consensus.prepare(raw) == [raw]
    assert consensus.block(raw).tx_results[0].code == 0
    assert balance(storage, BOB) == FUNDS + 5


def test_init_chain_on_an_existing_state_stops_the_node(chain: Consensus) -> None:
    with pytest.raises(InvariantBroken, match="height 1"):
        chain.init()


BAD_GENESIS = {
    "no-json": (init_request(b"{"), "not JSON"),
    "binary": (init_request(b"\xff\xfe"), "not JSON"),
    "no-string": (init_request(b"{}"), "not one JSON string"),
    "no-base64": (init_request(b'"%%%"'), "not base64"),
    "non-ascii": (init_request(json.dumps("é").encode()), "not base64"),
    "no-codec": (init_request(wrapped(b"\xc1")), "app_state"),
    "trailing": (init_request(wrapped(b"\x90\x90")), "app_state"),
}


@pytest.mark.parametrize(("request_", "reason"), BAD_GENESIS.values(), ids=BAD_GENESIS)
def test_an_unreadable_genesis_is_refused(
    storage: Storage, request_: pb.RequestInitChain, reason: str
) -> None:
    with pytest.raises(BadGenesis, match=reason):
        Node(MACHINE, storage).init_chain(request_)


def test_a_genesis_without_validators_is_refused(storage: Storage) -> None:
    request = init_request()
    request.ClearField("validators")

    with pytest.raises(BadGenesis, match="no validators"):
        Node(MACHINE, storage).init_chain(request)


def test_a_genesis_without_chain_id_is_refused(storage: Storage) -> None:
    request = init_request()
    request.chain_id = ""

    with pytest.raises(BadGenesis, match="chain_id"):
        Node(MACHINE, storage).init_chain(request)


def test_a_genesis_that_starts_later_than_at_1_is_refused(storage: Storage) -> None:
    request = init_request()
    request.initial_height = 5

    with pytest.raises(BadGenesis, match="initial_height is 5"):
        Node(MACHINE, storage).init_chain(request)


@pytest.mark.parametrize("key", [b"", bytes(32), b"\x01" + bytes(31), b"\xff" * 32])
def test_a_validator_key_that_anybody_could_sign_for_is_refused(
    storage: Storage, key: bytes
) -> None:
    request = init_request()
    request.validators.add(pub_key=keys_pb2.PublicKey(ed25519=key), power=1)

    with pytest.raises(BadGenesis, match="strong"):
        Node(MACHINE, storage).init_chain(request)


def test_block_bounds_beyond_what_cometbft_can_hold_are_refused(storage: Storage) -> None:
    with pytest.raises(BadGenesis, match="2\\^63"):
        Consensus(Node(MACHINE, storage)).init(cheap_blocks(2**63))


@pytest.mark.parametrize("size", [0, params.MAX_BLOCK_BYTES + 1])
def test_blocks_of_a_size_that_would_stop_every_node_are_refused(
    storage: Storage, size: int
) -> None:
    with pytest.raises(BadGenesis, match=f"a block of {size} bytes"):
        Consensus(Node(MACHINE, storage)).init(replace(params.DEFAULT, max_block_bytes=size))


def test_the_largest_block_fits_into_a_frame_with_its_votes() -> None:
    assert 2 * params.MAX_BLOCK_BYTES <= MAX_FRAME_BYTES


def test_check_tx_declares_the_cost_limit_as_gas(chain: Consensus) -> None:
    assert chain.check(pay(BOB, 5)) == pb.ResponseCheckTx(gas_wanted=2000)


def test_a_refused_check_has_code_codespace_numbers_and_hint(chain: Consensus) -> None:
    answer = chain.check(pay(BOB, 5, nonce=7))

    assert (answer.code, answer.codespace) == (9, "dchat")
    assert answer.log == "NonceMismatch: nonce 7, the account's next is 0; " + REFUSALS[9].hint


def test_checks_see_what_waits_before_them(chain: Consensus) -> None:
    codes = [chain.check(pay(BOB, 1, nonce)).code for nonce in (0, 1, 2, 4)]

    assert codes == [0, 0, 0, 9]


def test_what_waits_survives_a_commit_by_recheck(chain: Consensus) -> None:
    first, second, third = (pay(BOB, 1, nonce) for nonce in range(3))
    [chain.check(raw) for raw in (first, second)]
    chain.block(first)

    assert chain.recheck(second).code == 0
    assert chain.check(third).code == 0


def test_a_recheck_refuses_what_a_block_has_carried(chain: Consensus) -> None:
    raw = pay(BOB, 1)
    chain.check(raw)
    chain.block(raw)

    assert chain.recheck(raw).code == 9


def test_a_mempool_that_restarts_may_be_given_another_transaction(chain: Consensus) -> None:
    """CometBFT's mempool is in memory only, and an idle chain has no commit to wait for."""
    lost, another = pay(BOB, 5), pay(BOB, 6)
    chain.check(lost)
    before = chain.check(another).code

    chain.app.mempool_gone()

    assert (before != 0, chain.check(another).code) == (True, 0)


def test_a_check_judges_by_the_height_of_the_next_block(chain: Consensus) -> None:
    body = transfer.FAMILY.body(transfer.Transfer(BOB.id, Amount(1)))
    over, last = (signed(ALICE, body, valid_until_height=Height(at)) for at in (1, 2))

    assert (chain.check(over).code, chain.check(last).code) == (12, 0)


def test_a_check_changes_no_state(chain: Consensus) -> None:
    raw = pay(BOB, 5)
    expected = chain.finalize(raw).app_hash
    chain.check(raw)

    assert chain.finalize(raw).app_hash == expected


def test_a_proposal_respects_the_byte_bound_with_its_protobuf_overhead(chain: Consensus) -> None:
    txs = [pay(BOB, 1, nonce) for nonce in range(3)]
    room = size_in_block(txs[0]) + size_in_block(txs[1])

    assert chain.prepare(*txs, max_tx_bytes=room) == txs[:2]
    assert chain.prepare(*txs, max_tx_bytes=room - 1) == txs[:1]


def test_a_proposal_respects_the_cost_bound(storage: Storage) -> None:
    consensus = Consensus(Node(MACHINE, storage))
    consensus.init(cheap_blocks(4000))
    txs = [pay(BOB, 1, nonce) for nonce in range(3)]

    assert consensus.prepare(*txs) == txs[:2]
    assert (consensus.accepts(*txs[:2]), consensus.accepts(*txs)) == (True, False)


def test_a_proposal_leaves_malformed_transactions_out(chain: Consensus) -> None:
    raw = pay(BOB, 1)

    assert chain.prepare(b"junk", raw, b"") == [raw]


def test_a_block_with_a_malformed_transaction_is_rejected(chain: Consensus) -> None:
    assert not chain.accepts(pay(BOB, 1), b"junk")


def test_an_empty_block_is_accepted(chain: Consensus) -> None:
    assert chain.accepts()


txs_of_all_sorts = st.lists(
    st.one_of(st.binary(max_size=80), st.builds(pay, st.just(BOB), st.integers(0, 9))), max_size=6
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(txs=txs_of_all_sorts, room=st.integers(0, 2000))
def test_own_proposals_are_always_accepted(chain: Consensus, txs: list[bytes], room: int) -> None:
    chosen = chain.prepare(*txs, max_tx_bytes=room)

    assert sum(map(size_in_block, chosen)) <= room
    assert chain.accepts(*chosen)


def test_a_verdict_on_a_proposal_does_not_depend_on_what_the_mempool_has_seen(
    chain: Consensus,
) -> None:
    known, unknown = pay(BOB, 1), pay(BOB, 2)
    chain.check(known)

    assert (chain.accepts(known), chain.accepts(unknown)) == (True, True)


def test_proposals_leave_the_state_alone(chain: Consensus) -> None:
    raw = pay(BOB, 5)
    untouched = chain.finalize(raw).app_hash
    chain.prepare(raw)
    chain.accepts(raw)

    assert chain.finalize(raw).app_hash == untouched


def test_a_block_reports_code_and_gas_of_each_transaction(chain: Consensus) -> None:
    results = chain.block(pay(BOB, 5), pay(BOB, 5), b"junk").tx_results

    assert [(result.code, result.gas_wanted > 0) for result in results] == [
        (0, True),
        (9, False),
        (1, False),
    ]
    assert [result.codespace for result in results] == ["", "dchat", "dchat"]


def test_a_transfer_is_told_as_an_event(chain: Consensus) -> None:
    (event,) = chain.block(pay(BOB, 5)).tx_results[0].events

    assert event.type == "Transferred"
    assert [(each.key, each.value) for each in event.attributes] == [
        ("sender", ALICE.id.hex()),
        ("to", BOB.id.hex()),
        ("amount", "5"),
    ]


def test_transfers_are_found_by_account_and_not_by_amount(chain: Consensus) -> None:
    (event,) = chain.block(pay(BOB, 5)).tx_results[0].events

    assert [each.key for each in event.attributes if each.index] == ["sender", "to"]


def test_the_machine_is_told_height_time_proposer_and_chain_of_a_block(storage: Storage) -> None:
    told: list[BlockContext] = []

    def listen(_: Draft, context: BlockContext) -> tuple[Event, ...]:
        told.append(context)
        return ()

    attentive = replace(MACHINE, end_block=(listen,))
    consensus = Consensus(Node(attentive, storage))
    consensus.init()
    consensus.block()

    assert told == [BlockContext(CHAIN, Height(1), EpochMs(1_700_000_001_005), b"\x09" * 20)]


@pytest.mark.parametrize("seconds", [-1, 253_402_300_800])
def test_a_block_of_a_time_that_is_none_stops_the_node(chain: Consensus, seconds: int) -> None:
    with pytest.raises(InvariantBroken, match="from 1970"):
        chain.app.finalize_block(pb.RequestFinalizeBlock(height=2, time=Timestamp(seconds=seconds)))


def test_evidence_of_an_unknown_kind_stops_the_node(chain: Consensus) -> None:
    evidence = pb.Misbehavior(type=pb.UNKNOWN)

    with pytest.raises(InvariantBroken, match="evidence of a kind"):
        chain.app.finalize_block(pb.RequestFinalizeBlock(height=2, misbehavior=[evidence]))


def test_a_block_before_genesis_stops_the_node(storage: Storage) -> None:
    with pytest.raises(InvariantBroken, match="InitChain"):
        Consensus(Node(MACHINE, storage)).finalize()


def test_an_empty_block_leaves_the_app_hash_as_it_is(chain: Consensus) -> None:
    assert chain.block().app_hash == chain.block().app_hash


def test_the_same_height_finalized_twice_gives_the_same_answer(chain: Consensus) -> None:
    assert chain.finalize(pay(BOB, 5)) == chain.finalize(pay(BOB, 5))


def test_the_last_finalized_block_of_a_height_is_the_one_committed(
    chain: Consensus, storage: Storage
) -> None:
    chain.finalize(pay(BOB, 5))
    chain.finalize(pay(BOB, 7))
    chain.commit()

    assert balance(storage, BOB) == FUNDS + 7


def test_a_crash_between_finalize_and_commit_replays_to_the_same_hash(
    chain: Consensus, storage: Storage
) -> None:
    lost = chain.finalize(pay(BOB, 5))
    restarted = Consensus(Node(MACHINE, storage))

    assert restarted.height == 1
    assert restarted.block(pay(BOB, 5)) == lost


def test_a_restart_after_commit_goes_on_at_the_next_height(tmp_path: Path) -> None:
    with closing(Storage.open(tmp_path / "state")) as before:
        first = Consensus(Node(MACHINE, before))
        first.init()
        committed = first.block(pay(BOB, 5))
    with closing(Storage.open(tmp_path / "state")) as after:
        second = Consensus(Node(MACHINE, after))
        info = second.app.info(pb.RequestInfo())

        assert (info.last_block_height, info.last_block_app_hash) == (1, committed.app_hash)
        assert second.check(pay(BOB, 5, nonce=1)).code == 0
        assert second.block(pay(BOB, 5, nonce=1)).tx_results[0].code == 0


@pytest.mark.parametrize("height", [0, 1, 3, -1])
def test_a_block_of_any_other_height_than_the_next_stops_the_node(
    chain: Consensus, height: int
) -> None:
    with pytest.raises(InvariantBroken, match="on a state of height 1"):
        chain.finalize(height=height)


def test_a_commit_without_a_block_stops_the_node(chain: Consensus) -> None:
    with pytest.raises(InvariantBroken, match="without a FinalizeBlock"):
        chain.commit()


def test_a_commit_keeps_all_of_cometbfts_blocks(chain: Consensus) -> None:
    chain.finalize()

    assert chain.commit().retain_height == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=300))
def test_arbitrary_transactions_get_a_known_code_at_every_door(
    chain: Consensus, raw: bytes
) -> None:
    assert chain.check(raw).code in REFUSALS
    assert chain.finalize(raw).tx_results[0].code in REFUSALS
    assert not chain.accepts(raw)


def test_vote_extensions_are_empty_and_only_the_empty_one_is_accepted(chain: Consensus) -> None:
    own = chain.app.extend_vote(pb.RequestExtendVote()).vote_extension
    verdicts = [
        chain.app.verify_vote_extension(pb.RequestVerifyVoteExtension(vote_extension=each)).status
        for each in (own, b"x")
    ]

    assert verdicts == [
        pb.ResponseVerifyVoteExtension.ACCEPT,
        pb.ResponseVerifyVoteExtension.REJECT,
    ]


def test_there_are_no_snapshots_and_none_are_taken(chain: Consensus) -> None:
    app = chain.app

    assert not app.list_snapshots(pb.RequestListSnapshots()).snapshots
    assert app.load_snapshot_chunk(pb.RequestLoadSnapshotChunk(height=1)).chunk == b""
    offered = app.offer_snapshot(pb.RequestOfferSnapshot(snapshot=pb.Snapshot(height=1)))
    assert offered.result == pb.ResponseOfferSnapshot.ABORT
    applied = app.apply_snapshot_chunk(pb.RequestApplySnapshotChunk(chunk=b"x"))
    assert applied.result == pb.ResponseApplySnapshotChunk.ABORT


def test_the_application_is_no_mempool(chain: Consensus) -> None:
    assert chain.app.insert_tx(pb.RequestInsertTx(tx=pay(BOB, 1))).code == 904
    assert not chain.app.reap_txs(pb.RequestReapTxs()).txs


def test_app_state_unwraps_to_the_bytes_that_were_wrapped() -> None:
    assert unwrap(json.dumps(base64.b64encode(b"\x00\xff").decode()).encode()) == b"\x00\xff"


def test_a_refusal_without_an_entry_in_the_table_is_still_explained() -> None:
    assert explain(Outcome(999, "Strange")) == "Strange"
