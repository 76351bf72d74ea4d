from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.kernel import accounts, codec, errors, machine, params, signing, supply, tx
from dchat.kernel.family import MAX_WAIVED_COST, Event
from dchat.kernel.ids import AccountId, Amount, Cost
from dchat.kernel.machine import Block, BlockContext, Machine
from dchat.kernel.refusals import REFUSALS
from dchat.kernel.store import Draft, State
from tests.fakes.effort import ENOUGH, WORKED, effort
from tests.fakes.memory import (
    ALICE,
    BOB,
    CAROL,
    FUNDS,
    MemoryState,
    Person,
    at_height,
    balance,
    envelope,
    opened,
    run,
    signed,
    step,
)

PAY = transfer.FAMILY.body(Transfer(BOB.id, Amount(5)))
FEE = 2000
WEAK = bytes([1, *[0] * 31])


def start() -> MemoryState:
    return opened(MACHINE, alice=FUNDS, bob=FUNDS)


def refused(raw: bytes, *, height: int = 1) -> tuple[int, bool]:
    """Return the code, and whether the block wrote anything."""
    result = run(MACHINE, start(), raw, height=height)
    return result.outcomes[0].code, bool(result.writes)


def test_an_accepted_transaction_charges_its_fee_and_raises_the_nonce() -> None:
    after, outcome = step(MACHINE, start(), signed(ALICE, PAY))

    sender = accounts.load(after, ALICE.id)
    assert (outcome.code, sender.nonce, sender.balance) == (0, 1, FUNDS - FEE - 5)
    assert sender.public_key == ALICE.public_key
    assert balance(after, BOB) == FUNDS + 5


def test_fees_are_burned_where_no_rule_takes_them() -> None:
    rules = Machine("plain", MACHINE.families, MACHINE.genesis, MACHINE.queries)

    after, _ = step(rules, start(), signed(ALICE, PAY))

    supply.check_invariant(after)
    assert supply.load(after).burned == FEE


def test_a_refused_body_costs_fee_and_nonce_and_nothing_else() -> None:
    too_much = transfer.FAMILY.body(Transfer(BOB.id, Amount(FUNDS)))

    after, outcome = step(MACHINE, start(), signed(ALICE, too_much))

    sender = accounts.load(after, ALICE.id)
    assert outcome.code == errors.InsufficientFunds.code
    assert (sender.nonce, sender.balance, balance(after, BOB)) == (1, FUNDS - FEE, FUNDS)


def test_a_replayed_transaction_is_refused() -> None:
    raw = signed(ALICE, PAY)
    after, _ = step(MACHINE, start(), raw)

    result = run(MACHINE, after, raw)

    assert (result.outcomes[0].code, result.writes) == (errors.NonceMismatch.code, {})


def test_transactions_of_one_block_see_each_other() -> None:
    result = run(MACHINE, start(), signed(ALICE, PAY), signed(ALICE, PAY, 1), signed(ALICE, PAY, 1))

    assert [outcome.code for outcome in result.outcomes] == [0, 0, errors.NonceMismatch.code]


def test_an_empty_block_writes_nothing() -> None:
    assert run(MACHINE, start()).writes == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"chain_id": "other-1"}, errors.WrongChain.code),
        ({"valid_until_height": 0}, errors.Expired.code),
        ({"valid_until_height": 10_002}, errors.ValidityTooLong.code),
        ({"cost_limit": 1_000_001, "fee": 1_000_001}, errors.CostLimitTooHigh.code),
        ({"fee": 1999}, errors.FeeTooLow.code),
        ({"nonce": 1}, errors.NonceMismatch.code),
        ({"fee": FUNDS + 1}, errors.CannotPayFee.code),
        ({"public_key": BOB.public_key}, errors.SenderKeyMismatch.code),
        ({"sender": BOB.id}, errors.SenderKeyMismatch.code),
        ({"sender": accounts.account_id(WEAK), "public_key": WEAK}, errors.WeakKey.code),
    ],
)
def test_an_envelope_that_does_not_fit_leaves_no_trace(
    changes: dict[str, object], code: int
) -> None:
    raw = tx.build(replace(envelope(ALICE, PAY), **changes), ALICE.seed)

    assert refused(raw) == (code, False)


