from __future__ import annotations

from abci_currency.machine import MACHINE
from dchat.node.proto import abci_pb2 as pb
from dchat.node.requests import HANDLERS, Application, Handler
from dchat.node.stats import Totals, timed, watched


def answer_nothing(_: Application, __: pb.Request) -> pb.ResponseFlush:
    return pb.ResponseFlush()


QUIET: dict[str, Handler] = dict.fromkeys(HANDLERS, answer_nothing)


def spend(totals: Totals, *requests: pb.Request) -> None:
    handlers = timed(QUIET, totals)
    for request in requests:
        handlers[request.WhichOneof("value") or ""](MACHINE, request)  # pyright: ignore[reportArgumentType]


def test_calls_and_transactions_are_counted_by_kind() -> None:
    totals = Totals()
    block = pb.Request(finalize_block=pb.RequestFinalizeBlock(txs=[b"a", b"b"]))
    spend(totals, block, block, pb.Request(commit=pb.RequestCommit()))

    assert (totals.spent["finalize_block"].calls, totals.spent["finalize_block"].txs) == (2, 4)
    assert (totals.spent["commit"].calls, totals.spent["commit"].txs) == (1, 0)


def test_rechecks_are_counted_apart() -> None:
    totals = Totals()
    spend(
        totals,
        pb.Request(check_tx=pb.RequestCheckTx(tx=b"a")),
        pb.Request(check_tx=pb.RequestCheckTx(tx=b"a", type=pb.RECHECK)),
    )

    assert sorted(totals.spent) == ["check_tx", "recheck_tx"]


def test_the_most_expensive_kind_comes_first_with_time_per_call_and_transaction() -> None:
    totals = Totals()
    totals.add("commit", 0, 3_000)
    totals.add("finalize_block", 4, 8_000)

    assert list(totals.lines()) == [
        {
            "kind": "finalize_block",
            "calls": 1,
            "txs": 4,
            "took_us": 8,
            "us_per_call": 8.0,
            "us_per_tx": 2.0,
        },
        {
            "kind": "commit",
            "calls": 1,
            "txs": 0,
            "took_us": 3,
            "us_per_call": 3.0,
            "us_per_tx": 0,
        },
    ]


def test_proposals_count_their_transactions() -> None:
    totals = Totals()
    spend(
        totals,
        pb.Request(prepare_proposal=pb.RequestPrepareProposal(txs=[b"a"])),
        pb.Request(process_proposal=pb.RequestProcessProposal(txs=[b"a", b"b"])),
    )

    assert [totals.spent[kind].txs for kind in sorted(totals.spent)] == [1, 2]


class Clairvoyant:
    def __init__(self) -> None:
        self.foreseen: list[bytes] = []

    def foresee(self, txs: list[bytes]) -> None:
        self.foreseen += txs

    def flush(self) -> str:
        return "flushed"


def test_what_is_foreseen_is_counted_and_everything_else_is_left_to_the_application() -> None:
    totals = Totals()
    app = Clairvoyant()
    seen = watched(app, totals)  # pyright: ignore[reportArgumentType]

    seen.foresee([b"a", b"b"])

    assert (app.foreseen, totals.spent["foresee"].txs) == ([b"a", b"b"], 2)
    assert seen.flush() == "flushed"  # pyright: ignore
