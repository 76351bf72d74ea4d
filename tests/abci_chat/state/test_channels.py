"""The record of a channel, its id, and its deposit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from abci_chat import keys
from abci_chat.state import channels, pools
from abci_chat.state.channels import (
    CHANNEL,
    NOBODY,
    Channel,
    ChannelClosed,
    Kind,
    MembersHidden,
    UnknownChannel,
)
from dchat.kernel import accounts
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import Amount, EpochMs
from dchat.kernel.store import Draft
from tests.fakes.channels import GATE, POLICY
from tests.fakes.memory import ALICE, BOB, CAROL, START, MemoryState, give

WHERE = b"\x0c" * 32
NOW = EpochMs(START)
FULL = Channel(
    Kind.GATED, ALICE.id, Amount(5), POLICY, GATE, NOW, EpochMs(NOW + 1), BOB.id, CAROL.id
)


def funded() -> Draft:
    draft = Draft(MemoryState())
    give(draft, ALICE.id, 5)
    channels.fund(draft, WHERE, FULL)
    return draft


def test_a_channel_reads_back_as_it_was_written() -> None:
    kept = MemoryState().after(funded().writes())

    assert channels.load(kept, WHERE) == CHANNEL.decode(FULL.encode()) == FULL


def test_the_deposit_is_in_the_pool_until_the_channel_is_closed() -> None:
    draft = funded()
    before = accounts.load(draft, ALICE.id).balance, _pool(draft)

    channels.close(draft, WHERE, FULL, NOW)

    assert (before, accounts.load(draft, ALICE.id).balance, _pool(draft)) == ((0, 5), 5, 0)
    channels.check_deposits(draft)


def _pool(draft: Draft) -> int:
    return accounts.load(draft, pools.CHANNEL_DEPOSITS).balance


@pytest.mark.parametrize(("now", "closed_at"), [(NOW, NOW), (EpochMs(0), EpochMs(1))])
def test_a_closed_channel_leaves_its_record_and_no_claims(now: EpochMs, closed_at: EpochMs) -> None:
    draft = funded()

    channels.close(draft, WHERE, FULL, now)

    left = replace(
        FULL, deposit=Amount(0), successor=NOBODY, offered_to=NOBODY, closed_at=closed_at
    )
    assert channels.load(draft, WHERE) == left
    with pytest.raises(ChannelClosed):
        channels.open_channel(draft, WHERE)


def test_an_id_that_nobody_was_given_is_unknown() -> None:
    with pytest.raises(UnknownChannel):
        channels.open_channel(MemoryState(), WHERE)


@pytest.mark.parametrize("kind", [Kind.PUBLIC, Kind.GATED])
def test_members_are_listed(kind: Kind) -> None:
    draft = Draft(MemoryState())
    channels.save(draft, WHERE, replace(FULL, kind=kind))

    assert channels.listing(draft, WHERE).lists_members


def test_members_of_a_private_channel_are_not() -> None:
    draft = Draft(MemoryState())
    channels.save(draft, WHERE, replace(FULL, kind=Kind.PRIVATE))

    with pytest.raises(MembersHidden):
        channels.listing(draft, WHERE)


def test_only_the_owner_is_noted_to_be_there() -> None:
    draft = funded()
    later = EpochMs(NOW + 1000)

    channels.acted(draft, WHERE, BOB.id, later)
    others = channels.open_channel(draft, WHERE).acted_at
    channels.acted(draft, WHERE, ALICE.id, later)

    assert (others, channels.open_channel(draft, WHERE).acted_at) == (NOW + 1, later)


def test_a_deposit_that_is_nowhere_is_found_out() -> None:
    draft = funded()
    channels.save(draft, WHERE, replace(FULL, deposit=Amount(6)))

    with pytest.raises(InvariantBroken, match="6 credits, the pool holds 5"):
        channels.check_deposits(draft)


def test_the_key_of_a_channel_is_under_that_of_all() -> None:
    assert keys.channel(WHERE).startswith(keys.CHANNELS)
