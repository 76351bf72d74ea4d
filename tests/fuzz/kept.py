"""Files that users of the chat chain keep and pass on: rosters, ballots, commitments, parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from abci_chat.state import ballots
from abci_chat.state.ballots import Choice
from abci_chat.state.channels import Role
from abci_chat.txs import post
from dchat.cli import ballotbox, post_files, roster
from dchat.cli.ballotbox import Vote
from dchat.cli.post_files import Signed
from dchat.cli.roster import Roster, Seat
from dchat.kernel.ids import ChainId
from tests.fakes.memory import ALICE, BOB, CHAIN
from tests.fakes.posting import EPOCH, PUBLIC, commitments, part_of

Reader = Callable[[bytes], None]
VOTE: Final = Vote(ChainId("test-1"), 1, ALICE.id)
LEAVES: Final = commitments(3)
ROSTER: Final = Roster(
    PUBLIC,
    b"f" * 32,
    (Seat(ALICE.id, Role.MODERATOR, b"a" * 32), Seat(BOB.id, Role.MEMBER, b"b" * 32)),
)


def readers(place: Path) -> tuple[tuple[Reader, bytes], ...]:
    """Each kind's reader, which works in this place, with a file to begin from."""

    def read_roster(content: bytes) -> None:
        _put(place, content)
        read = roster.load(place, PUBLIC)
        place.unlink()
        roster.save(place, read)
        assert roster.load(place, PUBLIC) == read, "written as another roster"

    def read_ballots(content: bytes) -> None:
        _put(place, content)
        for each in ballotbox.load(place):
            said = ballots.commitment(VOTE.chain_id, 1, VOTE.voter, each.choice, each.salt)
            assert isinstance(said, bytes)
            assert ballotbox.find(place, each.commitment).commitment == each.commitment

    def read_parts(content: bytes) -> None:
        _put(place, content)
        read = post_files.read_parts(place)
        place.write_text("\n".join([post_files.line_of(each) for each in read]))
        assert post_files.read_parts(place) == read, "written as other parts"

    def read_leaves(content: bytes) -> None:
        _put(place, content)
        read = post_files.read_leaves(place)
        place.write_text("\n".join([each.hex() for each in read]))
        assert post_files.read_leaves(place) == read, "written as other commitments"

    return (
        (read_roster, _roster(place)),
        (read_ballots, _ballots(place)),
        (read_parts, _part()),
        (read_leaves, "\n".join([each.hex() for each in LEAVES]).encode()),
    )


def _put(place: Path, content: bytes) -> None:
    place.write_bytes(content)
    place.chmod(0o600)


def _roster(place: Path) -> bytes:
    place.unlink(missing_ok=True)
    roster.save(place, ROSTER)
    return place.read_bytes()


def _ballots(place: Path) -> bytes:
    place.unlink(missing_ok=True)
    for choice in (Choice.YES, Choice.VETO):
        ballotbox.keep(place, VOTE, choice)
    return place.read_bytes()


def _part() -> bytes:
    own = part_of(BOB.id, BOB.public_key, 0, LEAVES)
    return post_files.line_of(
        Signed(post.sign(BOB.seed, CHAIN, PUBLIC, EPOCH, own), LEAVES)
    ).encode()
