"""Groups under a real CometBFT: two change an epoch at once; one who was removed tries to stall.

First by signed orders, so that all are there before any is in a block; last by the commands.
"""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from abci_chat import keys
from abci_chat.state import channels, epochs
from abci_chat.state.channels import Role
from abci_chat.state.epochs import EPOCH, Epoch
from abci_chat.state.hidden import RemovedLeaf
from abci_chat.state.members import NotAMember
from abci_chat.txs import channel, epoch, member
from abci_chat.txs.channel import CreateChannel
from abci_chat.txs.epoch import CommitEpoch, EpochMoved, RemoveLeaf
from abci_chat.txs.member import JoinChannel, RemoveMember, SetRole
from dchat.kernel.ids import Amount
from tests.conftest import Ran
from tests.e2e import quick
from tests.e2e.nodes import ENTRY
from tests.e2e.quick import Orders, Town
from tests.e2e.solo import PATIENCE_S
from tests.fakes.channels import DAVE, PRIVATE, PUBLIC, Tree, posting_key
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, Person

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FUNDS = Amount(100_000_000)
EVERYBODY = (ALICE, BOB, CAROL, DAVE)


@dataclass
class Groups(Orders):
    """People with channels of theirs."""

    def create(self, form: CreateChannel) -> bytes:
        """Alice's new channel."""
        made = channels.id_of(CHAIN, ALICE.id, self.nonces.get(ALICE, 0))
        assert self.do(ALICE, channel.CREATE.body(form))["code"] == 0
        return made

    def epoch(self, where: bytes) -> Epoch:
        """The present epoch; on the node's word."""
        found = self.solo.query("/store", keys.epoch(where))["value"] or ""
        return EPOCH.decode(base64.b64decode(found)) if found else epochs.FIRST


def commit(now: Epoch, where: bytes, sent: str) -> CommitEpoch:
    """The epoch behind this one, about which the members were sent that."""
    return CommitEpoch(
        channel=where,
        from_epoch=now.number,
        removals=now.removals,
        member_root=epochs.NO_ROOT,
        size_class=0,
        posting_key=epochs.NO_KEY,
        group_commit=sha256(sent.encode()).digest(),
        proof=(),
    )


def hidden_commit(now: Epoch, where: bytes, tree: Tree, shown: Tree, who: Person) -> CommitEpoch:
    """The epoch behind this one with these members; who commits has its place in the tree shown."""
    return replace(
        commit(now, where, "the group's keys"),
        member_root=tree.root,
        size_class=tree.size,
        posting_key=posting_key(now.number + 1),
        proof=() if who is ALICE else (shown.proof(who),),
    )


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Groups]:
    """A chain on which everybody has an identity."""
    held = dict.fromkeys(EVERYBODY, FUNDS)
    with quick.chat_chain(tmp_path / "node", held, lambda begun: begun, CHAIN) as solo:
        opened = Groups(solo)
        opened.register(*EVERYBODY)
        yield opened


def with_moderator(town: Groups) -> bytes:
    """A public channel of alice's in which bob moderates."""
    where = town.create(PUBLIC)
    town.do(BOB, member.JOIN.body(JoinChannel(where)))
    town.do(ALICE, member.SET_ROLE.body(SetRole(where, BOB.id, Role.MODERATOR)))
    return where


def test_of_two_admins_who_change_an_epoch_at_once_one_is_told_to_rebase(town: Groups) -> None:
    where = with_moderator(town)
    before = town.epoch(where)
    orders = [(ALICE, "from alice"), (BOB, "from bob")]

    did = town.together(
        *[town.sign(who, epoch.COMMIT.body(commit(before, where, sent))) for who, sent in orders]
    )

    codes = [each["code"] for each in did]
    lost = codes.index(EpochMoved.code)
    (loser, sent), (_, won) = orders[lost], orders[1 - lost]
    present = town.epoch(where)
    assert sorted(codes) == [0, EpochMoved.code]
    assert "builds on epoch 0, the present one is 1" in did[lost]["log"]
    assert (present.number, present.group_commit) == (1, sha256(won.encode()).digest())

    rebased = town.do(loser, epoch.COMMIT.body(commit(present, where, sent)))

    assert rebased["code"] == 0
    assert (town.epoch(where).number, town.epoch(where).group_commit) == (
        2,
        sha256(sent.encode()).digest(),
    )


