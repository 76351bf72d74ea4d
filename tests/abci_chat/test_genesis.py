from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat import genesis, params
from abci_chat.genesis import Beginning, Rules, Validator, Voter
from abci_chat.machine import MACHINE
from abci_chat.params import Channels, Governance, Identities, Moderation, Reputation, Work
from abci_chat.state import beacon, foreign, pools, weights
from abci_chat.state.foreign import Bound, ForeignSection
from dchat.kernel import accounts, codec, headers, signing, supply
from dchat.kernel import genesis as kernel
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.genesis import Allocation
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.machine import Block, BlockContext, GenesisContext, ValidatorPower, run_block
from dchat.kernel.params import DEFAULT
from dchat.kernel.store import Draft
from tests.fakes.memory import CHAIN, MemoryState

NOW = EpochMs(1_800_000_000_000)
ANN, BEN, CAT = (AccountId(bytes([at]) * 32) for at in (1, 2, 3))
KEYS = sorted(signing.public_key(bytes([at]) * 32) for at in (5, 6))
HEAD = bytes([7]) * 32
VALIDATORS = (Validator(KEYS[0], BEN, HEAD, 100), Validator(KEYS[1], ANN))
BEGUN = Beginning(
    kernel=kernel.Genesis(DEFAULT, (Allocation(ANN, Amount(1000)), Allocation(CAT, Amount(5)))),
    rules=Rules(channels=Channels(deposit=Amount(77))),
    voters=(Voter(ANN, 10), Voter(BEN, 32)),
    validators=VALIDATORS,
    currency=(
        ForeignSection("rewards", (Bound("epoch_ms", 60_000, 70_000),)),
        ForeignSection("staking", (Bound("a", 0, 0), Bound("b", 1, codec.MAX_U64))),
    ),
)
POWERS = (ValidatorPower(KEYS[1], 3), ValidatorPower(KEYS[0], 100))


def started(begun: Beginning = BEGUN, powers: tuple[ValidatorPower, ...] = POWERS) -> MemoryState:
    draft = Draft(MemoryState())
    genesis.init(draft, GenesisContext(CHAIN, NOW, powers), genesis.SHAPE.encode(begun))
    return MemoryState().after(draft.writes())


def test_credits_are_in_accounts_from_the_beginning() -> None:
    state = started()

    supply.check_invariant(state)
    assert accounts.load(state, ANN).balance == 1000
    assert supply.load(state).issued == 1005


def test_parameters_of_genesis_are_in_force() -> None:
    state = started()

    assert params.CHANNELS.load(state).deposit == 77
    assert state.get(params.REPUTATION.key) == params.REPUTATION.shape.encode(Reputation())


def test_the_bounds_of_the_currency_chain_are_known() -> None:
    state = started()

    assert foreign.bounds(state, "staking") == {"a": (0, 0), "b": (1, codec.MAX_U64)}
    assert foreign.bounds(state, "slashing") is None


def test_votes_count_from_the_first_block_on() -> None:
    state = started()

    found = (weights.at(state, ANN, Height(1)), weights.at(state, BEN, Height(1)))
    assert (*found, weights.total_at(state, Height(1))) == (10, 32, 42)


def test_validators_are_bound_to_their_preimages() -> None:
    state = started()

    bound, free = (beacon.load(state, headers.address_of(each)) for each in KEYS)
    assert bound is not None
    assert free is not None
    assert (bound.operator, bound.link.head, bound.link.left) == (BEN, HEAD, 100)
    assert (free.operator, free.link.head, free.link.left) == (ANN, beacon.EMPTY_HEAD, 0)


def test_the_first_blocks_change_nothing_about_it() -> None:
    state = started()

    result = run_block(MACHINE, state, Block(BlockContext(CHAIN, Height(1), NOW), ()), {})

    assert (result.writes, result.validator_updates) == ({}, ())


def test_encoding_and_decoding_it_gives_it_back() -> None:
    assert genesis.decode(genesis.SHAPE.encode(BEGUN)) == BEGUN


@pytest.mark.parametrize(
    ("powers", "reason"),
    [
        ((), f"only the application has validator {KEYS[0].hex()}"),
        (POWERS[:1], f"only the application has validator {KEYS[0].hex()}"),
        ((*POWERS, ValidatorPower(bytes(32), 1)), f"only CometBFT has validator {bytes(32).hex()}"),
    ],
)
def test_other_validators_than_cometbfts_are_refused(
    powers: tuple[ValidatorPower, ...], reason: str
) -> None:
    with pytest.raises(codec.CodecError, match=reason):
        started(powers=powers)


def validators(**changes: object) -> Beginning:
    """With the first validator changed."""
    return replace(BEGUN, validators=(replace(VALIDATORS[0], **changes), VALIDATORS[1]))


def ruled(**sections: object) -> Beginning:
    return replace(BEGUN, rules=replace(Rules(), **sections))


def held(*allocations: Allocation) -> Beginning:
    return replace(BEGUN, kernel=kernel.Genesis(DEFAULT, allocations))


