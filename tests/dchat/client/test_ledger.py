from __future__ import annotations

from pathlib import Path

import pytest
import trio

from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.client.ledger import Ledger
from dchat.kernel import accounts
from dchat.kernel.errors import InsufficientFunds
from dchat.kernel.ids import AccountId, Amount
from dchat.node.chain import Refused
from tests.fakes.peers import in_trio
from tests.fakes.people import identity_of
from tests.fakes.town import FUNDS, town

ALICE, BOB = identity_of("alice"), identity_of("bob")
FIVE = Transfer(BOB.account_id, Amount(5))


def test_what_was_written_is_read_with_its_proof(tmp_path: Path) -> None:
    @in_trio
    async def main() -> None:
        async with town(tmp_path, [ALICE]) as where:
            ledger = Ledger(where.opened(where.currency), ALICE)

            included = await ledger.submit(transfer.FAMILY, FIVE)
            holding = await ledger.holding(BOB.account_id)

            assert holding.account.balance == 5
            assert holding.block.height > included.height

    main()


def test_an_account_never_seen_is_proved_empty(tmp_path: Path) -> None:
    @in_trio
    async def main() -> None:
        async with town(tmp_path, [ALICE]) as where:
            ledger = Ledger(where.opened(where.currency), ALICE)

            holding = await ledger.holding(AccountId(b"n" * 32))

            assert holding.account == accounts.EMPTY

    main()


def test_one_ledger_sends_one_transaction_after_the_other(tmp_path: Path) -> None:
    @in_trio
    async def main() -> None:
        async with town(tmp_path, [ALICE]) as where:
            ledger = Ledger(where.opened(where.currency), ALICE)

            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(ledger.submit, transfer.FAMILY, FIVE)

            assert (await ledger.holding(BOB.account_id)).account.balance == 20
            assert (await ledger.holding(ALICE.account_id)).account.nonce == 4

    main()


def test_a_nonce_that_another_process_took_is_taken_anew(tmp_path: Path) -> None:
    @in_trio
    async def main() -> None:
        async with town(tmp_path, [ALICE]) as where:
            here, there = (Ledger(where.opened(where.currency), ALICE) for _ in range(2))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(here.submit, transfer.FAMILY, FIVE)
                nursery.start_soon(
                    there.submit, transfer.FAMILY, Transfer(BOB.account_id, Amount(6))
                )
            where.currency.make_block()

            assert (await here.holding(BOB.account_id)).account.balance == 11

    main()


def test_a_refusal_is_told_at_once(tmp_path: Path) -> None:
    @in_trio
    async def main() -> None:
        async with town(tmp_path, [ALICE]) as where:
            ledger = Ledger(where.opened(where.currency), ALICE)
            too_much = Transfer(BOB.account_id, Amount(FUNDS + 1))

            with pytest.raises(Refused) as caught:
                await ledger.submit(transfer.FAMILY, too_much)

            assert caught.value.code == InsufficientFunds.code
            assert (await ledger.holding(ALICE.account_id)).account.nonce == 1

    main()
