"""Blocks that a real CometBFT made and signed are believed, and hash to what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import RootModel

from dchat.kernel.headers import Flag, InvalidHeader, header_hash, validators_hash
from dchat.kernel.light import (
    MIN_DRIFT_NS,
    LightBlock,
    TrustedBlock,
    TrustRoot,
    start,
    verify,
)
from dchat.kernel.wire import NS_PER_SECOND
from dchat.node.answers import (
    Answer,
    SignedHeader,
    ValidatorPage,
    build_validator_set,
    parse,
)

PERIOD_NS = 3600 * NS_PER_SECOND


class _Block(Answer):
    signed_header: SignedHeader
    validators: ValidatorPage
    next_validators: ValidatorPage

    def build(self) -> LightBlock:
        header, commit = self.signed_header.build()
        own = build_validator_set((self.validators,))
        return LightBlock(header, commit, own, build_validator_set((self.next_validators,)))


class _Blocks(RootModel[list[_Block]]):
    pass


RECORDED = parse(
    _Blocks, (Path(__file__).parent / "comet_light_blocks" / "blocks.json").read_bytes()
)
BUILT = tuple(each.build() for each in RECORDED.root)
BLOCKS: dict[int, LightBlock] = {int(block.header.height): block for block in BUILT}
FIRST = BLOCKS[min(BLOCKS)]
NOW_NS = BLOCKS[max(BLOCKS)].header.time_ns + NS_PER_SECOND


def begin() -> TrustedBlock:
    header = FIRST.header
    root = TrustRoot(header.chain_id, header.height, header.time_ns, header.validators_hash)
    return start(root, FIRST, NOW_NS, PERIOD_NS, MIN_DRIFT_NS)


def after(trusted: TrustedBlock, block: LightBlock) -> TrustedBlock:
    return verify(trusted, block, NOW_NS, PERIOD_NS, MIN_DRIFT_NS)


@pytest.mark.parametrize("height", sorted(BLOCKS))
def test_header_and_both_sets_hash_to_what_the_node_says(height: int) -> None:
    block = BLOCKS[height]

    assert header_hash(block.header) == block.commit.block_id.hash
    assert validators_hash(block.validators) == block.header.validators_hash
    assert validators_hash(block.next_validators) == block.header.next_validators_hash


@pytest.mark.parametrize("height", sorted(BLOCKS)[1:])
def test_every_later_block_is_believed_from_the_first(height: int) -> None:
    assert after(begin(), BLOCKS[height]).header_hash == header_hash(BLOCKS[height].header)


def test_change_of_the_set_is_followed_one_block_at_a_time() -> None:
    before = after(begin(), BLOCKS[70])

    changed = after(before, BLOCKS[71])

    assert (before.total_power, changed.signed_power, changed.total_power) == (10, 10, 13)


def test_absent_validator_has_an_empty_place() -> None:
    assert [vote.flag for vote in BLOCKS[71].commit.signatures] == [Flag.COMMIT, Flag.ABSENT]


def test_block_with_another_state_is_refused() -> None:
    block = BLOCKS[72]
    forged = replace(block, header=replace(block.header, app_hash=bytes(32)))

    with pytest.raises(InvalidHeader, match="another header"):
        after(begin(), forged)


def test_block_with_another_state_under_its_own_hash_is_refused() -> None:
    block = BLOCKS[72]
    header = replace(block.header, app_hash=bytes(32))
    block_id = replace(block.commit.block_id, hash=header_hash(header))
    forged = replace(block, header=header, commit=replace(block.commit, block_id=block_id))

    with pytest.raises(InvalidHeader, match="signature"):
        after(begin(), forged)