def test_somebody_elses_signature_leaves_no_trace() -> None:
    forged = tx.build(envelope(ALICE, PAY), BOB.seed)

    assert refused(forged) == (errors.BadSignature.code, False)


def test_bytes_that_are_no_transaction_leave_no_trace() -> None:
    assert refused(b"junk") == (errors.MalformedTransaction.code, False)


@pytest.mark.parametrize(("height", "code"), [(100, 0), (101, errors.Expired.code)])
def test_a_transaction_is_valid_up_to_its_last_height(height: int, code: int) -> None:
    assert refused(signed(ALICE, PAY), height=height)[0] == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ((99, 1), errors.UnknownTransaction.code),
        ((1, BOB.id), errors.MalformedBody.code),
        ((1, BOB.id, 5, "", 0), errors.MalformedBody.code),
        ((1, BOB.id, "5", ""), errors.MalformedBody.code),
        ((1, BOB.id, 0, ""), errors.ZeroAmount.code),
    ],
)
def test_a_body_that_is_not_its_familys_has_its_code(
    body: tuple[codec.Raw, ...], code: int
) -> None:
    assert refused(signed(ALICE, body)) == (code, True)


@pytest.mark.parametrize(
    ("part", "code"),
    [(b"\x01", errors.MalformedBody.code), (b"\x63", errors.UnknownTransaction.code)],
)
@pytest.mark.parametrize(
    "odd",
    [b"\xc0", b"\xff", b"\xcb" + bytes(8)],
    ids=["nil", "negative", "float"],
)
def test_a_part_of_a_body_that_is_no_value_is_refused_like_any_other(
    odd: bytes, part: bytes, code: int
) -> None:
    """Bodies are not walked before their family is known; see tx.decode."""
    encoded = tx.build(envelope(ALICE, (1,)), ALICE.seed)[: -64 - 2] + b"\x94" + part + odd * 3
    signature = signing.sign(ALICE.seed, tx.DOMAIN, hashlib.sha256(encoded).digest())

    assert refused(encoded + signature) == (code, True)


def test_a_cost_limit_below_the_work_is_refused_and_pays() -> None:
    least = machine.cost_of(len(signed(ALICE, PAY)), Cost(1))
    raw = signed(ALICE, PAY, cost_limit=least, fee=least)

    result = run(MACHINE, start(), raw)

    assert result.outcomes[0].code == errors.CostLimitTooLow.code
    assert accounts.load(start().after(result.writes), ALICE.id).balance == FUNDS - least


def test_a_family_does_no_work_that_is_not_paid_for() -> None:
    """To judge an inbox key takes as long as a signature: a proposer could have that for half."""
    nothing = transfer.FAMILY.body(Transfer(BOB.id, Amount(0)))
    least = machine.cost_of(len(signed(ALICE, nothing)), Cost(1))

    assert refused(signed(ALICE, nothing, cost_limit=least, fee=least)) == (
        errors.CostLimitTooLow.code,
        True,
    )


@pytest.mark.parametrize("sender", [ALICE, CAROL])
def test_a_proposer_cannot_include_what_pays_nothing(sender: Person) -> None:
    """Not even an account that nobody has funded gets into the state for free."""
    raw = signed(sender, PAY, cost_limit=0, fee=0)

    assert refused(raw) == (errors.CostLimitTooLow.code, False)


def test_the_outcome_tells_what_was_declared_and_used() -> None:
    raw = signed(ALICE, PAY)

    _, outcome = step(MACHINE, start(), raw)

    assert (outcome.cost_wanted, outcome.cost_used) == (
        2000,
        machine.cost_of(len(raw), transfer.FAMILY.cost),
    )


