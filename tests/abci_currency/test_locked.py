"""Locked tokens through stake, a slash and back, block by block, with every number worked out."""

from __future__ import annotations

from abci_currency.state import pools, rewards, stake, vesting
from abci_currency.state.vesting import Vesting
from abci_currency.txs.delegate import DELEGATE, UNDELEGATE, Delegate, Undelegate
from abci_currency.txs.rewards import REWARDS, WithdrawRewards
from abci_currency.txs.vesting import CLAIM, ClaimVested, DelegateVested
from abci_currency.txs.vesting import DELEGATE as DELEGATE_VESTED
from dchat.kernel import codec, supply
from dchat.kernel.amounts import UNIT
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.machine import Misbehaviour, Offence
from dchat.kernel.store import Draft
from tests.fakes.currency import FEE, FUNDS, STAKE, UNBONDING_MS, Chain, begun, voter
from tests.fakes.memory import ALICE, CAROL, START

LOCKED = 1_000 * UNIT
ENDS = EpochMs(START + 1_000_000)
CLAIMS = CLAIM.body(ClaimVested())


def tokens(count: int) -> Amount:
    return Amount(count * UNIT)


def start() -> Chain:
    """Carol has 1,000 tokens locked, of which one vests a second."""
    state = begun()
    draft = Draft(state)
    lock = Vesting(Amount(LOCKED), linear=True, begins_at=START, cliff_at=START, ends_at=ENDS)
    vesting.begin(draft, [(CAROL.id, lock)])
    return Chain(state.after(draft.writes()))


def lock_of(chain: Chain) -> Vesting:
    found = vesting.vesting(chain.state, CAROL.id)
    assert found is not None
    return found


def done(chain: Chain, body: tuple[codec.Raw, ...], after_ms: int = 1_000) -> None:
    assert chain.order(CAROL, body, after_ms).code == 0


def stake_locked(chain: Chain, count: int) -> None:
    done(chain, DELEGATE_VESTED.body(DelegateVested(ALICE.id, tokens(count))))


def double_sign(chain: Chain, power: int) -> None:
    """Alice's key signs twice at the last height: 5 % of the power that it had."""
    address = stake.address_of(voter(ALICE).public_key)
    height = Height(chain.height)
    proved = Misbehaviour(Offence.DUPLICATE_VOTE, address, power, height, EpochMs(chain.time))
    chain.block(misbehaviour=(proved,))


def test_what_was_staked_from_a_lock_comes_back_into_it() -> None:
    chain = start()
    stake_locked(chain, 1_000)

    done(chain, UNDELEGATE.body(Undelegate(ALICE.id, tokens(1_000))))
    away = lock_of(chain)
    chain.block(after_ms=UNBONDING_MS)

    assert (away.staked, lock_of(chain).staked) == (LOCKED, 0)
    assert chain.balance(pools.VESTING) == LOCKED
    assert chain.balance(CAROL.id) == FUNDS - 2 * FEE


def test_a_slash_on_the_way_through() -> None:
    """600 of the lock and 100 of her own, 300 on the way out when 5 % are slashed."""
    chain = start()
    stake_locked(chain, 600)
    done(chain, DELEGATE.body(Delegate(ALICE.id, tokens(100))))
    chain.block()
    chain.block()
    done(chain, UNDELEGATE.body(Undelegate(ALICE.id, tokens(300))))

    double_sign(chain, 1_700)
    after_slash = chain.validator(ALICE).tokens
    chain.block(after_ms=UNBONDING_MS)
    first = lock_of(chain)
    done(chain, UNDELEGATE.body(Undelegate(ALICE.id, tokens(380))))
    chain.block(after_ms=UNBONDING_MS)
    second = lock_of(chain)

    assert after_slash == (STAKE + tokens(400)) * 95 // 100
    assert first.staked == tokens(600 - 285)
    assert second.staked == 0
    assert second.held == LOCKED
    assert chain.balance(CAROL.id) == FUNDS - 4 * FEE - tokens(100) + tokens(380 - 315)


def test_a_slash_of_locked_stake_alone_leaves_a_gap() -> None:
    chain = start()
    stake_locked(chain, 1_000)
    chain.block()
    double_sign(chain, 2_000)
    done(chain, UNDELEGATE.body(Undelegate(ALICE.id, tokens(950))))
    chain.block(after_ms=UNBONDING_MS)

    chain.block(after_ms=1_000_000)
    done(chain, CLAIMS)

    lock = lock_of(chain)
    assert (lock.claimed, lock.staked, lock.held) == (tokens(950), tokens(50), 0)
    assert chain.balance(CAROL.id) == FUNDS - 3 * FEE + tokens(950)
    assert chain.order(CAROL, CLAIMS).code == vesting.NothingVested.code


def test_what_vests_while_it_is_staked_is_claimed_when_it_is_back() -> None:
    chain = start()
    stake_locked(chain, 1_000)
    early = chain.order(CAROL, CLAIMS, after_ms=500_000).code
    done(chain, UNDELEGATE.body(Undelegate(ALICE.id, tokens(1_000))))
    chain.block(after_ms=UNBONDING_MS)

    before = chain.balance(CAROL.id)
    done(chain, CLAIMS)

    seconds = (chain.time - START) // 1_000
    assert early == vesting.NothingVested.code
    assert chain.balance(CAROL.id) == before - FEE + tokens(seconds)


def test_what_locked_stake_earns_is_not_locked() -> None:
    """In Cosmos SDK, rewards sent to a vesting account could end up in its lock."""
    chain = start()
    stake_locked(chain, 1_000)
    before = lock_of(chain)
    draft = Draft(chain.state)
    supply.issue(draft, tokens(300))
    rewards.share_out(draft, tokens(300))
    chain.state = chain.state.after(draft.writes())

    held = chain.balance(CAROL.id)
    done(chain, REWARDS.body(WithdrawRewards((ALICE.id,))))

    share = 300 * 1_000 // 3_000 * 9 // 10
    assert chain.balance(CAROL.id) == held - FEE + tokens(share)
    assert lock_of(chain) == before
