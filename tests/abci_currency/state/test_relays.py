from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency.state import pools, relays
from abci_currency.state.relays import PeerKey, Relay
from abci_currency.txs import relay
from abci_currency.txs.relay import SettleRelay, UnbondRelay
from dchat.kernel import accounts, codec, supply
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, CHAIN, MemoryState
from tests.fakes.postage import ADDRESSES, FORTNIGHT_MS, PEER, STAKE, peer_of, serving

NOW = EpochMs(1000)
FIRST = Height(1)
"""When the relay was registered."""


def record(stake: int = 10, jailed_until: int = 0, leaves_at: int = 0) -> Relay:
    return Relay(
        ALICE.id, ADDRESSES, Amount(stake), FIRST, EpochMs(jailed_until), EpochMs(leaves_at)
    )


@pytest.mark.parametrize(
    ("record", "serves"),
    [
        (record(), True),
        (record(stake=9), False),
        (record(jailed_until=NOW), True),
        (record(jailed_until=NOW + 1), False),
        (record(leaves_at=NOW + 1), False),
        (record(leaves_at=NOW), False),
    ],
)
def test_a_relay_serves_with_stake_out_of_jail_and_while_it_stays(
    record: Relay, *, serves: bool
) -> None:
    assert record.serves(Amount(10), NOW) is serves


def test_a_slash_burns_stake_and_nothing_else() -> None:
    chain = serving()
    draft = chain.draft()

    burned = relays.slash(draft, peer_of(PEER), Amount(7), FIRST)
    chain.keep(draft)

    found = relays.relay(chain.state, peer_of(PEER))
    assert (burned, found and found.stake, chain.pools()[0]) == (7, STAKE - 7, STAKE - 7)
    chain.audit()


def test_a_slash_takes_no_more_than_there_is() -> None:
    chain = serving()
    draft = chain.draft()

    burned = relays.slash(draft, peer_of(PEER), Amount(codec.MAX_U64), FIRST)
    again = relays.slash(draft, peer_of(PEER), Amount(1), FIRST)
    chain.keep(draft)

    assert (burned, again, chain.pools()[0]) == (STAKE, 0, 0)
    chain.audit()


@pytest.mark.parametrize(
    ("fraction_bp", "burned"), [(0, 0), (1, 100_000), (500, 50_000_000), (10_000, STAKE)]
)
def test_a_share_of_the_stake_is_burned(fraction_bp: int, burned: int) -> None:
    draft = serving().draft()

    assert relays.slash_share(draft, peer_of(PEER), fraction_bp, FIRST) == burned


def test_a_share_of_dust_is_rounded_up() -> None:
    draft = serving().draft()
    relays.slash(draft, peer_of(PEER), Amount(STAKE - 3), FIRST)

    assert relays.slash_share(draft, peer_of(PEER), 1, FIRST) == 1


def test_a_slash_reaches_stake_that_leaves() -> None:
    chain = serving()
    chain.send(ALICE, relay.UNBOND, UnbondRelay(peer_of(PEER)))
    chain.pass_ms(FORTNIGHT_MS)
    draft = chain.draft()

    relays.slash_share(draft, peer_of(PEER), 5000, FIRST)
    chain.keep(draft)
    before = chain.balance(ALICE.id)
    chain.send(ALICE, relay.SETTLE, SettleRelay(peer_of(PEER)))

    assert chain.balance(ALICE.id) - before == STAKE // 2 - 2000
    chain.audit()


def test_an_offence_before_the_registration_costs_it_nothing() -> None:
    draft = serving().draft()

    assert relays.slash(draft, peer_of(PEER), Amount(1), Height(FIRST - 1)) == 0


@pytest.mark.parametrize("stranger", [PeerKey(bytes(32)), peer_of(b"s" * 32)])
def test_where_there_is_no_relay_nothing_is_slashed_or_jailed(stranger: PeerKey) -> None:
    draft = serving().draft()

    burned = relays.slash_share(draft, stranger, 10_000, FIRST)
    relays.jail(draft, stranger, EpochMs(5))

    assert (burned, dict(draft.writes())) == (0, {})


@given(st.lists(st.integers(0, codec.MAX_U64).map(EpochMs), min_size=1, max_size=5))
def test_jail_lasts_until_the_latest_time_that_was_said(times: list[EpochMs]) -> None:
    draft = Draft(MemoryState())
    relays.save(draft, peer_of(PEER), record())

    done = [relays.jail(draft, peer_of(PEER), until) for until in times]

    found = relays.relay(draft, peer_of(PEER))
    assert (len(done), found and found.jailed_until) == (len(times), max(times))


@pytest.mark.parametrize("amount", [0, 1, codec.MAX_U64])
def test_a_record_is_read_back(amount: int) -> None:
    draft, widest = Draft(MemoryState()), record(amount, codec.MAX_U64, codec.MAX_U64)

    relays.save(draft, peer_of(PEER), widest)

    assert list(relays.relays(draft)) == [(peer_of(PEER), widest)]


def test_relays_are_listed_by_peer_key_and_apart_from_other_records() -> None:
    draft = Draft(MemoryState())
    accounts.credit(draft, ALICE.id, Amount(1))
    supply.issue(draft, Amount(1))
    draft.put(codec.pack(("relayed", b"x" * 32)), b"")
    peers = [PeerKey(bytes([at]) * 32) for at in (9, 1, 255)]
    written = [relays.save(draft, peer, record()) for peer in peers]

    listed = [peer for peer, _ in relays.relays(draft)]

    assert (len(written), listed) == (3, sorted(peers))


def test_a_pool_that_holds_anything_else_is_found() -> None:
    chain = serving()
    draft = chain.draft()
    accounts.credit(draft, pools.RELAY_STAKES, Amount(1))

    with pytest.raises(InvariantBroken):
        relays.check_invariant(draft)


def test_what_a_peer_signs_names_chain_owner_peer_and_last_height() -> None:
    said = relays.statement(CHAIN, ALICE.id, peer_of(PEER), Height(7))

    assert codec.unpack(said) == [CHAIN, ALICE.id, peer_of(PEER), 7]
