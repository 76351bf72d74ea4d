from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency.genesis import Terms
from dchat.kernel import accounts, signing
from dchat.kernel.amounts import UNIT
from dchat.kernel.ids import Amount
from genesis import entry
from genesis.entry import BadEntry, Offer, Seeds

SEEDS = Seeds(b"a" * 32, b"b" * 32, b"c" * 32)
OFFER = Offer(
    chain_id="mynet-1",
    moniker="první",
    account_key=signing.public_key(SEEDS.account),
    chat_key=signing.public_key(SEEDS.chat),
    currency_key=signing.public_key(SEEDS.currency),
    terms=Terms(500, 2000, 100),
    min_self_delegation=Amount(100 * UNIT),
    stake=Amount(250 * UNIT + 5),
    beacon_head=b"h" * 32,
    beacon_length=1000,
)
ENTRY = entry.encode(OFFER, SEEDS)
OTHER = signing.public_key(b"z" * 32).hex()


def changed(**fields: object) -> bytes:
    return json.dumps({**json.loads(ENTRY), **fields}).encode()


def signed_by(**seeds: bytes) -> bytes:
    """The entry with one signature of another key."""
    document: dict[str, Any] = json.loads(ENTRY)
    found = {name: signing.sign(seed, entry.DOMAIN, OFFER.message) for name, seed in seeds.items()}
    document["signatures"] |= {name: signature.hex() for name, signature in found.items()}
    return json.dumps(document).encode()


def test_an_entry_gives_back_what_was_offered() -> None:
    assert entry.decode(ENTRY) == OFFER
    assert OFFER.account == accounts.account_id(OFFER.account_key)


def test_seeds_are_never_shown() -> None:
    assert "a" * 8 not in repr(SEEDS)


CHANGES = [
    ("moniker", "other"),
    ("stake", "251"),
    ("commission", 501),
    ("max_commission", 2001),
    ("max_commission_change", 99),
    ("min_self_delegation", "0"),
    ("chain_id", "mynet-2"),
]


@pytest.mark.parametrize(("name", "value"), CHANGES, ids=[name for name, _ in CHANGES])
def test_nothing_in_an_entry_can_be_changed(name: str, value: object) -> None:
    with pytest.raises(ValueError, match="is not account_key's over this entry"):
        entry.decode(changed(**{name: value}))


@pytest.mark.parametrize("name", ["account", "chat", "currency"])
def test_every_key_must_have_signed(name: str) -> None:
    with pytest.raises(ValueError, match=f"signatures.{name} is not {name}_key's over this entry"):
        entry.decode(signed_by(**{name: b"z" * 32}))


@pytest.mark.parametrize("name", ["chat_key", "currency_key"])
def test_a_key_cannot_be_entered_by_who_does_not_hold_it(name: str) -> None:
    """All is signed anew by the others: the holder of the key is who has to sign."""
    stolen = replace(OFFER, **{name: bytes.fromhex(OTHER)})

    with pytest.raises(ValueError, match=f"is not {name}'s over this entry"):
        entry.decode(entry.encode(stolen, SEEDS))


REFUSED: list[tuple[str, bytes, str]] = [
    ("a later version", changed(version=3), "version 3, this release knows 2"),
    ("an unknown field", changed(more=1), "more is no known key"),
    ("no table", b"[]", "the entry is not a table"),
    ("no json", b"{", "Expecting property name"),
    ("a short key", changed(chat_key="aa"), "chat_key: not 64 lower-case"),
    ("no amount", changed(stake="x"), "stake: 'x' is not an amount"),
    ("no whole number", changed(commission=0.5), "commission: 0.5 is not a whole number"),
    ("too large a number", changed(commission=2**64), "is no allowed value"),
    ("no signatures", changed(signatures={}), "signatures.account is missing"),
    (
        "one more signature",
        changed(signatures={**json.loads(ENTRY)["signatures"], "x": "00"}),
        "signatures.x is no known key",
    ),
    (
        "a short signature",
        changed(signatures={**json.loads(ENTRY)["signatures"], "chat": "00"}),
        "signatures.chat: not 128 hexadecimal digits",
    ),
]


@pytest.mark.parametrize(
    ("content", "reason"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED]
)
def test_a_file_is_refused_with_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "first.json").write_bytes(content)

    with pytest.raises(BadEntry) as caught:
        entry.load_all(tmp_path, "mynet-1")

    assert f"{tmp_path / 'first.json'}: " in str(caught.value)
    assert reason in str(caught.value)


def test_a_folder_of_entries_is_read_in_order_of_name(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(ENTRY)
    (tmp_path / "a.json").write_bytes(ENTRY)
    (tmp_path / "notes.txt").write_text("not an entry")

    assert entry.load_all(tmp_path, "mynet-1") == (OFFER, OFFER)


def test_an_entry_for_another_chain_is_refused(tmp_path: Path) -> None:
    (tmp_path / "first.json").write_bytes(ENTRY)

    with pytest.raises(BadEntry, match="signed for chain mynet-1, not for other-1"):
        entry.load_all(tmp_path, "other-1")


def test_a_folder_without_entries_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadEntry, match="has 0 entries"):
        entry.load_all(tmp_path, "mynet-1")


def test_a_file_over_the_bound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "first.json").write_bytes(ENTRY + b" " * 4096)

    with pytest.raises(BadEntry, match="larger than 4096 bytes"):
        entry.load_all(tmp_path, "mynet-1")


@given(st.binary(max_size=300))
def test_any_bytes_are_an_entry_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any-entries"
    folder.mkdir(exist_ok=True)
    (folder / "any.json").write_bytes(content)

    with pytest.raises(BadEntry):
        entry.load_all(folder, "mynet-1")
