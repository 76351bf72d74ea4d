from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from abci_chat.state import ballots
from abci_chat.state.ballots import Choice
from dchat.cli import ballotbox
from dchat.cli.ballotbox import MAX_BALLOTS, NoBallot, TooManyBallots, Vote
from dchat.kernel.ids import ChainId
from tests.fakes.memory import ALICE, BOB, CHAIN

VOTE = Vote(CHAIN, 7, ALICE.id)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return VOTE.file(tmp_path / "alice.json")


def test_a_ballot_is_kept_with_what_reveals_it(path: Path) -> None:
    kept = ballotbox.keep(path, VOTE, Choice.VETO)

    made = ballots.commitment(CHAIN, 7, ALICE.id, Choice.VETO, kept.salt)
    assert ballotbox.find(path, made) == kept
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_two_ballots_have_one_salt(path: Path) -> None:
    first, second = (ballotbox.keep(path, VOTE, Choice.YES) for _ in range(2))

    assert first.salt != second.salt
    assert ballotbox.load(path) == (first, second)


def test_a_salt_is_not_shown(path: Path) -> None:
    kept = ballotbox.keep(path, VOTE, Choice.YES)

    assert kept.salt.hex() not in repr(kept)
    assert str(kept.salt) not in repr(kept)


@pytest.mark.parametrize(
    "other", [Vote(ChainId("x"), 7, ALICE.id), Vote(CHAIN, 8, ALICE.id), Vote(CHAIN, 7, BOB.id)]
)
def test_every_vote_has_a_file_of_its_own(tmp_path: Path, path: Path, other: Vote) -> None:
    assert other.file(tmp_path / "alice.json") != path


def test_a_chain_id_leads_to_no_other_folder(tmp_path: Path) -> None:
    odd = Vote(ChainId("../../etc/x y"), 1, ALICE.id)

    assert odd.file(tmp_path / "alice.json").parent == tmp_path


def test_a_ballot_that_is_not_in_the_file_is_not_found(path: Path) -> None:
    ballotbox.keep(path, VOTE, Choice.YES)

    with pytest.raises(NoBallot):
        ballotbox.find(path, bytes(32))


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", '"text"', "null", "[" * 60_000),
        json.dumps({"version": 1, "ballots": [{"choice": "yes", "salt": "", "commitment": ""}]}),
        json.dumps({"version": 2, "ballots": []}),
        json.dumps({"version": 1, "ballots": [{"choice": "yes"}]}),
        json.dumps({"version": 1, "ballots": [{"choice": "maybe", "salt": "", "commitment": ""}]}),
        json.dumps({"version": 1, "ballots": 5}),
    ],
)
def test_what_is_no_file_of_ballots_says_so_and_stays(path: Path, content: str) -> None:
    path.write_text(content)

    with pytest.raises(NoBallot):
        ballotbox.keep(path, VOTE, Choice.YES)

    assert path.read_text() == content


def test_a_file_never_grows_beyond_its_bound(path: Path) -> None:
    [ballotbox.keep(path, VOTE, Choice.YES) for _ in range(MAX_BALLOTS)]

    with pytest.raises(TooManyBallots):
        ballotbox.keep(path, VOTE, Choice.YES)

    assert len(ballotbox.load(path)) == MAX_BALLOTS
