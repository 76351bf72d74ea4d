from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency import genesis, params
from abci_currency.genesis import Beginning, Bond, Founder, Lock, Rules, Terms
from abci_currency.hooks import active_set
from abci_currency.machine import MACHINE
from abci_currency.params import DAY_MS, Relays, Rewards, Slashing, Staking
from abci_currency.state import audit, pools, rewards, stake, staking, vesting
from abci_currency.state.supply import of_state
from dchat.kernel import accounts, codec, signing
from dchat.kernel import genesis as kernel
from dchat.kernel.amounts import UNIT
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.genesis import Allocation
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.machine import Block, BlockContext, GenesisContext, ValidatorPower, run_block
from dchat.kernel.params import DEFAULT
from dchat.kernel.store import Draft
from tests.fakes.memory import CHAIN, MemoryState

NOW = EpochMs(1_800_000_000_000)
ANN, BEN, CAT, DAN = (AccountId(bytes([at]) * 32) for at in (1, 2, 3, 4))
KEYS = [signing.public_key(bytes([at]) * 32) for at in (5, 6)]
RULES = Rules(staking=Staking(min_validator_stake=Amount(100 * UNIT)))


def tokens(whole: int) -> Amount:
    return Amount(whole * UNIT)


FOUNDERS = (
    Founder(ANN, KEYS[0], "ann", Terms(500, 2000, 100), tokens(50), tokens(300)),
    Founder(BEN, KEYS[1], "ben", Terms(), Amount(1), tokens(100)),
)
LINEAR = Lock(CAT, tokens(40), True, NOW, EpochMs(NOW + 10), EpochMs(NOW + 100))
CLIFF = Lock(DAN, tokens(2), False, NOW, EpochMs(NOW + 10), EpochMs(NOW + 10))
BEGUN = Beginning(
    kernel=kernel.Genesis(
        DEFAULT, tuple(Allocation(each, tokens(1000)) for each in (ANN, BEN, CAT))
    ),
    rules=RULES,
    founders=FOUNDERS,
    bonds=(Bond(CAT, ANN, tokens(60)), Bond(CAT, BEN, Amount(UNIT // 2))),
    locks=(LINEAR, CLIFF),
    treasury=tokens(7),
)
POWERS = (ValidatorPower(KEYS[1], 100), ValidatorPower(KEYS[0], 360))


def started(begun: Beginning = BEGUN, powers: tuple[ValidatorPower, ...] = POWERS) -> MemoryState:
    draft = Draft(MemoryState())
    data = genesis.SHAPE.encode(begun)
    genesis.init(draft, GenesisContext(CHAIN, NOW, powers), data)
    return MemoryState().after(draft.writes())


def test_every_unit_is_in_an_account_from_the_beginning() -> None:
    state = started()

    audit.check_invariants(state)
    vesting.check_invariant(state)
    report = of_state(state)
    assert accounts.load(state, ANN).balance == tokens(700)
    assert accounts.load(state, CAT).balance == tokens(940) - UNIT // 2
    assert accounts.load(state, pools.STAKED).balance == tokens(460) + UNIT // 2
    assert accounts.load(state, pools.TREASURY).balance == tokens(7)
    assert accounts.load(state, pools.VESTING).balance == tokens(42)
    assert report.total == tokens(3000 + 42 + 7)


def test_founders_vote_with_all_that_is_bonded_to_them() -> None:
    state = started()

    ann = staking.found(Draft(state), ANN)
    assert (ann.tokens, ann.shares, ann.active, ann.jailed) == (
        tokens(360),
        360 * UNIT,
        True,
        False,
    )
    assert ann.commission == stake.Commission(500, 2000, 100, NOW)
    assert (ann.moniker, ann.min_self_delegation) == ("ann", tokens(50))
    assert stake.operator_of(state, stake.address_of(KEYS[0])) == ANN
    assert [each.operator for each in active_set.load(state)] == [ANN, BEN]
    assert rewards.totals(state).active_tokens == tokens(460) + UNIT // 2
    assert rewards.totals(state).accrued_to == NOW


def test_delegations_and_locks_are_their_owners() -> None:
    state = started()

    held = stake.delegation(state, CAT, BEN)
    lock = vesting.vesting(state, DAN)
    assert held == stake.Delegation(UNIT // 2, 0, 0)
    assert lock is not None
    assert (lock.vested(NOW), lock.vested(EpochMs(NOW + 10))) == (0, tokens(2))


def test_parameters_of_genesis_are_in_force() -> None:
    rules = Rules(
        RULES.staking,
        replace(Slashing(), missed_blocks_window=77),
        replace(Rewards(), fee_burn_bp=1),
        replace(Relays(), min_escrow=Amount(5)),
    )

    state = started(replace(BEGUN, rules=rules))

    assert params.STAKING.load(state) == RULES.staking
    assert params.SLASHING.load(state).missed_blocks_window == 77
    assert params.REWARDS.load(state).fee_burn_bp == 1
    assert params.RELAYS.load(state).min_escrow == 5


def test_the_first_blocks_change_nothing_about_it() -> None:
    state = started()

    result = run_block(MACHINE, state, Block(BlockContext(CHAIN, Height(1), NOW), ()), {})

    assert (result.writes, result.validator_updates) == ({}, ())


def test_encoding_and_decoding_it_gives_it_back() -> None:
    assert genesis.decode(genesis.SHAPE.encode(BEGUN)) == BEGUN


@pytest.mark.parametrize(
    ("powers", "reason"),
    [
        ((), "has power 0, its stake makes"),
        (POWERS[:1], "has power 0, its stake makes 360"),
        ((POWERS[0], ValidatorPower(KEYS[0], 361)), "has power 361, its stake makes 360"),
        ((*POWERS, ValidatorPower(bytes(32), 1)), "has power 1, its stake makes 0"),
    ],
)
def test_other_validators_than_cometbfts_are_refused(
    powers: tuple[ValidatorPower, ...], reason: str
) -> None:
    with pytest.raises(codec.CodecError, match=reason):
        started(powers=powers)


def founders(**changes: object) -> Beginning:
    """With the second founder changed."""
    return replace(BEGUN, founders=(FOUNDERS[0], replace(FOUNDERS[1], **changes)))


def ruled(**sections: object) -> Beginning:
    return replace(BEGUN, rules=replace(RULES, **sections))


def held(*allocations: Allocation) -> Beginning:
    return replace(BEGUN, kernel=kernel.Genesis(DEFAULT, allocations))


ALLOCATIONS = BEGUN.kernel.allocations
REFUSED = {
    "no founder": (replace(BEGUN, founders=()), "there is no validator"),
    "out of order": (replace(BEGUN, founders=FOUNDERS[::-1]), "validators are not in strictly"),
    "twice": (replace(BEGUN, founders=FOUNDERS[:1] * 2), "validators are not in strictly"),
    "one key for two": (founders(consensus_key=KEYS[0]), "is named twice"),
    "weak key": (founders(consensus_key=bytes(32)), "not a safe Ed25519 key"),
    "too many": (
        ruled(staking=replace(RULES.staking, max_validators=1)),
        "2 validators, and only 1 may vote",
    ),
    "too little stake": (founders(stake=tokens(99)), "stake of 99000000 is below the minimum of 1"),
    "less than it promises": (
        founders(min_self_delegation=tokens(101)),
        "stake of 100000000 is below the minimum of 101000000",
    ),
    "promise of nothing": (founders(min_self_delegation=Amount(0)), "promises to keep nothing"),
    "no moniker": (founders(moniker=""), "its moniker: empty"),
    "moniker that moves the cursor": (founders(moniker="a\x1b[2J"), "its moniker: empty, or"),
    "commission over its maximum": (
        founders(terms=Terms(600, 500, 100)),
        "commission of 600 basis points, its maximum 500",
    ),
    "maximum over all": (founders(terms=Terms(0, 10_001, 0)), "its maximum 10001"),
    "change over its maximum": (founders(terms=Terms(0, 500, 501)), "may change by 501"),
    "stake over the allocation": (
        founders(stake=tokens(1001)),
        "stakes 1001000000, and its allocation is 1000000000",
    ),
    "all stake over the allocation": (
        replace(BEGUN, bonds=(Bond(BEN, ANN, tokens(901)),)),
        "stakes 1001000000, and its allocation is 1000000000",
    ),
    "stake of nothing": (held(*ALLOCATIONS[1:]), "stakes 300000000, and its allocation is 0"),
    "delegation to nobody": (
        replace(BEGUN, bonds=(Bond(CAT, DAN, Amount(1)),)),
        "no validator",
    ),
    "delegation to oneself": (
        replace(BEGUN, bonds=(Bond(ANN, ANN, Amount(1)),)),
        "delegates to itself",
    ),
    "delegation of nothing": (
        replace(BEGUN, bonds=(Bond(CAT, ANN, Amount(0)),)),
        "delegates nothing",
    ),
    "delegations out of order": (
        replace(BEGUN, bonds=BEGUN.bonds[::-1]),
        "delegations are not in strictly",
    ),
    "locks out of order": (replace(BEGUN, locks=(CLIFF, LINEAR)), "vesting accounts are not in"),
    "lock of nothing": (
        replace(BEGUN, locks=(replace(LINEAR, tokens=Amount(0)),)),
        "nothing vests",
    ),
    "lock that ends before its cliff": (
        replace(BEGUN, locks=(replace(LINEAR, ends_at=EpochMs(NOW + 9)),)),
        "beginning, cliff and end are not in this order",
    ),
    "cliff before the beginning": (
        replace(BEGUN, locks=(replace(LINEAR, cliff_at=EpochMs(NOW - 1)),)),
        "beginning, cliff and end are not in this order",
    ),
    "cliff that goes on": (
        replace(BEGUN, locks=(replace(CLIFF, ends_at=EpochMs(NOW + 11)),)),
        "not linear, so the cliff is its end",
    ),
    "allocation to a pool": (
        held(*sorted((*ALLOCATIONS, Allocation(pools.STAKED, Amount(1))), key=lambda e: e.account)),
        "is an account of the chain's own rules",
    ),
    "lock for a pool": (
        replace(BEGUN, locks=(replace(LINEAR, account=pools.REWARDS),)),
        "is an account of the chain's own rules",
    ),
    "more than 64 bits": (
        replace(BEGUN, treasury=Amount(codec.MAX_U64)),
        "allocations, vesting and treasury together exceed 64 bits",
    ),
    "allocations of more than 64 bits": (
        held(Allocation(ANN, Amount(codec.MAX_U64)), *ALLOCATIONS[1:]),
        "allocations together exceed 64 bits",
    ),
    "staking out of bounds": (
        ruled(staking=replace(RULES.staking, max_unbondings=0)),
        "staking: ",
    ),
    "slashing out of bounds": (
        ruled(slashing=replace(Slashing(), downtime_slash_bp=10_001)),
        "slashing: ",
    ),
    "rewards out of bounds": (ruled(rewards=replace(Rewards(), epoch_ms=1)), "rewards: "),
    "relays out of bounds": (ruled(relays=replace(Relays(), min_stake=Amount(0))), "relays: "),
    "evidence that outlives stake": (
        ruled(staking=replace(RULES.staking, unbonding_ms=13 * DAY_MS)),
        "parameters do not fit together: ",
    ),
    "fees shared out twice": (
        ruled(rewards=replace(Rewards(), fee_burn_bp=6000, fee_treasury_bp=4001)),
        "parameters do not fit together: ",
    ),
}


@pytest.mark.parametrize(("begun", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_together_is_refused(begun: Beginning, reason: str) -> None:
    with pytest.raises(codec.CodecError) as caught:
        genesis.decode(genesis.SHAPE.encode(begun))

    assert reason in str(caught.value)


def test_a_genesis_in_which_nobody_has_anything_is_refused() -> None:
    with pytest.raises((codec.CodecError, InvariantBroken)):
        started(held())


def test_the_kernels_form_alone_is_no_genesis() -> None:
    with pytest.raises(codec.CodecError):
        genesis.decode(kernel.SHAPE.encode(BEGUN.kernel))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_genesis_or_a_codec_error(data: bytes) -> None:
    with suppress(codec.CodecError):
        genesis.decode(data)


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_changed_byte_is_another_genesis_or_a_codec_error(place: int, change: int) -> None:
    data = bytearray(genesis.SHAPE.encode(BEGUN))
    data[place % len(data)] ^= change

    with suppress(codec.CodecError):
        assert genesis.decode(bytes(data)) != BEGUN