def test_a_moderator_who_was_removed_cannot_stall_the_group(town: Groups) -> None:
    where = with_moderator(town)
    prepared = commit(town.epoch(where), where, "from bob")
    removal = town.do(ALICE, member.REMOVE.body(RemoveMember(where, BOB.id)))
    left = town.epoch(where)

    did = town.together(
        town.sign(BOB, epoch.COMMIT.body(prepared)),
        town.sign(BOB, epoch.COMMIT.body(commit(left, where, "from bob again"))),
        town.sign(BOB, member.REMOVE.body(RemoveMember(where, CAROL.id))),
        town.sign(ALICE, epoch.COMMIT.body(commit(left, where, "without bob"))),
    )

    assert (removal["code"], left.number, left.stale, left.removals) == (0, 0, True, 1)
    codes = [each["code"] for each in did]
    assert codes[-1] == 0
    assert set(codes[:2]) <= {NotAMember.code, EpochMoved.code}
    assert codes[2] == NotAMember.code
    assert (town.epoch(where).number, town.epoch(where).stale) == (1, False)
    assert town.epoch(where).group_commit == sha256(b"without bob").digest()


def test_a_hidden_moderator_who_was_removed_cannot_stall_the_group_either(town: Groups) -> None:
    where = town.create(PRIVATE)
    tree = Tree(where, bob=Role.MODERATOR, carol=Role.MODERATOR, dave=Role.MEMBER)
    first = hidden_commit(town.epoch(where), where, tree, tree, ALICE)
    town.do(ALICE, epoch.COMMIT.body(first))
    removal = RemoveLeaf(where, tree.seat_of(BOB), Role.MODERATOR, False, ())
    town.do(ALICE, epoch.REMOVE_LEAF.body(removal))
    left, without_bob = town.epoch(where), Tree(where, carol=Role.MODERATOR, dave=Role.MEMBER)

    stalled = town.do(BOB, epoch.COMMIT.body(hidden_commit(left, where, tree, tree, BOB)))
    ours = town.do(CAROL, epoch.COMMIT.body(hidden_commit(left, where, without_bob, tree, CAROL)))

    assert (left.number, left.stale) == (1, True)
    assert (stalled["code"], ours["code"]) == (RemovedLeaf.code, 0)
    assert (town.epoch(where).number, town.epoch(where).stale) == (2, False)
    assert town.epoch(where).member_root == without_bob.root


@pytest.fixture
def desk(tmp_path: Path, dchat: Callable[..., Ran]) -> Iterator[Town]:
    """A chain on which alice, bob and carol have identities, and files of them."""
    people = quick.write_identities(tmp_path, ("alice", "bob", "carol"))
    held = dict.fromkeys(people, FUNDS)
    with quick.chat_chain(tmp_path / "node", held, lambda begun: begun) as solo:
        made = Town(tmp_path, solo, dchat)
        made.write_network()
        Orders(solo).register(*people)
        yield made


def race(desk: Town, where: str) -> dict[str, Ran]:
    """What two processes come to that commit the first epoch of a channel at the same time."""
    started: dict[str, subprocess.Popen[str]] = {}
    for name in ("alice", "bob"):
        sent = desk.folder / f"{name}.sent"
        sent.write_text(name)
        words = ("channel", "epoch", "--channel", where, "--from", "0", "--sent", sent)
        files = ("--identity", desk.folder / f"{name}.json", "--network", desk.network)
        command = [sys.executable, "-c", ENTRY, *map(str, (*words, *files))]
        pipe = subprocess.PIPE
        started[name] = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    said = {name: each.communicate(timeout=PATIENCE_S) for name, each in started.items()}
    return {name: Ran(started[name].returncode, *both) for name, both in said.items()}


def test_by_command_one_admin_wins_the_other_rebases_and_who_is_removed_is_refused(
    desk: Town,
) -> None:
    where: str = desk.order("alice", "channel", "create", "--join", "open")["channel"]
    desk.order("bob", "channel", "join", "--channel", where)
    role = ("--member", desk.account("bob"), "--role", "moderator")
    desk.order("alice", "channel", "role", "--channel", where, *role)

    raced = race(desk, where)
    won = desk.ask("query", "channel", where)
    winner, loser = sorted(raced, key=lambda name: raced[name].code)
    sent = ("--sent", desk.folder / f"{loser}.sent")
    rebased = desk.order(loser, "channel", "epoch", "--channel", where, "--from", 1, *sent)
    desk.order("alice", "channel", "remove", "--channel", where, "--member", desk.account("bob"))
    stale = desk.ask("query", "channel", where)
    stalled = desk.send("bob", "channel", "epoch", "--channel", where, "--from", 2)
    over = desk.order("alice", "channel", "epoch", "--channel", where)

    assert [raced[name].code for name in (winner, loser)] == [0, 13]
    assert "EpochMoved" in raced[loser].err
    assert "rebase" in raced[loser].err
    assert (won["epoch"], won["group_commit"]) == (1, sha256(winner.encode()).hexdigest())
    assert rebased["epoch"] == 2
    assert (stale["epoch"], stale["stale"], stale["removals"]) == (2, True, 1)
    assert "NotAMember" in stalled.err
    assert (over["epoch"], over["stale"]) == (3, False)
