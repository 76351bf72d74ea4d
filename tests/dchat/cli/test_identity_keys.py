"""`dchat identity` of devices and guardians: what stands on the chain afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_chat.params import IDENTITIES, WORK, Identities, Work
from abci_chat.state import identities
from abci_chat.state.identities import Identity, LogKind
from dchat.kernel import signing
from dchat.kernel.ids import Height
from dchat.kernel.store import Draft
from tests.dchat.cli.lounge import Lounge, lounge
from tests.dchat.cli.market import NAMES, PEOPLE, SHOWN, said
from tests.dchat.cli.nodes import Dchat
from tests.fakes.people import identity_of

PHONE = signing.public_key(identity_of("bob").child("device")).hex()


def everybody_is_in_the_log(draft: Draft) -> None:
    """Everybody, dave too, has an identity whose log begins with its key."""
    for name in NAMES:
        key = signing.public_key(identity_of(name).account_seed)
        record = Identity("", key, key, ("/x",), bytes(32), Height(0))
        identities.save(draft, PEOPLE[name], record)
        identities.log(draft, PEOPLE[name], LogKind.REGISTERED, key, Height(0))
    IDENTITIES.save(draft, Identities(guardian_delay_ms=4000))
    WORK.save(draft, Work(base_bits=4))


@pytest.fixture
def town(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    with lounge(tmp_path, dchat, everybody_is_in_the_log) as opened:
        yield opened


def pass_blocks(town: Lounge, count: int) -> None:
    """Let so many seconds go by."""
    [town.node.block() for _ in range(count)]


def add(town: Lounge) -> dict[str, object]:
    return said(
        town.run("alice", "identity", "add-device", "--device", town.identity("bob"), "--json")
    )


def revoke(town: Lounge, *words: str) -> list[dict[str, object]]:
    key = ("--device-key", PHONE, "--json", *words)
    return said(town.run("alice", "identity", "revoke-device", *key))["devices"]


def test_a_device_is_added_with_its_own_consent(town: Lounge) -> None:
    told = add(town)

    assert told["devices"] == [
        {"device_key": PHONE, "signs": True, "added_at": 3, "revoked_at": None}
    ]


def test_a_device_is_revoked(town: Lounge) -> None:
    add(town)

    assert [row["signs"] for row in revoke(town)] == [False]


def test_a_device_is_revoked_by_work_without_a_fee(town: Lounge) -> None:
    add(town)

    ran = town.run("alice", "identity", "revoke-device", "--device-key", PHONE, "--work", "--json")

    assert (said(ran)["fee_credits"], said(ran)["devices"][0]["signs"]) == (0, False)


def test_devices_are_listed_for_anybody(town: Lounge) -> None:
    add(town)

    ran = town.dchat("identity", "devices", SHOWN["alice"], "--network", town.file, "--json")

    assert [row["device_key"] for row in said(ran)["devices"]] == [PHONE]


def test_guardians_wait_and_are_in_force_then(town: Lounge) -> None:
    words = ("--guardian", SHOWN["bob"], "--guardian", SHOWN["carol"], "--threshold", "2")
    before = said(town.run("alice", "identity", "set-guardians", *words, "--json"))
    pass_blocks(town, 4)

    ran = town.dchat("identity", "guardians", SHOWN["alice"], "--network", town.file, "--json")

    named = sorted((SHOWN["bob"], SHOWN["carol"]))
    assert (before["guardians"], sorted(before["pending_guardians"])) == ([], named)
    assert (sorted(said(ran)["guardians"]), said(ran)["threshold"]) == (named, 2)


def test_a_change_of_guardians_is_cancelled(town: Lounge) -> None:
    words = ("--guardian", SHOWN["bob"], "--threshold", "1", "--json")
    before = said(town.run("alice", "identity", "set-guardians", *words))

    after = said(town.run("alice", "identity", "cancel-guardians", "--json"))

    assert before["pending_guardians"] == [SHOWN["bob"]]
    assert (after["pending_guardians"], after["pending_in_force_at"]) == ([], None)


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("revoke-device", "--device-key", PHONE), 13, "UnknownDevice (230)"),
        (("revoke-device", "--device-key", "ab"), 2, "not a public key"),
        (("set-guardians", "--threshold", "1"), 1, "BadGuardians (234)"),
        (("veto-recovery",), 13, "NoGuardians (242)"),
    ],
)
def test_a_refusal_says_why(town: Lounge, words: tuple[str, ...], code: int, why: str) -> None:
    ran = town.run("alice", "identity", *words)

    assert (ran.code, why in ran.err) == (code, True)