def test_a_bound_key_stays_the_only_one() -> None:
    after, _ = step(MACHINE, start(), signed(ALICE, PAY))

    _, outcome = step(MACHINE, after, signed(ALICE, PAY, 1, public_key=CAROL.public_key))

    assert outcome.code == errors.SenderKeyMismatch.code


def test_a_transaction_that_was_judged_before_is_not_verified_again() -> None:
    forged = tx.build(envelope(ALICE, PAY), BOB.seed)

    known = {forged: machine.read(MACHINE, forged)}

    result = machine.run_block(MACHINE, start(), Block(at_height(), [forged]), known)

    assert result.outcomes[0].code == 0


def test_block_hooks_run_after_the_transactions_in_order() -> None:
    def append(mark: bytes) -> machine.BlockHook:
        def hook(draft: Draft, ctx: BlockContext) -> tuple[Event, ...]:
            draft.put(b"hooks", (draft.get(b"hooks") or b"") + mark + bytes([ctx.height]))
            return ()

        return hook

    rules = replace(MACHINE, end_block=(append(b"a"), append(b"b")))

    assert run(rules, start(), height=3).writes == {b"hooks": b"a\x03b\x03"}


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        (errors.ZeroAmount(), "ZeroAmount"),
        (errors.NonceMismatch(have=1, need=2), "NonceMismatch: nonce 1, the account's next is 2"),
    ],
)
def test_a_refusal_reads_as_its_name_and_numbers(refusal: errors.TxRejected, text: str) -> None:
    assert machine.describe(refusal) == text


@given(st.lists(st.binary(max_size=250), max_size=3))
def test_arbitrary_bytes_in_a_block_are_refused_and_nothing_else(txs: list[bytes]) -> None:
    result = run(MACHINE, start(), *txs)

    assert (all(outcome.code for outcome in result.outcomes), result.writes) == (True, {})


bodies = st.tuples(st.integers(0, 4)) | st.tuples(
    st.integers(0, 4), st.sampled_from([BOB.id, b"", 7]), st.integers(0, 2**64 - 1), st.text()
)


@given(bodies)
def test_any_signed_body_gives_an_outcome_and_keeps_the_supply(
    body: tuple[codec.Raw, ...],
) -> None:
    after, outcome = step(MACHINE, start(), signed(ALICE, body))

    supply.check_invariant(after)
    assert outcome.code in {0, *REFUSALS}


def test_an_event_carries_what_happened() -> None:
    result = run(MACHINE, start(), signed(ALICE, PAY))

    expected: tuple[Event, ...] = (transfer.Transferred(ALICE.id, BOB.id, Amount(5)),)
    assert result.outcomes[0].events == expected


def test_genesis_parameters_are_in_force() -> None:
    assert params.load(start()) == params.DEFAULT


def worked(amount: int, nonce: int = 0, **changes: object) -> bytes:
    """Return a transaction of ALICE that shows so much work, and pays no fee."""
    made = replace(envelope(ALICE, effort(amount), nonce), fee=Amount(0))
    return tx.build(replace(made, **changes), ALICE.seed)


def test_who_worked_enough_pays_no_fee() -> None:
    after, outcome = step(WORKED, start(), worked(ENOUGH))

    sender = accounts.load(after, ALICE.id)
    assert (outcome.code, sender.nonce, sender.balance) == (0, 1, FUNDS - ENOUGH)


