"""Rosters: files in which hidden members know each other, and the trees made of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from abci_chat.state.channels import Role
from dchat.cli import roster
from dchat.cli.roster import BadRoster, Roster
from dchat.kernel.ids import AccountId
from dchat.node.identity import IdentityExists, IdentityUnsafe
from tests.fakes.memory import ALICE, BOB, CAROL

WHERE = b"\x0c" * 32


def group() -> Roster:
    """Alice moderates, bob is a member."""
    return roster.fresh(WHERE).seating(ALICE.id, Role.MODERATOR).seating(BOB.id, Role.MEMBER)


def test_a_roster_reads_back_as_it_was_written(tmp_path: Path) -> None:
    made = group()

    roster.save(tmp_path / "roster.json", made)

    assert roster.load(tmp_path / "roster.json", WHERE) == made


def test_a_tree_tells_the_class_of_its_size_and_no_order() -> None:
    leaves = group().leaves()

    assert (len(leaves), leaves) == (16, sorted(leaves))


def test_two_trees_of_the_same_people_have_nothing_in_common() -> None:
    assert not frozenset(group().leaves()) & frozenset(group().leaves())


def test_everybody_has_a_place_of_its_own() -> None:
    made = group()

    places = [made.proof(who.id).index for who in (ALICE, BOB)]

    assert [made.leaves()[at] for at in places] == [
        made.leaf(made.of(who.id)) for who in (ALICE, BOB)
    ]


def test_seventeen_take_a_tree_of_the_next_class() -> None:
    seats = [roster.Seat(AccountId(bytes([at]) * 32), Role.MEMBER, bytes(32)) for at in range(17)]

    assert roster.fresh(WHERE, seats).size == 64


def test_another_role_is_another_seat() -> None:
    before = group()

    after = before.seating(BOB.id, Role.MODERATOR)

    assert (len(after.seats), after.of(BOB.id).role) == (2, Role.MODERATOR)
    assert after.of(BOB.id).blind != before.of(BOB.id).blind


def test_who_is_left_out_has_no_seat() -> None:
    after = group().without(BOB.id)

    with pytest.raises(BadRoster):
        after.of(BOB.id)
    with pytest.raises(BadRoster):
        after.without(CAROL.id)


def test_a_roster_is_one_of_a_channel(tmp_path: Path) -> None:
    roster.save(tmp_path / "roster.json", group())

    with pytest.raises(BadRoster, match="another channel"):
        roster.load(tmp_path / "roster.json", bytes(32))


def test_a_roster_is_for_its_owner_only_and_never_replaced(tmp_path: Path) -> None:
    file = tmp_path / "roster.json"
    roster.save(file, group())

    with pytest.raises(IdentityExists):
        roster.save(file, group())
    file.chmod(0o644)
    with pytest.raises(IdentityUnsafe):
        roster.load(file, WHERE)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"filling": "00"},
        {"channel": "xyz"},
        {"members": [{}]},
        {"members": [{"account": "dchat1x", "role": "member", "blind": "00"}]},
        {"members": 7},
    ],
)
def test_what_is_no_roster_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    file = tmp_path / "roster.json"
    roster.save(file, group())
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))

    with pytest.raises(BadRoster, match="is no roster"):
        roster.load(file, WHERE)


def test_what_is_nested_beyond_all_bounds_is_no_roster(tmp_path: Path) -> None:
    file = tmp_path / "roster.json"
    roster.save(file, group())
    file.write_text("[" * 100_000)

    with pytest.raises(BadRoster, match="is no roster"):
        roster.load(file, WHERE)


def test_somebody_twice_on_a_roster_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "roster.json"
    roster.save(file, group())
    sheet = json.loads(file.read_text())
    file.write_text(json.dumps({**sheet, "members": sheet["members"][:1] * 2}))

    with pytest.raises(BadRoster, match="twice"):
        roster.load(file, WHERE)


def test_roles_are_called_by_their_names() -> None:
    assert [roster.role_of(name) for name in ("member", "moderator")] == [
        Role.MEMBER,
        Role.MODERATOR,
    ]
    with pytest.raises(BadRoster):
        roster.role_of("owner")
