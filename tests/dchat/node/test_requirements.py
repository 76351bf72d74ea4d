"""What CometBFT asks of every application, rule by rule, of both chains.

A test's name holds the number of the requirement; rules without one stand at the end, by section.
Each is tried on the real Node over real storage. `p` and `q` are two nodes that executed the same
blocks; what else either was asked is drawn. docs/API_SPECIFICATION.md lists them all.
Source: CometBFT v0.40.0 spec/abci/abci++_app_requirements.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import accounts, params
from dchat.kernel.family import Prepared
from dchat.kernel.ids import Amount, Cost
from dchat.kernel.machine import Machine
from dchat.node.app import APP_VERSION
from dchat.node.proto import abci_pb2 as pb
from dchat.node.storage import Storage
from tests.fakes.consensus import Consensus
from tests.fakes.memory import ALICE, BOB, CAROL
from tests.fakes.memory_store import MemoryStore
from tests.fakes.orders import CHAINS, MEMPOOLS, Chain, Recipe, ordered
from tests.fakes.replicas import (
    HISTORIES,
    Asked,
    World,
    entries,
    extended,
    info,
    lived,
    newborn,
    started,
    verdict,
)

MAX_GAS = params.DEFAULT.max_block_cost
LAST_VALID = 5
Recipes = list[Recipe]
History = list[Asked]


@pytest.fixture(scope="module", params=CHAINS)
def chain(request: pytest.FixtureRequest) -> Chain:
    return CHAINS[request.param]


@pytest.fixture(scope="module")
def world(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both nodes are at height 2; only p saw the transactions before a block brought them."""
    folder = tmp_path_factory.mktemp("world")
    txs = [ordered(chain, who=who, seed=1) for who in (ALICE, BOB, CAROL)]
    with (
        closing(Storage.open(folder / "p", "leveldb")) as p,
        closing(Storage.open(folder / "q", "sqlite")) as q,
    ):
        grow(started(chain.machine, p), txs, seen=txs)
        grow(started(chain.machine, q), txs, seen=())
        yield World(chain, p, q)


def grow(node: Consensus, txs: Sequence[bytes], seen: Sequence[bytes]) -> None:
    node.init()
    [node.check(raw) for raw in seen]
    node.block(*txs)
    node.block()


# Consensus connection


def explode(*_: object) -> Never:
    raise AssertionError("a block was run")


FREE = Cost(0)


@dataclass(frozen=True, slots=True)
class Unrunnable:
    """A family whose bodies are all well formed, and must not be run."""

    type: int = 0
    name: str = "unrunnable"
    cost: Cost = FREE

    def price(self, _: object) -> Cost:
        return FREE

    def prepare(self, _: object) -> Prepared:
        return Prepared(explode, Amount(0))


def unrunnable(machine: Machine) -> Machine:
    families = dict.fromkeys(range(100), Unrunnable())
    return replace(machine, families=families, end_block=(explode,))


def test_requirement_01_a_proposal_is_made_without_running_its_block(world: World) -> None:
    node = started(unrunnable(world.chain.machine), world.p)
    raw = ordered(world.chain, who=ALICE, seed=1, nonce=1)

    assert node.check(raw).code == 0
    assert node.prepare(raw) == [raw]
    assert node.accepts(raw)


@given(waiting=MEMPOOLS, before=HISTORIES, missing=st.integers(0, 500))
def test_requirement_02_a_proposal_stays_within_its_bytes(
    world: World, waiting: Recipes, before: History, missing: int
) -> None:
    txs = world.chain.cook(waiting)
    node = lived(world.chain, world.p, before, txs)
    room = max(0, size(node.prepare(*txs)) - missing)

    assert size(node.prepare(*txs, max_tx_bytes=room)) <= room


def size(txs: Sequence[bytes]) -> int:
    """Their bytes in a block: field 1 of this message holds transactions as a block does."""
    return pb.RequestProcessProposal(txs=txs).ByteSize()


@given(waiting=MEMPOOLS, of_p=HISTORIES, of_q=HISTORIES, room=st.integers(0, 100_000))
def test_requirement_03_what_one_node_proposes_all_accept(
    world: World, waiting: Recipes, of_p: History, of_q: History, room: int
) -> None:
    txs = world.chain.cook(waiting)
    p, q = lived(world.chain, world.p, of_p, txs), lived(world.chain, world.q, of_q, txs)

    chosen = p.prepare(*txs, max_tx_bytes=room)

    assert (q.accepts(*chosen), p.accepts(*chosen)) == (True, True)


@given(block=MEMPOOLS, before=HISTORIES)
def test_requirement_04_a_verdict_depends_on_block_and_state_only(
    world: World, block: Recipes, before: History
) -> None:
    txs = world.chain.cook(block)
    busy, restarted = lived(world.chain, world.p, before, txs), lived(world.chain, world.p, [])

    verdicts = {busy.accepts(*txs), restarted.accepts(*txs), busy.accepts(*txs)}

    assert len(verdicts) == 1


