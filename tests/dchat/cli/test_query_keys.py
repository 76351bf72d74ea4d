"""`dchat query key-log`: the whole log, checked against the proved record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_chat import keys
from abci_chat.state import identities
from abci_chat.state.identities import LogKind
from dchat.kernel import accounts
from dchat.kernel.ids import Height
from dchat.kernel.store import Draft
from tests.dchat.cli.lounge import Lounge, lounge
from tests.dchat.cli.market import PEOPLE, SHOWN, Setting, said
from tests.dchat.cli.nodes import Dchat
from tests.dchat.cli.test_identity_keys import add, everybody_is_in_the_log


def the_log_of_bob_was_changed(draft: Draft) -> None:
    """What a chain never does: an entry is not what the next one names."""
    everybody_is_in_the_log(draft)
    owner = PEOPLE["bob"]
    identities.log(draft, owner, LogKind.DEVICE_ADDED, b"d" * 32, Height(0))
    entry = identities.LogEntry(LogKind.REGISTERED, b"x" * 32, Height(0), bytes(32))
    draft.put(keys.key_log(owner, 0), identities.LOG_ENTRY.encode(entry))


def an_entry_of_bob_s_is_gone(draft: Draft) -> None:
    everybody_is_in_the_log(draft)
    owner = PEOPLE["bob"]
    identities.log(draft, owner, LogKind.DEVICE_ADDED, b"d" * 32, Height(0))
    draft.delete(keys.key_log(owner, 1))


@pytest.fixture
def town(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    with lounge(tmp_path, dchat, everybody_is_in_the_log) as opened:
        yield opened


def test_a_whole_log_is_shown_and_said_to_be_whole(town: Lounge) -> None:
    added = add(town)

    told = said(town.query("key-log", SHOWN["alice"], "--json"))

    assert [row["kind"] for row in told["entries"]] == ["registered", "device_added"]
    assert told["devices"] == [added["device"]]
    assert told["checked"]["proof"] == "presence"


def test_who_has_no_identity_has_no_log(town: Lounge) -> None:
    nobody = accounts.show_account(accounts.account_id(b"n" * 32))

    ran = town.query("key-log", nobody)

    assert (ran.code, "has no identity" in ran.err) == (11, True)


@pytest.mark.parametrize("setting", [the_log_of_bob_was_changed, an_entry_of_bob_s_is_gone])
def test_a_log_that_does_not_hold_is_shown_to_nobody(
    tmp_path: Path, dchat: Dchat, setting: Setting
) -> None:
    with lounge(tmp_path, dchat, setting) as town:
        ran = town.query("key-log", SHOWN["bob"])

    assert (ran.code != 0, ran.out) == (True, "")
