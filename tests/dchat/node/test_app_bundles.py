"""A bundle as CometBFT sees it: one transaction, whose result says what became of many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from dchat.kernel import accounts, bundle, errors, tx
from dchat.kernel.ids import Amount
from dchat.kernel.refusals import REFUSALS
from dchat.node.app import Node
from dchat.node.proto import abci_pb2 as pb
from dchat.node.storage import Storage
from tests.fakes.consensus import Consensus
from tests.fakes.memory import ALICE, BOB, CAROL, Person, signed


def pay(amount: int, nonce: int = 0, who: Person = ALICE) -> bytes:
    return signed(who, transfer.FAMILY.body(transfer.Transfer(CAROL.id, Amount(amount))), nonce)


GOOD, REFUSED, OTHER = pay(5), pay(10**9, 1), pay(7, who=BOB)
ALL = bundle.build([GOOD, REFUSED, OTHER])


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with closing(Storage.open(tmp_path / "state")) as opened:
        yield opened


@pytest.fixture
def chain(storage: Storage) -> Consensus:
    consensus = Consensus(Node(MACHINE, storage))
    consensus.init()
    consensus.block()
    return consensus


def attributes(event: pb.Event) -> dict[str, str]:
    return {each.key: each.value for each in event.attributes}


def test_a_bundle_declares_the_gas_of_all_that_it_carries(chain: Consensus) -> None:
    assert chain.check(ALL).gas_wanted == 3 * 2000


def test_a_refused_bundle_says_which_and_why(chain: Consensus) -> None:
    answer = chain.check(bundle.build([GOOD, pay(5, 7)]))

    assert answer.code == errors.NonceMismatch.code
    assert answer.log.startswith("transaction 2 of 2 in the bundle, ")
    assert answer.log.endswith("NonceMismatch: nonce 7, the account's next is 1; " + HINT)


HINT = REFUSALS[errors.NonceMismatch.code].hint


def test_a_bundles_result_says_what_became_of_each(chain: Consensus, storage: Storage) -> None:
    (result,) = chain.block(ALL).tx_results

    did = bundle.decode_results(result.data)
    assert [each.code for each in did] == [0, errors.InsufficientFunds.code, 0]
    assert (result.code, result.gas_wanted) == (0, 3 * 2000)
    assert result.gas_used == sum(each.cost_used for each in did)
    assert result.log.startswith("1 of 3 refused, the first with InsufficientFunds")
    assert accounts.load(storage.latest(), CAROL.id).balance == 5 + 7


def test_events_say_which_transaction_of_the_bundle_tells_them(chain: Consensus) -> None:
    (result,) = chain.block(ALL).tx_results

    hashes = [tx.tx_hash(each).hex() for each in (GOOD, REFUSED, OTHER)]
    assert [(each.type, attributes(each)["tx_hash"]) for each in result.events] == [
        ("Carried", hashes[0]),
        ("Transferred", hashes[0]),
        ("Carried", hashes[1]),
        ("Carried", hashes[2]),
        ("Transferred", hashes[2]),
    ]
    assert attributes(result.events[2])["code"] == str(errors.InsufficientFunds.code)
    assert [each.key for each in result.events[0].attributes if each.index] == ["tx_hash"]
    assert [each.key for each in result.events[1].attributes if each.index] == ["sender", "to"]


def test_what_a_bundle_carries_gives_the_state_that_it_gives_alone(
    chain: Consensus, tmp_path: Path
) -> None:
    with closing(Storage.open(tmp_path / "other")) as storage:
        alone = Consensus(Node(MACHINE, storage))
        alone.init()
        alone.block()

        separately = alone.block(GOOD, REFUSED, OTHER).app_hash

    assert chain.block(ALL).app_hash == separately


def test_a_bundle_waits_through_commits_and_goes_into_a_block(chain: Consensus) -> None:
    codes = [chain.check(ALL).code]
    chain.block()

    codes.append(chain.recheck(ALL).code)

    assert codes == [0, 0]
    assert chain.prepare(ALL) == [ALL]
    assert chain.accepts(ALL)


def test_while_a_commit_is_due_a_bundle_may_come_again_later(chain: Consensus) -> None:
    chain.finalize()
    due = chain.check(ALL)
    chain.commit()

    assert (due.code, chain.check(ALL).code) == (errors.CommitDue.code, 0)
