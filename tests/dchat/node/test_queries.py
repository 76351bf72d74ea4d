from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from dchat.kernel import accounts, params
from dchat.kernel.ids import Amount
from dchat.kernel.merkle.proof import PROOF_TYPE, Proof, verify
from dchat.kernel.queries import LISTING, MAX_KEY_BYTES, PAGE, Listing, QueryCode
from dchat.node.app import Node
from dchat.node.proto import abci_pb2 as pb
from dchat.node.queries import MAX_DATA_BYTES, MAX_PROVED_ENTRIES
from dchat.node.storage import BACKENDS, Storage
from dchat.node.stores.roots import ROOTS
from tests.fakes.consensus import Consensus
from tests.fakes.memory import ALICE, BOB, CAROL, FUNDS, signed
from tests.fakes.memory_store import MemoryStore

BOBS_KEY = accounts.key(BOB.id)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Consensus]:
    """Height 2; bob got 5 in block 2."""
    with closing(Storage.open(tmp_path / "state")) as storage:
        consensus = Consensus(Node(MACHINE, storage))
        consensus.init()
        consensus.block()
        body = transfer.FAMILY.body(transfer.Transfer(BOB.id, Amount(5)))
        consensus.block(signed(ALICE, body))
        yield consensus


def test_a_stored_value_comes_with_its_key_and_height(chain: Consensus) -> None:
    answer = chain.query("/store", BOBS_KEY)

    assert (answer.code, answer.key, answer.height) == (0, BOBS_KEY, 2)
    assert accounts.decode(answer.value).balance == FUNDS + 5
    assert not answer.proof_ops.ops


def test_a_path_below_store_is_store(chain: Consensus) -> None:
    assert chain.query("/store/any/key", BOBS_KEY) == chain.query("/store", BOBS_KEY)


def test_a_proof_leads_from_the_value_to_the_app_hash(chain: Consensus) -> None:
    app_hash = chain.block().app_hash
    answer = chain.query("/store", BOBS_KEY, prove=True)
    (op,) = answer.proof_ops.ops

    assert (op.type, op.key) == (PROOF_TYPE, BOBS_KEY)
    verify(app_hash, BOBS_KEY, answer.value, Proof.decode(op.data))


def test_absence_is_proved_too(chain: Consensus) -> None:
    key = accounts.key(CAROL.id)
    app_hash = chain.block().app_hash
    answer = chain.query("/store", key, prove=True)

    assert (answer.code, answer.value) == (0, b"")
    verify(app_hash, key, None, Proof.decode(answer.proof_ops.ops[0].data))


def test_an_older_height_answers_with_the_older_value_and_proof(chain: Consensus) -> None:
    older = chain.query("/store", BOBS_KEY, height=1, prove=True)

    assert older.height == 1
    assert accounts.decode(older.value).balance == FUNDS


@pytest.mark.parametrize("height", [3, 10**18, -1])
def test_a_height_that_is_not_kept_has_its_code(chain: Consensus, height: int) -> None:
    answer = chain.query("/store", BOBS_KEY, height=height)

    assert (answer.code, answer.codespace) == (QueryCode.HEIGHT_UNAVAILABLE, "dchat")
    assert "only" in answer.log


def test_before_the_first_block_there_is_no_height_to_ask(tmp_path: Path) -> None:
    with closing(Storage.open(tmp_path / "fresh")) as storage:
        answer = Consensus(Node(MACHINE, storage)).query("/store", BOBS_KEY)

    assert answer.code == QueryCode.HEIGHT_UNAVAILABLE


@pytest.mark.parametrize("key", [b"", bytes(MAX_KEY_BYTES + 1)])
def test_a_key_of_no_possible_length_has_its_code(chain: Consensus, key: bytes) -> None:
    assert chain.query("/store", key).code == QueryCode.BAD_DATA


@pytest.mark.parametrize("path", ["", "/", "/stores", "/nothing", "/p2p/filter/addr/1.2.3.4:5"])
def test_an_unknown_path_has_its_code_and_names_the_known_ones(chain: Consensus, path: str) -> None:
    answer = chain.query(path)

    assert answer.code == QueryCode.UNKNOWN_PATH
    assert "known are /store, /entries, /roots, /params" in answer.log


