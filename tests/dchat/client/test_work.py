from __future__ import annotations

from pathlib import Path

import pytest
import trio

from abci_chat.params import WORK
from abci_chat.state import work as rules
from dchat.client import work
from dchat.client.ledger import Ledger
from dchat.client.work import Terms
from dchat.kernel.ids import AccountId, ChainId, Nonce
from tests.fakes import toil
from tests.fakes.peers import in_trio
from tests.fakes.people import identity_of
from tests.fakes.town import town

ALICE = identity_of("alice")
ACCOUNT = AccountId(b"a" * 32)
CHAIN = ChainId("test")
BODY = b"an order"


def problem(anchor: bytes) -> bytes:
    return rules.task(rules.statement(CHAIN, ACCOUNT, Nonce(3), anchor), BODY)


@pytest.mark.parametrize("need", [1, 2, 100, 5000])
def test_what_is_found_is_worth_what_was_asked(need: int) -> None:
    salt = work.search(problem(b""), need, 0)

    assert salt is not None
    assert rules.worked(problem(b""), salt) >= need


def test_a_stretch_without_a_salt_ends() -> None:
    assert work.search(problem(b""), 1 << 200, 0) is None


def test_work_is_for_the_account_its_nonce_the_anchor_and_the_order() -> None:
    anchor = b"h" * 32

    @in_trio
    async def main() -> None:
        proof = await work.prove(Terms(CHAIN, anchor, 1000), ACCOUNT, Nonce(3), BODY)

        assert proof.anchor == anchor
        assert rules.worked(problem(anchor), proof.salt) >= 1000

    main()


def test_nobody_who_stops_waiting_keeps_a_thread_busy() -> None:
    @in_trio
    async def main() -> None:
        endless = Terms(CHAIN, b"", 1 << 200)
        with trio.move_on_after(0) as scope:
            await work.prove(endless, ACCOUNT, Nonce(0), BODY)

        assert scope.cancelled_caught

    main()


def test_the_chain_says_what_to_work_for(tmp_path: Path) -> None:
    @in_trio
    async def main() -> None:
        async with town(tmp_path, [ALICE]) as where:
            where.chat.alter(lambda draft: WORK.save(draft, toil.EASY))

            asked = await work.terms(Ledger(where.opened(where.chat), ALICE))

        chain_id = where.chat.chain.chain_id
        assert asked == Terms(chain_id, rules.first_anchor(chain_id), 32)

    main()
