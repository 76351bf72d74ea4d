"""`dchat identity` of a lost key: from the request to the account's new file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from abci_chat.params import IDENTITIES, Identities
from abci_chat.state import guardians
from abci_chat.state.guardians import Panel
from dchat.cli.identity_recovery import BadRequest, parse_request, show_request
from dchat.kernel.ids import ChainId, EpochMs
from dchat.kernel.store import Draft
from dchat.node import identity
from tests.conftest import Ran
from tests.dchat.cli.lounge import Lounge, lounge
from tests.dchat.cli.market import PEOPLE, SHOWN, said
from tests.dchat.cli.nodes import Dchat
from tests.dchat.cli.test_identity_keys import everybody_is_in_the_log, pass_blocks

GUARDS = Panel(tuple(sorted((PEOPLE["bob"], PEOPLE["carol"]))), 2)


def bob_and_carol_guard_dave(draft: Draft) -> None:
    IDENTITIES.save(draft, Identities(recovery_delay_ms=4000))
    guardians.announce(draft, PEOPLE["dave"], GUARDS, EpochMs(0), EpochMs(1))


@dataclass(frozen=True)
class Loss:
    """A lounge where dave has lost his file, and made another with a request."""

    town: Lounge
    file: Path
    key: str
    request: str

    def approve(self, name: str, *words: str) -> Ran:
        return self.town.run(
            name, "identity", "approve-recovery", "--request", self.request, *words
        )

    def finish(self) -> Ran:
        words = ("--account", SHOWN["dave"], "--key", self.key, "--json")
        return self.town.run("alice", "identity", "finish-recovery", *words)

    def standing(self) -> Ran:
        words = ("identity", "recovery", SHOWN["dave"], "--key", self.key, "--json")
        return self.town.dchat(*words, "--network", self.town.file)


@pytest.fixture
def loss(tmp_path: Path, dchat: Dchat) -> Iterator[Loss]:
    settings = (everybody_is_in_the_log, bob_and_carol_guard_dave)
    with lounge(tmp_path, dchat, *settings) as town:
        file = tmp_path / "new.json"
        words = ("identity", "request-recovery", SHOWN["dave"], "--output", file, "--json")
        made = said(dchat(*words, "--network", town.file))
        yield Loss(town, file, made["public_key"], made["request"])


def test_a_request_leaves_a_file_for_the_account_s_next_key(loss: Loss) -> None:
    made = identity.load(loss.file)

    assert (made.account_id, made.key_version) == (PEOPLE["dave"], 1)
    assert made.public_key.hex() == loss.key


def test_each_approval_shows_how_far_it_has_come(loss: Loss) -> None:
    first = said(loss.approve("bob", "--json"))

    second = said(loss.approve("carol", "--json"))

    assert (first["approved_by"], first["needed"], first["ready_at"]) == ([SHOWN["bob"]], 2, None)
    assert second["approved_by"] == [SHOWN["bob"], SHOWN["carol"]]
    assert (second["ready_at"] is None, second["ready"]) == (False, False)


def test_a_recovery_is_finished_by_anybody_once_the_timelock_is_over(loss: Loss) -> None:
    loss.approve("bob")
    loss.approve("carol")
    early = loss.finish()
    pass_blocks(loss.town, 4)

    done = said(loss.finish())

    assert (early.code, "RecoveryNotReady (239)" in early.err) == (13, True)
    assert (done["public_key"], done["key_version"]) == (loss.key, 1)


def test_whoever_asks_sees_when_it_is_ready(loss: Loss) -> None:
    loss.approve("bob")
    loss.approve("carol")
    pass_blocks(loss.town, 5)

    told = said(loss.standing())

    assert (told["ready"], told["needed"]) == (True, 2)


def test_what_nobody_approved_is_not_there(loss: Loss) -> None:
    assert loss.standing().code == 11


def test_who_is_no_guardian_approves_nothing(loss: Loss) -> None:
    ran = loss.approve("alice")

    assert (ran.code, "NotGuardian (236)" in ran.err) == (13, True)


def test_a_request_comes_back_as_it_was_printed(tmp_path: Path) -> None:
    made = identity.take_over(PEOPLE["dave"], 1, tmp_path / "new.json")

    order = parse_request(show_request(made, ChainId("test-1")) + "\n")

    assert (order.owner, order.public_key) == (PEOPLE["dave"], made.public_key)


@pytest.mark.parametrize("text", ["", "dchat-recovery-", "dchat-recovery-00", "zz"])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_request(text)
