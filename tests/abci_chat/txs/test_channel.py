"""Creating a channel, changing what is allowed there, closing it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat.machine import MACHINE
from abci_chat.params import CHANNELS
from abci_chat.state import channels
from abci_chat.state.channels import (
    NO_GATE,
    Channel,
    ChannelClosed,
    Fact,
    Gate,
    JoinRule,
    Policy,
    Role,
    UnknownChannel,
)
from abci_chat.state.identities import Deactivated, NotRegistered
from abci_chat.state.members import NotAMember, RoleTooLow
from abci_chat.txs import channel, epoch, invite, member, ownership
from abci_chat.txs.channel import (
    BadGate,
    BadPolicy,
    ChannelCreated,
    ChannelWasClosed,
    CloseChannel,
    CreateChannel,
    DepositTooLow,
    PolicySet,
    SetPolicy,
)
from dchat.kernel.errors import InsufficientFunds, MalformedBody, NonceMismatch
from dchat.kernel.family import Family, TxContext
from dchat.kernel.ids import Amount, ChainId, Height, Nonce
from tests.fakes.channels import (
    BY_REQUEST,
    FEE,
    FUNDS,
    GATE,
    GATED,
    POLICY,
    PRIVATE,
    PUBLIC,
    STRANGER,
    Chat,
    next_id,
    town,
)
from tests.fakes.memory import ALICE, BOB, CAROL, START, Person, run, signed

DEPOSIT = 100_000


@pytest.mark.parametrize("form", [PUBLIC, PRIVATE, GATED])
def test_a_channel_is_its_creators_and_keeps_a_deposit(form: CreateChannel) -> None:
    chat = Chat()

    outcome = chat.send(ALICE, channel.CREATE, form)

    made = next_id(ALICE)
    assert outcome.events == (ChannelCreated(made, ALICE.id, form.kind),)
    assert chat.channel(made) == Channel(
        form.kind, ALICE.id, Amount(DEPOSIT), form.policy, form.gate, START, START
    )
    assert (chat.balance(ALICE.id), chat.deposits) == (FUNDS - FEE - DEPOSIT, DEPOSIT)
    chat.audit()


def test_the_next_channel_has_another_id() -> None:
    chat = Chat()

    first, second = chat.create(ALICE), chat.create(ALICE)

    assert (first == second, chat.deposits) == (False, 2 * DEPOSIT)


@pytest.mark.parametrize("change", ["chain_id", "sender", "nonce"])
def test_an_id_is_that_of_one_transaction_on_one_chain(change: str) -> None:
    ctx = TxContext(ChainId("a"), ALICE.id, ALICE.public_key, Height(1), START, Nonce(7))
    other = {"chain_id": ChainId("b"), "sender": BOB.id, "nonce": Nonce(8)}

    assert channels.new_id(replace(ctx, **{change: other[change]})) != channels.new_id(ctx)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (replace(PUBLIC, most_deposit=Amount(DEPOSIT - 1)), DepositTooLow.code),
        (replace(PUBLIC, gate=GATE), BadGate.code),
        (replace(PUBLIC, gate=Gate(Fact.NONE, Amount(1))), BadGate.code),
        (replace(GATED, gate=NO_GATE), BadGate.code),
        (replace(GATED, gate=Gate(Fact.STAKE, Amount(0))), BadGate.code),
        (replace(GATED, gate=Gate(Fact.NONE, Amount(5))), BadGate.code),
        (replace(PRIVATE, policy=POLICY), BadPolicy.code),
        (replace(PRIVATE, policy=BY_REQUEST), BadPolicy.code),
        (
            replace(PRIVATE, policy=replace(PRIVATE.policy, who_may_post=Role.MODERATOR)),
            BadPolicy.code,
        ),
    ],
)
def test_a_channel_is_refused_and_costs_its_fee_only(form: CreateChannel, code: int) -> None:
    chat = Chat()

    outcome = chat.send(ALICE, channel.CREATE, form)

    assert (outcome.code, channels.load(chat.state, next_id(ALICE))) == (code, None)
    assert (chat.balance(ALICE.id), chat.deposits) == (FUNDS - FEE, 0)


@pytest.mark.parametrize(
    "policy",
    [
        replace(POLICY, slow_mode_ms=channel.MAX_SLOW_MODE_MS + 1),
        replace(POLICY, retention_ms=channel.MIN_RETENTION_MS - 1),
        replace(POLICY, retention_ms=channel.MAX_RETENTION_MS + 1),
    ],
)
def test_a_policy_out_of_bounds_is_refused_from_the_start_and_later(policy: Policy) -> None:
    chat, where = town()

    created = chat.send(ALICE, channel.CREATE, replace(PUBLIC, policy=policy))
    changed = chat.send(ALICE, channel.SET_POLICY, SetPolicy(where, policy))

    assert (created.code, changed.code) == (BadPolicy.code, BadPolicy.code)
    assert chat.channel(where).policy == POLICY


def test_who_cannot_pay_the_deposit_gets_no_channel() -> None:
    chat = Chat()
    draft = chat.draft()
    CHANNELS.save(draft, replace(CHANNELS.default, deposit=Amount(FUNDS)))
    chat.keep(draft)

    outcome = chat.send(ALICE, channel.CREATE, replace(PUBLIC, most_deposit=Amount(FUNDS)))

    assert (outcome.code, chat.deposits) == (InsufficientFunds.code, 0)


def test_a_deposit_that_could_be_due_cannot_be_spent_by_what_waits_behind() -> None:
    prepared = channel.CREATE.prepare(channel.CREATE.body(PUBLIC)[1:])

    assert prepared.spends == DEPOSIT


def test_only_identities_create_channels() -> None:
    chat = Chat()
    chat.deactivate(BOB)

    stranger = chat.send(STRANGER, channel.CREATE, PUBLIC)
    gone = chat.send(BOB, channel.CREATE, PUBLIC)

    assert (stranger.code, gone.code) == (NotRegistered.code, Deactivated.code)


def test_a_replayed_creation_is_refused() -> None:
    chat = Chat()
    raw = signed(ALICE, channel.CREATE.body(PUBLIC))
    chat.send_raw(raw)

    assert (chat.send_raw(raw).code, chat.deposits) == (NonceMismatch.code, DEPOSIT)


def test_closing_a_channel_returns_its_deposit() -> None:
    chat, where = town()
    before = chat.balance(ALICE.id)

    outcome = chat.send(ALICE, channel.CLOSE, CloseChannel(where))

    assert outcome.events == (ChannelWasClosed(where, ALICE.id, Amount(DEPOSIT)),)
    assert (chat.balance(ALICE.id), chat.deposits) == (before - FEE + DEPOSIT, 0)
    chat.audit()


def test_a_vote_for_another_deposit_changes_nothing_for_who_paid_before() -> None:
    chat, where = town()
    draft = chat.draft()
    CHANNELS.save(draft, replace(CHANNELS.default, deposit=Amount(7)))
    chat.keep(draft)

    outcome = chat.send(ALICE, channel.CLOSE, CloseChannel(where))

    assert outcome.events == (ChannelWasClosed(where, ALICE.id, Amount(DEPOSIT)),)


@pytest.mark.parametrize(
    ("family", "order"),
    [
        (channel.CLOSE, CloseChannel),
        (member.JOIN, member.JoinChannel),
        (invite.REQUEST, invite.RequestJoin),
        (ownership.ACCEPT, ownership.AcceptChannel),
        (ownership.SUCCEED, ownership.SucceedChannel),
        (member.LEAVE, lambda where: member.LeaveChannel(where, ())),
        (channel.SET_POLICY, lambda where: SetPolicy(where, POLICY)),
        (member.REMOVE, lambda where: member.RemoveMember(where, CAROL.id)),
        (
            epoch.REMOVE_LEAF,
            lambda where: epoch.RemoveLeaf(where, bytes(32), Role.MEMBER, False, ()),
        ),
        (
            epoch.COMMIT,
            lambda where: epoch.CommitEpoch(where, 0, 0, bytes(32), 0, b"", bytes(32), ()),
        ),
    ],
)
def test_nothing_happens_in_a_channel_that_was_closed_or_never_was(
    family: Family[object], order: type[CloseChannel]
) -> None:
    chat, where = town()
    chat.send(ALICE, channel.CLOSE, CloseChannel(where))

    closed = chat.send(ALICE, family, order(where))
    never = chat.send(ALICE, family, order(bytes(32)))

    assert (closed.code, never.code) == (ChannelClosed.code, UnknownChannel.code)


def test_a_policy_is_changed() -> None:
    chat, where = town()
    policy = Policy(Role.MODERATOR, 60_000, 86_400_000, JoinRule.REQUEST)

    outcome = chat.send(ALICE, channel.SET_POLICY, SetPolicy(where, policy))

    assert (outcome.events, chat.channel(where).policy) == ((PolicySet(where),), policy)


def test_a_private_channel_keeps_what_it_can_keep() -> None:
    chat = Chat()
    where = chat.create(ALICE, PRIVATE)

    outcome = chat.send(ALICE, channel.SET_POLICY, SetPolicy(where, POLICY))

    assert (outcome.code, chat.channel(where).policy) == (BadPolicy.code, PRIVATE.policy)


@pytest.mark.parametrize(
    ("family", "order"), [(channel.CLOSE, CloseChannel), (channel.SET_POLICY, None)]
)
@pytest.mark.parametrize(
    ("who", "code"),
    [(BOB, RoleTooLow.code), (CAROL, RoleTooLow.code), (STRANGER, NotRegistered.code)],
)
def test_only_the_owner_says_what_is_allowed_and_closes(
    family: Family[object], order: type[CloseChannel] | None, who: Person, code: int
) -> None:
    chat, where = town()
    before = chat.channel(where)

    outcome = chat.send(who, family, order(where) if order else SetPolicy(where, BY_REQUEST))

    assert (outcome.code, chat.channel(where)) == (code, before)


def test_an_identity_outside_the_channel_is_told_so() -> None:
    chat = Chat()
    where = chat.create(ALICE)

    assert chat.send(CAROL, channel.CLOSE, CloseChannel(where)).code == NotAMember.code


def test_an_owner_who_gave_up_its_identity_closes_nothing() -> None:
    chat, where = town()
    chat.deactivate(ALICE)

    outcome = chat.send(ALICE, channel.CLOSE, CloseChannel(where))

    assert (outcome.code, chat.deposits) == (Deactivated.code, DEPOSIT)


fields = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)
FAMILIES = (
    *channel.FAMILIES,
    *member.FAMILIES,
    *invite.FAMILIES,
    *ownership.FAMILIES,
    *epoch.FAMILIES,
)
STATE = Chat().state


@given(st.sampled_from(FAMILIES), st.lists(fields, max_size=8))
def test_arbitrary_fields_are_refused(family: Family[object], odd: list[str]) -> None:
    result = run(MACHINE, STATE, signed(BOB, (family.type, *odd)))

    assert result.outcomes[0].code in {MalformedBody.code, UnknownChannel.code}