def test_a_long_path_is_not_repeated_in_full(chain: Consensus) -> None:
    assert len(chain.query("/" + "x" * 100_000).log) < 200


@pytest.mark.parametrize("path", [b"\xff\xfe", b"/store\xff", b"\xed\xa0\x80"])
def test_a_path_that_is_no_text_has_its_code(chain: Consensus, path: bytes) -> None:
    """CometBFT turns `GET /abci_query?path=0xfffe` into such a request."""
    sent = b"\x12" + bytes([len(path)]) + path

    answer = chain.app.query(pb.RequestQuery.FromString(sent))

    assert answer.code == QueryCode.UNKNOWN_PATH
    assert answer.SerializeToString()


def test_a_path_of_the_machine_is_answered(chain: Consensus) -> None:
    answer = chain.query("/params")

    assert (answer.code, answer.height) == (0, 2)
    assert params.SHAPE.decode(answer.value) == params.DEFAULT


def test_data_that_the_path_does_not_take_has_its_code(chain: Consensus) -> None:
    assert chain.query("/params", b"x").code == QueryCode.BAD_DATA


def test_more_data_than_any_path_takes_has_its_code(chain: Consensus) -> None:
    assert chain.query("/params", bytes(MAX_DATA_BYTES + 1)).code == QueryCode.BAD_DATA


def test_only_the_store_proves(chain: Consensus) -> None:
    assert chain.query("/params", prove=True).code == QueryCode.NO_PROOF


def test_a_query_sees_no_block_that_is_not_committed(chain: Consensus) -> None:
    before = chain.query("/store", BOBS_KEY)
    body = transfer.FAMILY.body(transfer.Transfer(BOB.id, Amount(5)))
    chain.finalize(signed(ALICE, body, 1))

    assert chain.query("/store", BOBS_KEY) == before


def test_fingerprints_come_with_the_app_hash_of_the_state_they_are_of(chain: Consensus) -> None:
    app_hash = chain.block().app_hash
    answer = chain.query("/roots")
    found = ROOTS.decode(answer.value)

    assert (answer.code, answer.height, found.app_hash) == (0, 3, app_hash)
    counted = {root.module: root.entries for root in found.modules}
    assert list(counted) == sorted(counted)
    assert (counted["chain"], counted["params"], counted["supply"]) == (1, 5, 1)


def test_fingerprints_of_an_older_height_are_the_older_ones(chain: Consensus) -> None:
    before, after = (ROOTS.decode(chain.query("/roots", height=at).value) for at in (1, 2))

    kept = {each.module for each in before.modules if each in after.modules}
    assert {"chain", "params", "validator"} <= kept
    assert kept.isdisjoint({"account", "supply"})


@pytest.mark.parametrize(
    ("data", "height", "prove", "code"),
    [
        (b"x", 0, False, QueryCode.BAD_DATA),
        (b"", 0, True, QueryCode.NO_PROOF),
        (b"", 3, False, QueryCode.HEIGHT_UNAVAILABLE),
        (b"", -1, False, QueryCode.HEIGHT_UNAVAILABLE),
    ],
)
def test_a_question_for_fingerprints_that_has_no_answer_has_its_code(
    chain: Consensus, data: bytes, height: int, prove: bool, code: QueryCode
) -> None:
    assert chain.query("/roots", data, height, prove=prove).code == code


def test_a_page_holds_the_entries_under_a_prefix_in_order(chain: Consensus) -> None:
    answer = chain.query("/entries", LISTING.encode(Listing(accounts.SPACE)))
    found = PAGE.decode(answer.value)

    assert (answer.code, answer.height, found.next_after) == (0, 2, b"")
    keys = [entry.key for entry in found.entries]
    assert keys == sorted(keys)
    assert {accounts.key(x.id) for x in (ALICE, BOB)} < set(keys)
    assert not answer.proof_ops.ops