def test_who_has_no_account_yet_can_work_for_one() -> None:
    nobody = opened(MACHINE, bob=FUNDS)

    after, outcome = step(WORKED, nobody, worked(0, body=effort(ENOUGH, spend=False)))

    assert (outcome.code, accounts.load(after, ALICE.id).public_key) == (0, ALICE.public_key)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (worked(ENOUGH - 1), errors.ZeroAmount.code),
        (worked(ENOUGH, fee=Amount(1)), errors.FeeTooLow.code),
        (worked(ENOUGH, nonce=1), errors.NonceMismatch.code),
        (worked(ENOUGH, cost_limit=0), errors.CostLimitTooLow.code),
        (worked(ENOUGH, cost_limit=MAX_WAIVED_COST + 1), errors.CostLimitTooHigh.code),
        (worked(ENOUGH, body=(1, BOB.id)), errors.FeeTooLow.code),
        (worked(ENOUGH)[:-64] + bytes(64), errors.FeeTooLow.code),
        (signed(ALICE, (99,), fee=Amount(0)), errors.FeeTooLow.code),
    ],
    ids=[
        "too little",
        "half paid",
        "nonce",
        "cost",
        "more cost than it may",
        "malformed",
        "forged",
        "unknown",
    ],
)
def test_work_that_does_not_count_leaves_no_trace(raw: bytes, code: int) -> None:
    result = run(WORKED, start(), raw)

    assert (result.outcomes[0].code, result.writes) == (code, {})


def test_work_is_judged_by_the_state_that_the_transactions_before_left() -> None:
    """What it takes rises with use, within one block as well."""
    result = run(WORKED, start(), worked(ENOUGH), worked(ENOUGH, 1), worked(ENOUGH + 1, 1))

    assert [each.code for each in result.outcomes] == [0, errors.ZeroAmount.code, 0]


def test_a_body_is_told_the_nonce_of_its_own_transaction() -> None:
    after, _ = step(MACHINE, start(), signed(ALICE, PAY))

    again, outcome = step(WORKED, after, worked(ENOUGH, 1))

    assert (outcome.code, again.get(b"nonce")) == (0, b"\x01")


def test_a_fee_that_is_paid_needs_no_work() -> None:
    _, outcome = step(WORKED, start(), signed(ALICE, effort(1)))

    assert outcome.code == 0


def test_a_worked_body_that_is_refused_still_takes_its_nonce() -> None:
    """Or the same work could be shown in every block again."""
    raw = worked(int(FUNDS) + 1)

    after, outcome = step(WORKED, start(), raw)

    assert outcome.code == errors.InsufficientFunds.code
    assert accounts.load(after, ALICE.id).nonce == 1


def half(_: State, sender: AccountId, fee: Amount, __: BlockContext) -> Amount:
    return Amount(-(-fee // 2)) if sender == ALICE.id else fee


@pytest.mark.parametrize(
    ("who", "fee", "code"),
    [
        (ALICE, 1000, 0),
        (ALICE, 999, errors.FeeTooLow.code),
        (BOB, 2000, 0),
        (BOB, 1999, errors.FeeTooLow.code),
    ],
)
def test_a_machine_may_ask_less_of_some_senders(who: Person, fee: int, code: int) -> None:
    rules = replace(MACHINE, least_fee=half)

    assert run(rules, start(), signed(who, PAY, fee=Amount(fee))).outcomes[0].code == code


def test_a_body_with_faults_pays_the_senders_own_least_fee() -> None:
    raw = signed(ALICE, (99,), fee=Amount(1000))

    after, outcome = step(replace(MACHINE, least_fee=half), start(), raw)

    assert outcome.code == errors.UnknownTransaction.code
    assert balance(after, ALICE) == FUNDS - 1000


def test_fees_are_told_by_their_payers_in_the_order_of_their_first_transaction() -> None:
    told: list[machine.Paid] = []

    def take(_: Draft, paid: machine.Paid, __: BlockContext) -> None:
        told.append(dict(paid))

    txs = (signed(BOB, PAY), signed(ALICE, PAY), signed(BOB, (99,), 1), signed(BOB, PAY, 7))
    run(replace(MACHINE, take_fees=take), start(), *txs)

    assert [list(each.items()) for each in told] == [[(BOB.id, 2 * FEE), (ALICE.id, FEE)]]


def test_where_nobody_pays_no_fees_are_taken() -> None:
    def take(draft: Draft, _: machine.Paid, __: BlockContext) -> None:
        draft.put(b"taken", b"")

    result = run(replace(WORKED, take_fees=take), start(), worked(ENOUGH))

    assert b"taken" not in result.writes
