from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency import params
from abci_currency.machine import MACHINE
from abci_currency.state import relays
from abci_currency.state.relays import PeerKey, Relay
from abci_currency.txs import relay
from abci_currency.txs.relay import (
    BadPeerProof,
    BadRelayAddress,
    EditRelay,
    NothingDue,
    NotRelayOwner,
    PeerProofExpired,
    RegisterRelay,
    RelayEdited,
    RelayLeaving,
    RelayRegistered,
    RelaySettled,
    RelayStakeTooLow,
    RelayTaken,
    RelayToppedUp,
    RelayUnbonding,
    SettleRelay,
    TopUpRelay,
    UnbondRelay,
    UnknownRelay,
    WeakPeerKey,
)
from dchat.kernel.errors import InsufficientFunds, MalformedBody, NonceMismatch, ZeroAmount
from dchat.kernel.family import Family
from dchat.kernel.ids import Amount, ChainId, EpochMs, Height
from tests.fakes.memory import ALICE, BOB, Person, run, signed
from tests.fakes.postage import (
    ADDRESSES,
    FORTNIGHT_MS,
    PEER,
    STAKE,
    START,
    Clockwork,
    peer_of,
    registration,
    serving,
)

KEY = peer_of(PEER)
ELSEWHERE = ("/dns/relay.example.org/tcp/7070", "/ip6/2001:db8::1/tcp/7070")
FEE = 2000
FUNDS = 10**12
LEAVES_AT = EpochMs(START + FORTNIGHT_MS)


def found(chain: Clockwork) -> Relay | None:
    return relays.relay(chain.state, KEY)


def known(chain: Clockwork) -> Relay:
    record = found(chain)
    assert record is not None
    return record


def leaving() -> Clockwork:
    chain = serving()
    chain.send(ALICE, relay.UNBOND, UnbondRelay(KEY))
    return chain


def test_a_registration_moves_the_stake_into_the_pool() -> None:
    chain = Clockwork()

    outcome = chain.send(ALICE, relay.REGISTER, registration(ALICE.id))

    assert outcome.events == (RelayRegistered(ALICE.id, KEY, STAKE),)
    assert found(chain) == Relay(ALICE.id, ADDRESSES, STAKE, Height(1))
    assert (chain.balance(ALICE.id), chain.pools()) == (FUNDS - FEE - STAKE, (STAKE, 0, 0))
    chain.audit()


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (registration(ALICE.id, stake=STAKE - 1), RelayStakeTooLow.code),
        (registration(ALICE.id, stake=FUNDS - FEE + 1), InsufficientFunds.code),
        (registration(ALICE.id, stake=2**64 - 1), InsufficientFunds.code),
        (registration(BOB.id), BadPeerProof.code),
        (registration(ALICE.id, chain=ChainId("test-2")), BadPeerProof.code),
        (replace(registration(ALICE.id), proof_until=Height(999)), BadPeerProof.code),
        (replace(registration(ALICE.id), proof=bytes(64)), BadPeerProof.code),
        (replace(registration(ALICE.id), peer=peer_of(b"o" * 32)), BadPeerProof.code),
        (registration(ALICE.id, until=0), PeerProofExpired.code),
        (registration(ALICE.id, until=10_002), PeerProofExpired.code),
        (registration(ALICE.id, until=2**64 - 1), PeerProofExpired.code),
        (registration(ALICE.id, addresses=()), BadRelayAddress.code),
        (registration(ALICE.id, addresses=ADDRESSES * 2), BadRelayAddress.code),
        (registration(ALICE.id, addresses=("/ip4/0.0.0.0/tcp/1",)), BadRelayAddress.code),
        (replace(registration(ALICE.id), peer=PeerKey(bytes(32))), WeakPeerKey.code),
    ],
)
def test_a_registration_is_refused_and_changes_nothing(form: RegisterRelay, code: int) -> None:
    chain = Clockwork()

    outcome = chain.send(ALICE, relay.REGISTER, form)

    assert (outcome.code, found(chain), chain.pools()) == (code, None, (0, 0, 0))
    assert chain.balance(ALICE.id) == FUNDS - FEE


@pytest.mark.parametrize("until", [1, 10_001])
def test_a_proof_is_good_up_to_its_last_height(until: int) -> None:
    outcome = Clockwork().send(ALICE, relay.REGISTER, registration(ALICE.id, until=until))

    assert outcome.code == 0