def voting(*voters: Voter) -> Beginning:
    return replace(BEGUN, voters=voters)


def votable(*bounds: Bound) -> Beginning:
    return replace(BEGUN, currency=(ForeignSection("staking", bounds),))


POOL = min(pools.NAMES)
REFUSED = {
    "no voter": (voting(), "nobody may vote"),
    "voters out of order": (voting(*BEGUN.voters[::-1]), "voters are not in strictly ascending"),
    "voter twice": (voting(*BEGUN.voters[:1] * 2), "voters are not in strictly ascending"),
    "voter without weight": (voting(Voter(ANN, 0)), "has no weight"),
    "voter is a pool": (voting(Voter(POOL, 1)), "is an account of the chain's own rules"),
    "weight of more than 64 bits": (
        voting(Voter(ANN, codec.MAX_U64), Voter(BEN, 1)),
        "weights together exceed 64 bits",
    ),
    "no validator": (replace(BEGUN, validators=()), "there is no validator"),
    "validators out of order": (
        replace(BEGUN, validators=VALIDATORS[::-1]),
        "validators are not in strictly ascending order of key",
    ),
    "validator twice": (
        replace(BEGUN, validators=VALIDATORS[:1] * 2),
        "validators are not in strictly ascending order of key",
    ),
    "one operator for two": (validators(operator=ANN), "two validators have dchat1"),
    "one chain of preimages for two": (
        replace(BEGUN, validators=(VALIDATORS[0], Validator(KEYS[1], ANN, HEAD, 100))),
        f"two validators have {HEAD.hex()}",
    ),
    "weak key": (validators(consensus_key=bytes(32)), "not a safe Ed25519 key"),
    "operator is a pool": (
        validators(operator=POOL),
        "its operator is an account of the chain's own rules",
    ),
    "too many preimages": (
        validators(beacon_length=beacon.MAX_LENGTH + 1),
        "4097 preimages, limit 4096",
    ),
    "preimages without a head": (
        validators(beacon_head=beacon.EMPTY_HEAD),
        "a head of preimages and their number are only there together",
    ),
    "head without preimages": (
        validators(beacon_length=0),
        "a head of preimages and their number are only there together",
    ),
    "credits of a pool": (held(Allocation(POOL, Amount(1))), "of the chain's own rules"),
    "allocations out of order": (
        held(*BEGUN.kernel.allocations[::-1]),
        "allocations are not in strictly ascending order of account",
    ),
    "sections out of order": (
        replace(BEGUN, currency=BEGUN.currency[::-1]),
        "sections are not in strictly ascending order of name",
    ),
    "section twice": (
        replace(BEGUN, currency=BEGUN.currency[:1] * 2),
        "sections are not in strictly ascending order of name",
    ),
    "names out of order": (
        votable(Bound("b", 0, 1), Bound("a", 0, 1)),
        "staking are not in strictly ascending order of name",
    ),
    "bounds that nothing meets": (votable(Bound("a", 2, 1)), "staking.a: 2 is above 1"),
    "identities out of bounds": (ruled(identities=Identities(max_devices=0)), "identities: "),
    "work out of bounds": (ruled(work=Work(base_bits=49)), "work: "),
    "channels out of bounds": (ruled(channels=Channels(bumps_per_hour=0)), "channels: "),
    "governance out of bounds": (ruled(governance=Governance(threshold_bp=4999)), "governance: "),
    "moderation out of bounds": (ruled(moderation=Moderation(jury_size=0)), "moderation: "),
    "sections at odds": (
        ruled(governance=Governance(deposit=Amount(5), ballot_bond=Amount(6))),
        "parameters do not fit together: ballot_bond",
    ),
    "reputation out of bounds": (
        ruled(reputation=Reputation(trusted_fee_bp=10_001)),
        "reputation: ",
    ),
}


@pytest.mark.parametrize(("begun", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_together_is_refused(begun: Beginning, reason: str) -> None:
    with pytest.raises(codec.CodecError) as caught:
        genesis.decode(genesis.SHAPE.encode(begun))

    assert reason in str(caught.value)


def test_a_genesis_in_which_nobody_has_anything_is_refused() -> None:
    with pytest.raises(InvariantBroken):
        started(held())


def test_the_kernels_form_alone_is_no_genesis() -> None:
    with pytest.raises(codec.CodecError):
        genesis.decode(kernel.SHAPE.encode(BEGUN.kernel))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_genesis_or_a_codec_error(data: bytes) -> None:
    with suppress(codec.CodecError):
        genesis.decode(data)


@given(st.integers(0, 600), st.integers(1, 255))
def test_a_changed_byte_is_another_genesis_or_a_codec_error(place: int, change: int) -> None:
    data = bytearray(genesis.SHAPE.encode(BEGUN))
    data[place % len(data)] ^= change

    with suppress(codec.CodecError):
        assert genesis.decode(bytes(data)) != BEGUN
