"""What bundles look like, and what their results say."""

from __future__ import annotations

from abci_currency.machine import MACHINE
from abci_currency.txs.transfer import FAMILY as TRANSFER
from abci_currency.txs.transfer import Transfer
from dchat.kernel import bundle, tx
from dchat.kernel.ids import Amount
from tests.fakes.memory import ALICE, BOB, CAROL, opened, run, signed

PAY = TRANSFER.body(Transfer(CAROL.id, Amount(5), "for lunch"))
POOR = TRANSFER.body(Transfer(CAROL.id, Amount(10**9)))


def cases() -> list[dict[str, object]]:
    """Return bundles that a block carries behind a genesis in which alice and bob hold a little."""
    first, second, other = signed(ALICE, PAY), signed(ALICE, PAY, 1), signed(BOB, PAY)
    refused, undue = signed(ALICE, POOR, 1), signed(BOB, PAY, 7)
    return [_case(first), _case(first, second, other), _case(undue, first, refused, first)]


def _case(*carried: bytes) -> dict[str, object]:
    raw = bundle.build(carried)
    (outcome,) = run(MACHINE, opened(MACHINE, alice=100_000, bob=50_000), raw).outcomes
    return {
        "carried": [each.hex() for each in carried],
        "raw": raw.hex(),
        "hash": tx.tx_hash(raw).hex(),
        "code": outcome.code,
        "cost_wanted": outcome.cost_wanted,
        "cost_used": outcome.cost_used,
        "data": outcome.data.hex(),
    }
