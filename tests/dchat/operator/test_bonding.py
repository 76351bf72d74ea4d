from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from abci_currency.machine import MACHINE
from abci_currency.params import STAKING
from abci_currency.state import stake
from abci_currency.txs import transfer
from dchat.kernel import accounts, supply, tx
from dchat.kernel.amounts import UNIT
from dchat.kernel.ids import Amount, Height, TxHash
from dchat.kernel.inclusion import Path as TreePath
from dchat.kernel.store import Draft
from dchat.kernel.tx import tx_hash
from dchat.node import identity
from dchat.node.chain import VALID_BLOCKS, Refused, order_of, signed
from dchat.node.identity import Identity
from dchat.node.rpc import Found, Included, NodeUnreachable, Queried, Question, Submitted
from dchat.operator import bonding, supervisor
from dchat.operator.bonding import Bonding, CannotStake, Journal, JournalDamaged, Phase, Wish
from dchat.operator.pulse import Pulse
from tests.fakes.memory import BOB, CHAIN, MemoryState, opened, run

LEAST = STAKING.default.min_validator_stake
WISH = Wish("fifth", LEAST, Amount(5 * UNIT), 500, 2000, 100)
SEED = b"k" * 32


@dataclass
class Desk:
    """A node's RPC over a state in memory; blocks are made when the test says so."""

    state: MemoryState
    height: int = 1
    pool: list[bytes] = field(default_factory=list[bytes])
    sent: list[bytes] = field(default_factory=list[bytes])
    found: dict[TxHash, Included] = field(default_factory=dict[TxHash, Included])
    is_silent: bool = False
    refusing: str = ""

    async def abci_query(self, question: Question) -> Queried:
        await trio.lowlevel.checkpoint()
        if self.is_silent:
            raise NodeUnreachable("silent")
        value = self.state.get(question.key) or b""
        return Queried(0, "", value, Height(self.height), ())

    async def broadcast_sync(self, raw: bytes) -> Submitted:
        await trio.lowlevel.checkpoint()
        self.sent.append(raw)
        if self.refusing:
            return Submitted(tx_hash(raw), 9, self.refusing)
        if raw not in self.pool:
            self.pool.append(raw)
        return Submitted(tx_hash(raw), 0, "")

    async def find(self, tx_hash: TxHash) -> Found | None:
        await trio.lowlevel.checkpoint()
        found = self.found.get(tx_hash)
        return None if found is None else Found(found, TreePath(1, 0, ()))

    def block(self, *more: bytes) -> None:
        """Everything that waits is in the next block."""
        txs, self.pool = [*more, *self.pool], []
        self.height += 1
        result = run(MACHINE, self.state, *txs, height=self.height)
        self.state = self.state.after(result.writes)
        for raw, did in zip(txs, result.outcomes, strict=True):
            height = Height(self.height)
            self.found[tx_hash(raw)] = Included(tx_hash(raw), height, did.code, did.reason, 0, 0)

    def pay(self, who: Identity, units: int) -> None:
        draft = Draft(self.state)
        accounts.credit(draft, who.account_id, Amount(units))
        supply.issue(draft, Amount(units))
        self.state = self.state.after(draft.writes())

    def step(self, asked: Bonding) -> tuple[Phase, str]:
        return trio.run(bonding.step, asked, self)


@pytest.fixture
def owner(tmp_path: Path) -> Identity:
    return identity.create(tmp_path / "id.json", "node")


@pytest.fixture
def asked(tmp_path: Path, owner: Identity) -> Bonding:
    form = bonding.form(owner, SEED, CHAIN, WISH)
    return Bonding(owner, CHAIN, form, tmp_path / bonding.JOURNAL)


@pytest.fixture
def desk(owner: Identity) -> Desk:
    """A chain on which the account can pay."""
    made = Desk(opened(MACHINE, bob=10**9))
    made.pay(owner, LEAST + UNIT)
    return made


def test_a_node_whose_account_can_pay_becomes_a_validator(
    desk: Desk, asked: Bonding, owner: Identity
) -> None:
    first = desk.step(asked)
    desk.block()
    second = desk.step(asked)

    made = stake.validator(desk.state, owner.account_id)
    assert (first[0], second[0]) == (Phase.SENT, Phase.DONE)
    assert made is not None
    assert (made.tokens, made.moniker, made.consensus_key) == (
        LEAST,
        "fifth",
        asked.form.consensus_key,
    )
    assert "the chat chain's validators stay those of its genesis" in second[1]


def test_the_same_transaction_is_sent_until_a_block_has_it(desk: Desk, asked: Bonding) -> None:
    [desk.step(asked) for _ in range(3)]

    assert len(desk.sent) == 3
    assert len(set(desk.sent)) == 1


def test_a_kill_before_the_first_sending_changes_nothing(desk: Desk, asked: Bonding) -> None:
    desk.step(asked)
    restarted = Desk(desk.state)

    restarted.step(asked)

    assert restarted.sent == desk.sent


def test_an_account_without_the_stake_is_named_and_waited_for(
    asked: Bonding, owner: Identity
) -> None:
    poor = Desk(opened(MACHINE, bob=10**9))
    poor.pay(owner, LEAST - 1)

    waiting = poor.step(asked)
    poor.pay(owner, UNIT)
    paid = poor.step(asked)

    assert waiting[0] is Phase.SHORT
    assert f"send {accounts.show_account(owner.account_id)} DCHAT" in waiting[1]
    assert "it has 999999.999999 and is to stake 1000000" in waiting[1]
    assert paid[0] is Phase.SENT