def test_every_entry_of_a_page_can_have_its_proof(chain: Consensus) -> None:
    answer = chain.query("/entries", LISTING.encode(Listing(b"")), prove=True)
    app_hash = chain.block().app_hash
    found = PAGE.decode(answer.value).entries
    ops = answer.proof_ops.ops
    [
        verify(app_hash, entry.key, entry.value, Proof.decode(op.data))
        for entry, op in zip(found, ops, strict=True)
    ]

    assert [op.key for op in ops] == [entry.key for entry in found]
    assert len(ops) > 5


def test_a_page_with_proofs_is_shorter(tmp_path: Path) -> None:
    with closing(Storage.open(tmp_path / "many")) as storage:
        storage.commit(storage.stage(1, {b"\x91\xa2%02d" % at: b"1" for at in range(99)}))
        chain = Consensus(Node(MACHINE, storage))
        data = LISTING.encode(Listing(b"\x91"))

        plain, proved = chain.query("/entries", data), chain.query("/entries", data, prove=True)

    found = PAGE.decode(proved.value)
    assert len(PAGE.decode(plain.value).entries) == 99
    assert (len(found.entries), found.next_after) == (MAX_PROVED_ENTRIES, found.entries[-1].key)


@pytest.mark.parametrize("data", [b"", b"\x90", b"\x93\xc4\x00\xc4\x00\x00"])
def test_a_listing_that_is_none_has_its_code(chain: Consensus, data: bytes) -> None:
    assert chain.query("/entries", data).code == QueryCode.BAD_DATA


BLOCKS = [
    (),
    (signed(ALICE, transfer.FAMILY.body(transfer.Transfer(BOB.id, Amount(5)))),),
    (),
    (signed(ALICE, transfer.FAMILY.body(transfer.Transfer(CAROL.id, Amount(7))), 1), b"garbage"),
]


def execute(storage: Storage, *txs: bytes) -> Consensus:
    """A node started on this disk that has run the next block and not committed it."""
    chain = Consensus(Node(MACHINE, storage))
    if not storage.height:
        chain.init()
    chain.finalize(*txs)
    return chain


def replayed(folder: Path, backend: str, killed_at: int) -> list[bytes]:
    """The fingerprints at every height of a node that ran BLOCKS, each in a process of its own.

    At one height it is killed between FinalizeBlock and Commit and replays the block.
    """
    for height, txs in enumerate(BLOCKS, 1):
        if height == killed_at:
            with closing(Storage.open(folder, backend)) as storage:
                execute(storage, *txs)
        with closing(Storage.open(folder, backend)) as storage:
            execute(storage, *txs).commit()
    with closing(Storage.open(folder, backend)) as storage:
        return [ROOTS.encode(storage.roots_at(at)[1]) for at in range(1, len(BLOCKS) + 1)]


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("killed_at", [1, 2, 4])
def test_a_node_built_by_replay_has_the_same_fingerprints(
    tmp_path: Path, backend: str, killed_at: int
) -> None:
    with closing(Storage.over(MemoryStore({}))) as storage:
        chain = Consensus(Node(MACHINE, storage))
        chain.init()
        [chain.block(*txs) for txs in BLOCKS]
        expected = [ROOTS.encode(storage.roots_at(at)[1]) for at in range(1, len(BLOCKS) + 1)]

    assert replayed(tmp_path / "node", backend, killed_at) == expected


def test_before_the_first_block_there_are_no_fingerprints(tmp_path: Path) -> None:
    with closing(Storage.open(tmp_path / "fresh")) as storage:
        answer = Consensus(Node(MACHINE, storage)).query("/roots")

    assert answer.code == QueryCode.HEIGHT_UNAVAILABLE


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.one_of(
        st.text(max_size=40),
        st.sampled_from(["/store", "/store/x", "/entries", "/roots", "/params"]),
    ),
    data=st.binary(max_size=64),
    height=st.integers(-(2**63), 2**63 - 1),
    prove=st.booleans(),
)
def test_arbitrary_queries_get_an_answer_or_a_known_code(
    chain: Consensus, path: str, data: bytes, height: int, *, prove: bool
) -> None:
    answer = chain.query(path, data, height, prove=prove)

    assert answer.code in {0, *QueryCode}
