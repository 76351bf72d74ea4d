from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import accounts, codec
from dchat.kernel.accounts import Account, BadAccount
from dchat.kernel.errors import AmountTooLarge, InsufficientFunds
from dchat.kernel.ids import Amount, Nonce
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, MemoryState

FULL = Account(ALICE.public_key, 3, Nonce(7), Amount(100))


def test_an_account_never_seen_is_empty() -> None:
    assert accounts.load(MemoryState(), ALICE.id) == accounts.EMPTY


def test_a_saved_account_comes_back() -> None:
    draft = Draft(MemoryState())

    accounts.save(draft, ALICE.id, FULL)

    assert (accounts.load(draft, ALICE.id), accounts.load(draft, BOB.id)) == (FULL, accounts.EMPTY)


def test_credit_and_debit_change_only_the_balance() -> None:
    draft = Draft(MemoryState())
    accounts.save(draft, ALICE.id, FULL)

    accounts.credit(draft, ALICE.id, Amount(5))
    accounts.debit(draft, ALICE.id, Amount(105))

    assert accounts.load(draft, ALICE.id) == Account(ALICE.public_key, 3, Nonce(7), Amount(0))


def test_a_debit_beyond_the_balance_names_both_sides_and_writes_nothing() -> None:
    draft = Draft(MemoryState())

    with pytest.raises(InsufficientFunds) as refusal:
        accounts.debit(draft, ALICE.id, Amount(1))

    assert (refusal.value.have, refusal.value.need, draft.writes()) == (0, 1, {})


def test_a_balance_stays_within_64_bits() -> None:
    draft = Draft(MemoryState())
    accounts.credit(draft, ALICE.id, Amount(2**64 - 1))

    with pytest.raises(AmountTooLarge):
        accounts.credit(draft, ALICE.id, Amount(1))


def test_the_id_of_a_key_is_frozen() -> None:
    shown = accounts.show_account(accounts.account_id(bytes(32)))

    assert shown == "dchat1gngszc9qlduapf5h4haxz3gwuagx8h7ntaujruks7hd85asw9uzqf3cmk7"


@given(st.binary(min_size=32, max_size=32))
def test_shown_accounts_parse_to_themselves(raw: bytes) -> None:
    account = accounts.account_id(raw)

    assert accounts.parse_account(accounts.show_account(account)) == account


@given(st.text(max_size=80))
def test_arbitrary_text_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(BadAccount, match="not an account id"):
        accounts.parse_account(text)


def test_a_shorter_payload_is_no_account() -> None:
    with pytest.raises(BadAccount, match="31 bytes"):
        accounts.parse_account(accounts.bech32m.encode(accounts.PREFIX, bytes(31)))


@given(st.binary(max_size=120))
def test_arbitrary_bytes_are_a_record_or_a_codec_error(data: bytes) -> None:
    with suppress(codec.CodecError):
        assert accounts.decode(data) is not None
