"""Which blocks a light client believes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import codec
from dchat.kernel.codec import CodecError
from dchat.kernel.headers import (
    BlockId,
    Commit,
    Flag,
    InvalidHeader,
    Validator,
    header_hash,
    validator_set,
)
from dchat.kernel.ids import ChainId, Height
from dchat.kernel.light import (
    MIN_DRIFT_NS,
    Expired,
    FromTheFuture,
    LightBlock,
    NotEnoughTrust,
    TrustedBlock,
    TrustRoot,
    decode_trusted,
    encode_trusted,
    start,
    verify,
)
from dchat.kernel.wire import NS_PER_SECOND
from tests.fakes.chain import (
    GENESIS_NS,
    FakeChain,
    Signer,
    absent,
    make_set,
    sign_block,
    sign_vote,
)

FOUR = tuple(Signer(name) for name in ("ann", "ben", "cid", "dot"))
THREE, TWO, ONE = FOUR[:3], FOUR[:2], FOUR[:1]
STRANGERS = tuple(Signer(name) for name in ("eve", "fay", "gus", "hal"))
CHAIN = FakeChain(FOUR)
PERIOD_NS = 1000 * NS_PER_SECOND
NOW_NS = GENESIS_NS + 500 * NS_PER_SECOND


def begin(chain: FakeChain = CHAIN) -> TrustedBlock:
    return start(chain.root, chain.block(1), NOW_NS, PERIOD_NS, MIN_DRIFT_NS)


def judge(block: LightBlock, chain: FakeChain = CHAIN, now_ns: int = NOW_NS) -> TrustedBlock:
    return verify(begin(chain), block, now_ns, PERIOD_NS, MIN_DRIFT_NS)


def with_votes(block: LightBlock, *votes: object) -> LightBlock:
    return replace(block, commit=replace(block.commit, signatures=votes))


def test_next_block_signed_by_all_is_trusted() -> None:
    block = CHAIN.block(2)

    trusted = judge(block)

    assert (trusted.height, trusted.header_hash) == (2, header_hash(block.header))
    assert (trusted.signed_power, trusted.total_power) == (30, 40)


def test_later_block_signed_by_the_same_set_is_trusted_at_once() -> None:
    assert judge(CHAIN.block(100)).height == 100


def test_three_of_four_are_enough() -> None:
    assert judge(CHAIN.block(2, THREE)).signed_power == 30


@pytest.mark.parametrize("height", [2, 3])
def test_two_of_four_are_not_enough(height: int) -> None:
    with pytest.raises(InvalidHeader, match="20 of 40"):
        judge(CHAIN.block(height, TWO))


@pytest.mark.parametrize("height", [2, 3])
def test_exactly_two_thirds_are_not_enough(height: int) -> None:
    chain = FakeChain(THREE)

    with pytest.raises(InvalidHeader, match="20 of 30"):
        judge(chain.block(height, TWO), chain)


def test_votes_for_nil_do_not_count() -> None:
    block = CHAIN.block(2, TWO)
    nil = sign_vote(block.commit, CHAIN.chain_id, FOUR[2], Flag.NIL)
    votes = [nil if vote.flag is Flag.ABSENT else vote for vote in block.commit.signatures]

    with pytest.raises(InvalidHeader, match="20 of 40"):
        judge(with_votes(block, *votes))


def test_vote_for_nil_is_no_vote_for_the_block_when_relabelled() -> None:
    block = CHAIN.block(2, TWO)
    nil = [sign_vote(block.commit, CHAIN.chain_id, signer, Flag.NIL) for signer in FOUR[2:]]
    votes = {vote.validator_address: vote for vote in (*block.commit.signatures, *nil)}
    relabelled = [
        replace(votes[address], flag=Flag.COMMIT) for address in block.validators.addresses
    ]

    with pytest.raises(InvalidHeader, match="signature"):
        judge(with_votes(block, *relabelled))


def test_bad_signature_before_the_threshold_is_refused() -> None:
    block = CHAIN.block(2)
    first, *rest = block.commit.signatures

    with pytest.raises(InvalidHeader, match="signature"):
        judge(with_votes(block, replace(first, signature=bytes(64)), *rest))


def test_bad_signature_after_the_threshold_is_not_read_as_in_cometbft() -> None:
    block = CHAIN.block(2)
    *rest, last = block.commit.signatures

    assert judge(with_votes(block, *rest, replace(last, signature=bytes(64)))).height == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda commit: replace(commit, round=commit.round + 1),
        lambda commit: replace(
            commit, block_id=BlockId(commit.block_id.hash, 2, commit.block_id.parts_hash)
        ),
        lambda commit: replace(
            commit, block_id=BlockId(commit.block_id.hash, 1, bytes(31) + b"\1")
        ),
        lambda commit: replace(
            commit,
            signatures=tuple(replace(vote, time_ns=vote.time_ns + 1) for vote in commit.signatures),
        ),
    ],
    ids=["round", "part count", "parts hash", "vote time by a nanosecond"],
)
def test_signature_covers(change: Callable[[Commit], Commit]) -> None:
    block = CHAIN.block(2)

    with pytest.raises(InvalidHeader, match="signature"):
        judge(replace(block, commit=change(block.commit)))


def test_signatures_of_another_chain_do_not_count() -> None:
    block = CHAIN.block(2)
    votes = [sign_vote(block.commit, ChainId("other"), signer) for signer in FOUR]
    placed = {vote.validator_address: vote for vote in votes}

    with pytest.raises(InvalidHeader, match="signature"):
        judge(with_votes(block, *[placed[address] for address in block.validators.addresses]))


def test_swapped_votes_are_refused() -> None:
    block = CHAIN.block(2)
    first, second, *rest = block.commit.signatures

    with pytest.raises(InvalidHeader, match="out of place"):
        judge(with_votes(block, second, first, *rest))


@pytest.mark.parametrize("height", [2, 3])
def test_more_votes_than_validators_are_refused(height: int) -> None:
    block = CHAIN.block(height)

    with pytest.raises(InvalidHeader, match="number of votes"):
        judge(with_votes(block, *block.commit.signatures, absent()))


def test_repeated_vote_does_not_count_twice_towards_the_overlap() -> None:
    chain = FakeChain(FOUR, sets={3: (*ONE, *STRANGERS)})
    block = chain.block(5)
    mine = sign_vote(block.commit, chain.chain_id, FOUR[0])

    with pytest.raises(InvalidHeader, match="twice"):
        judge(with_votes(block, mine, mine, *block.commit.signatures), chain)


def test_one_quarter_of_the_trusted_set_is_not_enough_to_skip() -> None:
    chain = FakeChain(FOUR, sets={3: (*ONE, *STRANGERS)})

    with pytest.raises(NotEnoughTrust) as caught:
        judge(chain.block(5), chain)

    assert (caught.value.signed, caught.value.total) == (10, 40)


def test_exactly_one_third_of_the_trusted_set_is_not_enough_to_skip() -> None:
    chain = FakeChain(THREE, sets={3: (*ONE, *STRANGERS)})

    with pytest.raises(NotEnoughTrust):
        judge(chain.block(5), chain)


def test_half_of_the_trusted_set_is_enough_to_skip() -> None:
    chain = FakeChain(FOUR, sets={3: (*TWO, *STRANGERS[:2])})

    assert judge(chain.block(5), chain).height == 5


def test_skipping_still_needs_two_thirds_of_the_new_set() -> None:
    chain = FakeChain(FOUR, sets={3: (*TWO, *STRANGERS)})

    with pytest.raises(InvalidHeader, match="20 of 60"):
        judge(chain.block(5, TWO), chain)


def test_next_block_of_a_set_that_was_not_announced_is_refused() -> None:
    block = sign_block(FakeChain(STRANGERS).header(2), STRANGERS, STRANGERS, STRANGERS)

    with pytest.raises(InvalidHeader, match="announced"):
        judge(block)


def test_announced_change_of_the_whole_set_is_followed_step_by_step() -> None:
    chain = FakeChain(FOUR, sets={2: STRANGERS})

    second = judge(chain.block(2), chain)

    assert verify(second, chain.block(3), NOW_NS, PERIOD_NS, MIN_DRIFT_NS).height == 3


def test_expired_trust_is_refused_from_the_very_nanosecond() -> None:
    with pytest.raises(Expired):
        judge(CHAIN.block(2), now_ns=CHAIN.time_ns(1) + PERIOD_NS)


def test_trust_holds_until_the_nanosecond_before() -> None:
    assert judge(CHAIN.block(2), now_ns=CHAIN.time_ns(1) + PERIOD_NS - 1).height == 2


def test_block_beyond_the_clock_drift_is_from_the_future() -> None:
    with pytest.raises(FromTheFuture):
        judge(CHAIN.block(2), now_ns=CHAIN.time_ns(2) - MIN_DRIFT_NS)


@pytest.mark.parametrize("height", [2, 400])
def test_forged_block_from_the_future_is_no_reason_to_doubt_the_clock(height: int) -> None:
    forged = replace(FakeChain(STRANGERS).header(height), time_ns=NOW_NS * 2)

    with pytest.raises((InvalidHeader, NotEnoughTrust)):
        judge(sign_block(forged, STRANGERS, STRANGERS, STRANGERS))


def test_block_within_the_clock_drift_is_trusted() -> None:
    assert judge(CHAIN.block(2), now_ns=CHAIN.time_ns(2) - MIN_DRIFT_NS + 1).height == 2


@pytest.mark.parametrize("height", [1, 2])
def test_block_at_or_below_the_trusted_height_is_refused(height: int) -> None:
    trusted = judge(CHAIN.block(2))

    with pytest.raises(InvalidHeader, match="not above"):
        verify(trusted, CHAIN.block(height), NOW_NS, PERIOD_NS, MIN_DRIFT_NS)


@pytest.mark.parametrize("height", [2, 3])
def test_block_that_is_not_later_is_refused(height: int) -> None:
    header = replace(CHAIN.header(height), time_ns=CHAIN.time_ns(1))

    with pytest.raises(InvalidHeader, match="not after"):
        judge(sign_block(header, FOUR, FOUR, FOUR))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda block: replace(block, header=CHAIN.header(3)), "another height"),
        (
            lambda block: replace(block, header=replace(block.header, app_hash=bytes(31) + b"\1")),
            "another header",
        ),
        (
            lambda block: replace(block, commit=replace(block.commit, height=Height(3))),
            "another height",
        ),
        (lambda block: replace(block, validators=make_set(THREE)), "not the header's"),
        (lambda block: replace(block, next_validators=make_set(THREE)), "next validators"),
        (
            lambda block: sign_block(
                replace(block.header, chain_id=ChainId("other")), FOUR, FOUR, FOUR
            ),
            "of chain 'other'",
        ),
    ],
)
def test_inconsistent_block_is_refused(
    change: Callable[[LightBlock], LightBlock], reason: str
) -> None:
    with pytest.raises(InvalidHeader, match=reason):
        judge(change(CHAIN.block(2)))


def test_first_block_is_trusted_from_the_root() -> None:
    trusted = begin()

    assert (trusted.chain_id, trusted.height, trusted.signed_power) == ("fake-chain", 1, 30)


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        (replace(CHAIN.root, chain_id=ChainId("other")), "of chain"),
        (replace(CHAIN.root, height=Height(2)), "not the block of the root"),
        (replace(CHAIN.root, time_ns=CHAIN.root.time_ns + 1), "time differs"),
        (replace(CHAIN.root, validators_hash=bytes(32)), "validators differ"),
    ],
)
def test_first_block_that_is_not_the_roots_is_refused(root: TrustRoot, reason: str) -> None:
    with pytest.raises(InvalidHeader, match=reason):
        start(root, CHAIN.block(1), NOW_NS, PERIOD_NS, MIN_DRIFT_NS)


def test_first_block_without_two_thirds_is_refused() -> None:
    with pytest.raises(InvalidHeader, match="20 of 40"):
        start(CHAIN.root, CHAIN.block(1, TWO), NOW_NS, PERIOD_NS, MIN_DRIFT_NS)


def test_root_older_than_the_trusting_period_is_expired() -> None:
    late = CHAIN.root.time_ns + PERIOD_NS

    with pytest.raises(Expired):
        start(CHAIN.root, CHAIN.block(1), late, PERIOD_NS, MIN_DRIFT_NS)


def test_first_block_ahead_of_the_clock_is_from_the_future() -> None:
    early = CHAIN.root.time_ns - MIN_DRIFT_NS

    with pytest.raises(FromTheFuture):
        start(CHAIN.root, CHAIN.block(1), early, PERIOD_NS, MIN_DRIFT_NS)


@pytest.mark.parametrize("chain", [CHAIN, FakeChain((*FOUR, Signer("big", power=10**15)))])
def test_trusted_block_survives_its_bytes(chain: FakeChain) -> None:
    trusted = begin(chain)

    assert decode_trusted(encode_trusted(trusted)) == trusted


def test_a_trusted_block_with_a_large_set_survives_its_bytes() -> None:
    large = validator_set(Validator(n.to_bytes(32, "big"), 1) for n in range(1000))
    trusted = replace(begin(CHAIN), next_validators=large)

    assert decode_trusted(encode_trusted(trusted)) == trusted


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_no_trusted_block(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_trusted(data)


@pytest.mark.parametrize(
    "members",
    [
        lambda members: members[::-1],
        lambda members: [*members, members[0]],
        lambda members: [[bytes(32), 2**64 - 1]],
    ],
    ids=["out of order", "one twice", "too much power"],
)
def test_trusted_block_with_a_malformed_set_is_refused(
    members: Callable[[list[codec.Raw]], codec.Raw],
) -> None:
    parts = list(codec.as_values(codec.unpack(encode_trusted(begin()))))
    at = 5

    damaged = codec.pack([*parts[:at], members(list(codec.as_values(parts[at]))), *parts[at + 1 :]])

    with pytest.raises(CodecError):
        decode_trusted(damaged)
