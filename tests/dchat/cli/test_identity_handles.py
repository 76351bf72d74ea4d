"""`dchat identity`, handles: what stands on the chat chain afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_chat.params import WORK
from abci_chat.txs.handle import BadConsent, HasHandle, NoHandle
from dchat.kernel.store import Draft
from tests.conftest import Ran
from tests.dchat.cli.lounge import Lounge, everybody_is_registered, lounge
from tests.dchat.cli.market import FUNDS, SHOWN, said
from tests.dchat.cli.nodes import Dchat
from tests.fakes import toil


@pytest.fixture
def place(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    with lounge(tmp_path, dchat, everybody_is_registered) as opened:
        yield opened


def claim(place: Lounge, name: str, handle: str) -> Ran:
    return place.run(name, "identity", "claim-handle", handle, "--json")


def test_a_claimed_handle_leads_to_its_owner(place: Lounge) -> None:
    told = said(claim(place, "alice", "alice_1"))

    shown = said(place.query("identity", "alice_1", "--json"))
    assert (told["handle"], told["identity_handle"]) == ("alice_1", "alice_1")
    assert (shown["account"], shown["handle"]) == (SHOWN["alice"], "alice_1")


def test_a_name_that_looks_like_it_leads_nowhere(place: Lounge) -> None:
    claim(place, "alice", "alice_1")

    ran = place.query("identity", "a1ice_l")

    assert (ran.code, "though somebody has 'alice_1'" in ran.err) == (11, True)


def test_a_handle_that_is_taken_is_refused_with_a_hint(place: Lounge) -> None:
    claim(place, "alice", "alice")

    ran = claim(place, "bob", "a1ice")

    assert "HandleTaken (201): 'alice' belongs to somebody" in ran.err
    assert "choose another handle" in ran.err


@pytest.mark.parametrize("handle", ["al", "Alice", "support"])
def test_what_is_no_handle_is_refused_before_anything_is_sent(place: Lounge, handle: str) -> None:
    ran = claim(place, "alice", handle)

    assert ran.code != 0
    assert said(place.query("account", SHOWN["alice"], "--chain", "chat", "--json"))["nonce"] == 0


def test_a_released_handle_is_nobodys(place: Lounge) -> None:
    claim(place, "alice", "alice")

    told = said(place.run("alice", "identity", "release-handle", "--json"))

    assert told["identity_handle"] is None
    assert place.query("identity", "alice").code == 11


def accepted(place: Lounge, *more: str) -> Ran:
    """What bob prints who takes alice's handle over."""
    return place.run("bob", "identity", "accept-handle", "alice", *more)


def test_a_handle_passes_on_with_the_receivers_consent(place: Lounge) -> None:
    claim(place, "alice", "alice")
    consent = said(accepted(place, "--json"))

    ran = place.run(
        *("alice", "identity", "transfer-handle", "--to", SHOWN["bob"]),
        *("--until", consent["until"], "--consent", consent["consent"], "--json"),
    )

    assert said(ran)["identity_handle"] is None
    assert said(place.query("identity", "alice", "--json"))["account"] == SHOWN["bob"]


def test_a_consent_for_another_height_is_refused(place: Lounge) -> None:
    claim(place, "alice", "alice")
    consent = said(accepted(place, "--json"))

    ran = place.run(
        *("alice", "identity", "transfer-handle", "--to", SHOWN["bob"]),
        *("--until", consent["until"] + 1, "--consent", consent["consent"], "--json"),
    )

    assert said(ran)["code"] == BadConsent.code


def test_a_consent_for_what_nobody_has_is_not_given(place: Lounge) -> None:
    assert accepted(place).code == 11


def test_what_is_no_consent_is_not_sent(place: Lounge) -> None:
    words = ("--to", SHOWN["bob"], "--until", "9", "--consent", "00")

    assert place.run("alice", "identity", "transfer-handle", *words).code == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [(("release-handle",), NoHandle.code), (("claim-handle", "alice_2"), HasHandle.code)],
)
def test_what_the_chain_refuses_is_told_by_name(
    place: Lounge, words: tuple[str, ...], code: int
) -> None:
    claim(place, "alice", "alice")

    ran = place.run("bob" if len(words) == 1 else "alice", "identity", *words)

    assert f"({code})" in ran.err


def test_an_identity_is_given_up_only_if_that_is_meant(place: Lounge) -> None:
    refused = place.run("alice", "identity", "deactivate")
    done = said(place.run("alice", "identity", "deactivate", "--yes", "--json"))

    shown = said(place.query("identity", SHOWN["alice"], "--json"))
    assert (refused.code, done["deactivated"], shown["deactivated"]) == (2, True, True)


def test_a_burner_gives_itself_up_by_work(tmp_path: Path, dchat: Dchat) -> None:
    with lounge(tmp_path, dchat, everybody_is_registered, work_is_little) as place:
        file = place.identity("alice")
        file.write_text(file.read_text().replace("node", "burner"))

        done = said(place.run("alice", "identity", "deactivate", "--yes", "--json"))

    assert (done["deactivated"], done["fee_credits"], done["credits"]) == (True, 0, FUNDS)


def work_is_little(draft: Draft) -> None:
    WORK.save(draft, toil.EASY)