def test_what_validates_already_sends_nothing(desk: Desk, asked: Bonding) -> None:
    desk.step(asked)
    desk.block()
    asked.journal.unlink()
    desk.sent.clear()

    phase, _ = desk.step(asked)

    assert (phase, desk.sent) == (Phase.DONE, [])


def test_a_validator_that_went_away_is_never_made_again(desk: Desk, asked: Bonding) -> None:
    desk.step(asked)
    desk.block()
    desk.step(asked)
    gone = Desk(opened(MACHINE, bob=10**9))
    gone.pay(asked.owner, 2 * LEAST)

    phase, why = gone.step(asked)

    assert (phase, gone.sent) == (Phase.DONE, [])
    assert "it validated at block 2" in why


def test_a_refusal_in_a_block_is_told_and_not_tried_again(desk: Desk, asked: Bonding) -> None:
    higher = replace(STAKING.default, min_validator_stake=Amount(2 * LEAST))
    desk.step(asked)
    draft = Draft(desk.state)
    STAKING.save(draft, higher)
    desk.state = desk.state.after(draft.writes())
    desk.block()

    with pytest.raises(Refused, match="ValidatorStakeTooLow"):
        desk.step(asked)

    assert len(desk.sent) == 1


def other(owner: Identity, nonce: int) -> bytes:
    """Another transaction of the account."""
    order = order_of(owner, transfer.FAMILY, transfer.Transfer(BOB.id, Amount(1)))
    return signed(order, CHAIN, accounts.Nonce(nonce), bonding.params.DEFAULT, Height(1))


def test_a_transaction_whose_nonce_another_one_took_is_signed_anew(
    desk: Desk, asked: Bonding, owner: Identity
) -> None:
    desk.step(asked)
    desk.pool.clear()
    desk.block(other(owner, 0))

    phase, _ = desk.step(asked)

    nonces = [tx.decode(raw).envelope.nonce for raw in desk.sent]
    assert (phase, nonces) == (Phase.SENT, [0, 1])


def test_a_transaction_that_expired_is_signed_anew(desk: Desk, asked: Bonding) -> None:
    desk.step(asked)
    desk.pool.clear()
    desk.height += VALID_BLOCKS + 1

    desk.step(asked)
    desk.block()

    assert len(set(desk.sent)) == 2
    assert desk.step(asked)[0] is Phase.DONE


def test_what_the_pool_refuses_is_told_and_tried_again(desk: Desk, asked: Bonding) -> None:
    desk.refusing = "the pool is full"

    phase, why = desk.step(asked)

    assert phase is Phase.SENT
    assert "not taken yet: the pool is full" in why


def test_it_waits_until_the_node_is_ready_and_tells_each_phase_once(
    desk: Desk, asked: Bonding, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    told = bonding.Progress()
    pulse = Pulse("currency", CHAIN)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bonding.follow, asked, desk, pulse, told, said.append)
            await trio.sleep(10)
            assert (told.phase, desk.sent) == (Phase.SYNCING, [])
            ready(pulse)
            await trio.sleep(5)
            ready(pulse)
            desk.block()
            await trio.sleep(5)

    trio.run(main, clock=MockClock(autojump_threshold=0))

    assert [line.split(":")[1].strip() for line in said] == ["waits for a block", "done"]
    assert told.show().startswith("done: at block 2 of test-1")


def ready(pulse: Pulse) -> None:
    """The node has answered just now, caught up and with a block."""
    pulse.phase = supervisor.Phase.RUNNING
    pulse.height, pulse.catching_up, pulse.read_at = 5, False, trio.current_time()


def test_a_node_that_is_silent_is_asked_again(desk: Desk, asked: Bonding) -> None:
    desk.is_silent = True

    with pytest.raises(NodeUnreachable):
        desk.step(asked)

    assert not asked.journal.exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"moniker": "x" * 65}, "moniker: text over 64 bytes"),
        ({"moniker": "a\u202eb"}, "BadMoniker"),
        ({"rate_bp": 2001}, "BadCommission"),
        ({"min_self_delegation": Amount(LEAST + 1)}, "BadMinSelfDelegation"),
    ],
)
def test_what_the_chain_would_refuse_is_refused_at_the_start(
    owner: Identity, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(CannotStake, match=reason) as caught:
        bonding.form(owner, SEED, CHAIN, replace(WISH, **changes))

    assert "[staking]" in caught.value.hint


def test_the_journal_is_its_owners_alone(desk: Desk, asked: Bonding) -> None:
    desk.step(asked)

    assert asked.journal.stat().st_mode & 0o777 == 0o600
    assert bonding.load(asked.journal) == Journal(desk.sent[0])


@given(st.binary(max_size=60) | st.sampled_from([b'{"tx": "zz", "done_at": 0}', b'{"tx": "00"}']))
def test_a_damaged_journal_is_refused_with_a_hint(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_bytes(content)

    with pytest.raises(JournalDamaged) as caught:
        bonding.load(path)

    assert "remove the file" in caught.value.hint