@pytest.mark.parametrize("count", [8, 9])
def test_a_relay_has_up_to_eight_addresses(count: int) -> None:
    told = tuple(f"/ip4/203.0.113.{at}/tcp/7070" for at in range(count))
    body = (30, KEY, list(told), STAKE, 1000, registration(ALICE.id).proof)

    outcome = Clockwork().send_raw(signed(ALICE, body))

    assert outcome.code == (0 if count == 8 else MalformedBody.code)


@pytest.mark.parametrize("who", [ALICE, BOB])
def test_nobody_registers_a_peer_that_is_registered(who: Person) -> None:
    chain = serving()

    outcome = chain.send(who, relay.REGISTER, registration(who.id))

    assert (outcome.code, chain.pools()[0]) == (RelayTaken.code, STAKE)


def test_whoever_sees_a_registration_cannot_send_it_as_his_own() -> None:
    chain = Clockwork()
    seen = registration(ALICE.id)

    thief = chain.send(BOB, relay.REGISTER, seen)
    owner = chain.send(ALICE, relay.REGISTER, seen)

    assert (thief.code, owner.code) == (BadPeerProof.code, 0)


def test_a_replayed_registration_is_refused() -> None:
    chain = Clockwork()
    raw = signed(ALICE, relay.REGISTER.body(registration(ALICE.id)))
    chain.send_raw(raw)

    assert chain.send_raw(raw).code == NonceMismatch.code


def test_an_account_may_run_several_relays() -> None:
    chain = serving()

    outcome = chain.send(ALICE, relay.REGISTER, registration(ALICE.id, seed=b"2" * 32))

    assert (outcome.code, chain.pools()[0]) == (0, 2 * STAKE)


def test_an_edit_changes_the_addresses_alone() -> None:
    chain = serving()
    before = known(chain)

    outcome = chain.send(ALICE, relay.EDIT, EditRelay(KEY, ELSEWHERE))

    assert outcome.events == (RelayEdited(KEY),)
    assert found(chain) == replace(before, addresses=ELSEWHERE)


def test_a_top_up_adds_to_the_stake() -> None:
    chain = serving()

    outcome = chain.send(ALICE, relay.TOP_UP, TopUpRelay(KEY, Amount(5)))

    assert outcome.events == (RelayToppedUp(KEY, Amount(5)),)
    assert (known(chain).stake, chain.pools()[0]) == (STAKE + 5, STAKE + 5)


def test_an_unbonded_relay_serves_no_longer_and_keeps_its_stake_in_the_pool() -> None:
    chain = serving()

    outcome = chain.send(ALICE, relay.UNBOND, UnbondRelay(KEY))

    assert outcome.events == (RelayUnbonding(ALICE.id, KEY, LEAVES_AT),)
    assert known(chain).serves(STAKE, chain.now) is False
    assert (known(chain).stake, chain.pools()[0]) == (STAKE, STAKE)


@pytest.mark.parametrize("who", [ALICE, BOB])
def test_whoever_settles_a_relay_that_left_its_owner_is_paid(who: Person) -> None:
    chain = leaving()
    chain.pass_ms(FORTNIGHT_MS)
    before = chain.balance(ALICE.id)

    outcome = chain.send(who, relay.SETTLE, SettleRelay(KEY))

    paid = chain.balance(ALICE.id) - before + (FEE if who is ALICE else 0)
    assert outcome.events == (RelaySettled(ALICE.id, KEY, STAKE),)
    assert (paid, found(chain), chain.pools()) == (STAKE, None, (0, 0, 0))


def test_nobody_is_paid_early() -> None:
    chain = leaving()
    chain.pass_ms(FORTNIGHT_MS - 1)

    outcome = chain.send(ALICE, relay.SETTLE, SettleRelay(KEY))

    assert (outcome.code, chain.pools()[0]) == (NothingDue.code, STAKE)


def test_nobody_is_paid_twice() -> None:
    chain = leaving()
    chain.pass_ms(FORTNIGHT_MS)
    chain.send(ALICE, relay.SETTLE, SettleRelay(KEY))

    assert chain.send(ALICE, relay.SETTLE, SettleRelay(KEY)).code == UnknownRelay.code


def test_a_relay_that_stays_is_not_settled() -> None:
    chain = serving()
    chain.pass_ms(FORTNIGHT_MS * 100)

    assert chain.send(ALICE, relay.SETTLE, SettleRelay(KEY)).code == NothingDue.code


