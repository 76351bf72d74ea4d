"""Groups under a real CometBFT: two change an epoch at once; one who was removed tries to stall."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
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
from dchat.kernel import codec, genesis, params
from dchat.kernel.ids import Amount, Height
from tests.e2e.solo import PATIENCE_S, Json, Solo
from tests.fakes.channels import DAVE, PRIVATE, PUBLIC, Tree, posting_key
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, Person, signed
from tests.fakes.orders import registration

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FUNDS = Amount(100_000_000)
FAR = Height(5_000)
EVERYBODY = (ALICE, BOB, CAROL, DAVE)


@dataclass
class Town:
    """The chain, and the next nonce of everybody on it."""

    solo: Solo
    nonces: dict[Person, int] = field(default_factory=dict[Person, int])

    def sign(self, who: Person, body: tuple[codec.Raw, ...]) -> bytes:
        """Somebody's next transaction."""
        nonce = self.nonces.get(who, 0)
        self.nonces[who] = nonce + 1
        return signed(who, body, nonce, valid_until_height=FAR)

    def do(self, who: Person, body: tuple[codec.Raw, ...]) -> Json:
        """What a block made of an order; CheckTx let it in."""
        did = self.solo.commit(self.sign(who, body))
        assert did["check_tx"].get("code", 0) == 0, did
        return did["tx_result"]

    def together(self, *raws: bytes) -> list[Json]:
        """What became of transactions that were all sent before any was in a block."""
        assert [self.solo.submit(raw)["code"] for raw in raws] == [0] * len(raws)
        return [self.found(raw) for raw in raws]

    def found(self, raw: bytes) -> Json:
        """Polls until a block carries the transaction; its result, with its height."""
        wanted = "0x" + sha256(raw).hexdigest()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                return self.solo.rpc("tx", hash=wanted)
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"not in a block\n{self.solo.logs()}")

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
def town(tmp_path: Path) -> Iterator[Town]:
    """A chain on which everybody has an identity."""
    ids = sorted(who.id for who in EVERYBODY)
    held = genesis.Genesis(params.DEFAULT, tuple(genesis.Allocation(each, FUNDS) for each in ids))
    solo = Solo(tmp_path / "node", "abci_chat", genesis.SHAPE.encode(held), chain_id=CHAIN)
    solo.start()
    solo.wait_for_height(2)
    opened = Town(solo)
    done = opened.together(*[opened.sign(who, registration(who)) for who in EVERYBODY])
    assert [each["tx_result"]["code"] for each in done] == [0] * len(EVERYBODY)
    yield opened
    solo.stop()


def with_moderator(town: Town) -> bytes:
    """A public channel of alice's in which bob moderates."""
    where = town.create(PUBLIC)
    town.do(BOB, member.JOIN.body(JoinChannel(where)))
    town.do(ALICE, member.SET_ROLE.body(SetRole(where, BOB.id, Role.MODERATOR)))
    return where


def test_of_two_admins_who_change_an_epoch_at_once_one_is_told_to_rebase(town: Town) -> None:
    where = with_moderator(town)
    before = town.epoch(where)
    orders = [(ALICE, "from alice"), (BOB, "from bob")]

    did = town.together(
        *[town.sign(who, epoch.COMMIT.body(commit(before, where, sent))) for who, sent in orders]
    )

    codes = [each["tx_result"]["code"] for each in did]
    lost = codes.index(EpochMoved.code)
    (loser, sent), (_, won) = orders[lost], orders[1 - lost]
    present = town.epoch(where)
    assert sorted(codes) == [0, EpochMoved.code]
    assert "builds on epoch 0, the present one is 1" in did[lost]["tx_result"]["log"]
    assert (present.number, present.group_commit) == (1, sha256(won.encode()).digest())

    rebased = town.do(loser, epoch.COMMIT.body(commit(present, where, sent)))

    assert rebased["code"] == 0
    assert (town.epoch(where).number, town.epoch(where).group_commit) == (
        2,
        sha256(sent.encode()).digest(),
    )


def test_a_moderator_who_was_removed_cannot_stall_the_group(town: Town) -> None:
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
    codes = [each["tx_result"]["code"] for each in did]
    assert codes[-1] == 0
    assert set(codes[:2]) <= {NotAMember.code, EpochMoved.code}
    assert codes[2] == NotAMember.code
    assert (town.epoch(where).number, town.epoch(where).stale) == (1, False)
    assert town.epoch(where).group_commit == sha256(b"without bob").digest()


def test_a_hidden_moderator_who_was_removed_cannot_stall_the_group_either(town: Town) -> None:
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