@given(block=MEMPOOLS, of_p=HISTORIES, of_q=HISTORIES)
def test_requirement_05_two_nodes_give_one_verdict(
    world: World, block: Recipes, of_p: History, of_q: History
) -> None:
    txs = world.chain.cook(block)
    p, q = lived(world.chain, world.p, of_p, txs), lived(world.chain, world.q, of_q, txs)

    assert p.accepts(*txs) == q.accepts(*txs)


def test_requirement_06_the_vote_extension_of_one_node_all_accept(world: World) -> None:
    p, q = (lived(world.chain, storage, []) for storage in (world.p, world.q))

    assert verdict(q, extended(p)) == pb.ResponseVerifyVoteExtension.ACCEPT


@given(extension=st.binary(max_size=40), before=HISTORIES)
def test_requirement_07_a_verdict_on_an_extension_depends_on_it_only(
    world: World, extension: bytes, before: History
) -> None:
    busy, restarted = lived(world.chain, world.p, before), lived(world.chain, world.p, [])

    assert verdict(busy, extension) == verdict(restarted, extension)


@given(extension=st.binary(max_size=40), of_p=HISTORIES, of_q=HISTORIES)
def test_requirement_08_two_nodes_give_one_verdict_on_an_extension(
    world: World, extension: bytes, of_p: History, of_q: History
) -> None:
    p, q = lived(world.chain, world.p, of_p), lived(world.chain, world.q, of_q)

    assert verdict(p, extension) == verdict(q, extension)


@given(block=MEMPOOLS, history=HISTORIES)
def test_requirement_09_proposals_and_extensions_change_no_state(
    world: World, block: Recipes, history: History
) -> None:
    txs = world.chain.cook(block)
    untouched = lived(world.chain, world.p, [])
    before = entries(world.p), info(untouched)

    busy = lived(world.chain, world.p, history, txs)

    assert (entries(world.p), info(busy)) == before
    assert busy.finalize(*txs) == untouched.finalize(*txs)


@given(block=MEMPOOLS, extension=st.binary(max_size=40))
def test_requirement_10_the_next_state_does_not_depend_on_extensions(
    world: World, block: Recipes, extension: bytes
) -> None:
    txs = world.chain.cook(block)
    aware, unaware = lived(world.chain, world.p, []), lived(world.chain, world.p, [])

    verdict(aware, extension)

    assert aware.finalize(*txs) == unaware.finalize(*txs)


@given(block=MEMPOOLS, of_p=HISTORIES, of_q=HISTORIES)
def test_requirement_11_the_next_state_depends_on_block_and_state_only(
    world: World, block: Recipes, of_p: History, of_q: History
) -> None:
    txs = world.chain.cook(block)
    p, q = lived(world.chain, world.p, of_p, txs), lived(world.chain, world.q, of_q, txs)

    app_hashes = {node.finalize(*txs).app_hash for node in (p, q, p)}

    assert len(app_hashes) == 1


@given(block=MEMPOOLS, of_p=HISTORIES, of_q=HISTORIES)
def test_requirement_12_results_depend_on_block_and_state_only(
    world: World, block: Recipes, of_p: History, of_q: History
) -> None:
    txs = world.chain.cook(block)
    p, q = lived(world.chain, world.p, of_p, txs), lived(world.chain, world.q, of_q, txs)

    first, other, again = (list(node.finalize(*txs).tx_results) for node in (p, q, p))

    assert first == other == again


# Mempool connection


def codes_later(node: Consensus, raw: bytes) -> list[int]:
    """What CheckTx says of it at one height after the other."""
    rounds = [(node.check(raw).code, node.recheck(raw).code, node.block()) for _ in range(3)]
    return [code for *codes, _ in rounds for code in codes]


@given(junk=st.none() | st.binary(max_size=80), last_valid=st.integers(0, LAST_VALID))
def test_requirement_13_in_the_end_a_transaction_is_refused_for_ever(
    chain: Chain, junk: bytes | None, last_valid: int
) -> None:
    timely = ordered(chain, who=ALICE, seed=1, valid_until_height=last_valid)
    raw = timely if junk is None else junk
    keen, fresh = newborn(chain), newborn(chain)

    [(keen.check(raw), keen.block(), fresh.block()) for _ in range(LAST_VALID)]
    codes = codes_later(keen, raw) + codes_later(fresh, raw)

    assert 0 not in codes
    assert len(set(codes)) == 1


# Rules without a number, by section


def test_section_finalize_block_persists_nothing(world: World) -> None:
    before = entries(world.p), world.p.height
    raw = ordered(world.chain, who=ALICE, seed=1, nonce=1)

    assert lived(world.chain, world.p, []).finalize(raw).tx_results[0].gas_wanted
    assert (entries(world.p), world.p.height) == before