def test_a_vote_for_a_shorter_time_frees_nobody_who_left_before() -> None:
    chain = leaving()
    draft = chain.draft()
    params.RELAYS.save(draft, replace(params.RELAYS.default, unbonding_ms=1000))
    chain.keep(draft)
    chain.pass_ms(FORTNIGHT_MS - 1)

    assert chain.send(ALICE, relay.SETTLE, SettleRelay(KEY)).code == NothingDue.code


def test_a_peer_returns_only_once_its_last_stake_was_paid_out() -> None:
    chain = leaving()
    early = chain.send(ALICE, relay.REGISTER, registration(ALICE.id))
    chain.pass_ms(FORTNIGHT_MS)
    due = chain.send(ALICE, relay.REGISTER, registration(ALICE.id))
    chain.send(BOB, relay.SETTLE, SettleRelay(KEY))

    late = chain.send(BOB, relay.REGISTER, registration(BOB.id))

    assert (early.code, due.code, late.code) == (RelayTaken.code, RelayTaken.code, 0)
    assert (known(chain).owner, known(chain).jailed_until) == (BOB.id, 0)


OWN = [
    (relay.EDIT, EditRelay(KEY, ELSEWHERE)),
    (relay.TOP_UP, TopUpRelay(KEY, Amount(1))),
    (relay.UNBOND, UnbondRelay(KEY)),
]


@pytest.mark.parametrize(("family", "order"), OWN)
def test_orders_for_an_unknown_relay_are_refused(family: Family[object], order: object) -> None:
    chain = Clockwork()

    outcome = chain.send(ALICE, family, order)

    assert (outcome.code, found(chain)) == (UnknownRelay.code, None)


@pytest.mark.parametrize(("family", "order"), OWN)
def test_orders_for_the_relay_of_another_are_refused(family: Family[object], order: object) -> None:
    chain = serving()
    before = found(chain)

    outcome = chain.send(BOB, family, order)

    assert (outcome.code, found(chain)) == (NotRelayOwner.code, before)


@pytest.mark.parametrize(("family", "order"), OWN)
def test_orders_for_a_relay_that_leaves_are_refused(family: Family[object], order: object) -> None:
    chain = leaving()
    before = found(chain)

    outcome = chain.send(ALICE, family, order)

    assert (outcome.code, found(chain)) == (RelayLeaving.code, before)


@pytest.mark.parametrize(
    ("amount", "code"), [(0, ZeroAmount.code), (FUNDS, InsufficientFunds.code)]
)
def test_a_top_up_with_nothing_or_too_much_is_refused(amount: int, code: int) -> None:
    chain = serving()

    outcome = chain.send(ALICE, relay.TOP_UP, TopUpRelay(KEY, Amount(amount)))

    assert (outcome.code, chain.pools()[0]) == (code, STAKE)


@pytest.mark.parametrize("addresses", [(), ELSEWHERE * 2, ("/dns/UP.example/tcp/1",)])
def test_an_edit_to_bad_addresses_is_refused(addresses: tuple[str, ...]) -> None:
    chain = serving()
    before = found(chain)

    outcome = chain.send(ALICE, relay.EDIT, EditRelay(KEY, addresses))

    assert (outcome.code, found(chain)) == (BadRelayAddress.code, before)


@pytest.mark.parametrize(
    ("family", "order"),
    [
        (relay.REGISTER, registration(ALICE.id, stake=STAKE + 7)),
        (relay.TOP_UP, TopUpRelay(KEY, Amount(STAKE + 7))),
    ],
)
def test_what_is_staked_cannot_be_spent_by_what_waits_behind(
    family: Family[object], order: object
) -> None:
    assert family.prepare(family.body(order)[1:]).spends == STAKE + 7


fields = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=70) | st.text(max_size=30) | st.booleans(),
    lambda inner: st.lists(inner, max_size=9),
    max_leaves=12,
)


@given(st.sampled_from(relay.FAMILIES), st.lists(fields, max_size=6))
def test_arbitrary_fields_are_refused_as_malformed(family: Family[object], odd: list[str]) -> None:
    result = run(MACHINE, serving().state, signed(ALICE, (family.type, *odd), 1))

    assert result.outcomes[0].code in {MalformedBody.code, UnknownRelay.code}