@given(block=MEMPOOLS)
def test_section_commit_persists_what_was_executed(chain: Chain, block: Recipes) -> None:
    node = newborn(chain)
    executed = node.block(*chain.cook(block))

    after = info(node)

    assert (after.last_block_height, after.last_block_app_hash) == (1, executed.app_hash)


def test_section_commit_lets_cometbft_discard_no_block(chain: Chain) -> None:
    node = newborn(chain)
    node.finalize()

    assert node.commit().retain_height == 0


@given(waiting=MEMPOOLS, block=MEMPOOLS)
def test_section_mempool_connection_begins_anew_after_each_commit(
    chain: Chain, waiting: Recipes, block: Recipes
) -> None:
    txs, carried = chain.cook(waiting), chain.cook(block)
    busy, quiet = newborn(chain), newborn(chain)

    [busy.check(raw) for raw in txs + carried]
    [node.block(*carried) for node in (busy, quiet)]

    assert [busy.recheck(raw) for raw in txs] == [quiet.check(raw) for raw in txs]


@given(block=MEMPOOLS)
def test_section_replay_protection_carries_out_nothing_twice(chain: Chain, block: Recipes) -> None:
    txs, node = chain.cook(block), newborn(chain)
    results = node.block(*txs).tx_results
    charged = [raw for raw, result in zip(txs, results, strict=True) if result.gas_wanted]

    checks = [node.check(raw).code for raw in charged]
    again = node.finalize(*charged)

    assert 0 not in checks
    assert [result.gas_wanted for result in again.tx_results] == [0] * len(charged)
    assert again.app_hash == info(node).last_block_app_hash


def test_section_info_query_connection_shows_the_last_commit(chain: Chain) -> None:
    node = newborn(chain)
    node.block()
    key = accounts.key(ALICE.id)

    before = node.query("/store", key)
    node.finalize(ordered(chain, who=ALICE, seed=1))
    amid = node.query("/store", key)
    node.commit()
    after = node.query("/store", key)

    assert amid == before
    assert (after.height, after.value != before.value) == (2, True)


@given(block=MEMPOOLS, at=st.integers(0, 9))
def test_section_transaction_results_stand_in_the_order_of_the_block(
    chain: Chain, block: Recipes, at: int
) -> None:
    txs, node = chain.cook(block), newborn(chain)
    place = min(at, len(txs))

    plain = list(node.finalize(*txs).tx_results)
    mixed = list(node.finalize(*txs[:place], b"junk", *txs[place:]).tx_results)

    assert (mixed.pop(place).code, mixed) == (1, plain)


@given(waiting=MEMPOOLS)
def test_section_gas_used_stays_within_gas_wanted_and_that_within_the_block(
    chain: Chain, waiting: Recipes
) -> None:
    txs, node = chain.cook(waiting), newborn(chain)
    wanted = [node.check(raw).gas_wanted for raw in txs]
    results = node.finalize(*node.prepare(*txs)).tx_results

    assert all(0 <= each <= MAX_GAS for each in wanted)
    assert all(0 <= result.gas_used <= result.gas_wanted for result in results)
    assert sum(result.gas_wanted for result in results) <= MAX_GAS


@given(block=MEMPOOLS)
def test_section_validator_set_is_that_of_genesis_until_stake_moves(
    chain: Chain, block: Recipes
) -> None:
    node = newborn(chain)

    assert not node.init().validators
    assert not node.block(*chain.cook(block)).validator_updates


def test_section_consensus_parameters_are_set_whole_or_not_at_all(chain: Chain) -> None:
    node = newborn(chain)
    chosen = node.init().consensus_params

    assert 0 < chosen.block.max_bytes <= params.MAX_BLOCK_BYTES
    assert chosen.block.max_gas == MAX_GAS
    assert not node.block().HasField("consensus_param_updates")


def test_section_consensus_parameters_name_the_version_that_info_names(chain: Chain) -> None:
    node = newborn(chain)

    assert node.init().consensus_params.version.app == info(node).app_version == APP_VERSION


@given(block=MEMPOOLS)
def test_section_crash_recovery_goes_on_from_the_last_commit(world: World, block: Recipes) -> None:
    txs = world.chain.cook(block)
    lost = lived(world.chain, world.p, []).finalize(*txs)
    restarted = lived(world.chain, world.p, [])

    assert info(restarted) == info(restarted) == info(lived(world.chain, world.q, []))
    assert restarted.finalize(*txs) == lost


def test_section_crash_recovery_starts_the_chain_again_before_its_first_commit(
    chain: Chain,
) -> None:
    storage = Storage.over(MemoryStore({}))
    raw = ordered(chain, who=ALICE, seed=1)
    crashed, restarted = started(chain.machine, storage), started(chain.machine, storage)

    first, lost = crashed.init(), crashed.finalize(raw)

    assert info(restarted).last_block_height == 0
    assert (restarted.init(), restarted.finalize(raw)) == (first, lost)
