"""Posts under a real CometBFT, by the commands people use: one, a thousand at once, and expiry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from abci_chat import keys
from abci_chat.state import posts
from dchat.kernel import codec
from dchat.kernel.ids import Amount
from tests.conftest import Ran
from tests.e2e import quick
from tests.e2e.quick import Orders, Town
from tests.e2e.solo import Json

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FUNDS = Amount(100_000_000)
NAMES = ("alice", "bob", "carol")
MANY = 1_000
RETENTION_S = 15


@dataclass
class Club(Town):
    """People with a channel of alice's."""

    def open(self, *policy: object) -> str:
        """A public channel that everybody is in."""
        made = self.order("alice", "channel", "create", "--join", "open", *policy)
        where: str = made["channel"]
        self.order("bob", "channel", "join", "--channel", where)
        return where

    def post(self, name: str, where: str, said: str) -> Json:
        """A post of somebody's, whose proof is kept."""
        words = ("--channel", where, "--commitment", commitment(said), "--proofs", self.folder)
        return self.order(name, "channel", "post", *words)

    def record(self, where: str, first: int) -> bytes:
        """The record that begins with that post, led to a real header; empty if proved absent."""
        return quick.proved(self.solo, keys.post(bytes.fromhex(where), first))


@pytest.fixture
def club(tmp_path: Path, dchat: Callable[..., Ran]) -> Iterator[Club]:
    """A chain on which alice and bob have identities; carol has none."""
    people = quick.write_identities(tmp_path, NAMES)
    held = dict.fromkeys(people, FUNDS)
    with quick.chat_chain(tmp_path / "node", held, lambda begun: begun) as solo:
        made = Club(tmp_path, solo, dchat)
        made.write_network()
        Orders(solo).register(made.person("alice"), made.person("bob"))
        yield made


def commitment(said: str) -> str:
    """What a post shows of something."""
    return sha256(said.encode()).hexdigest()


def test_a_thousand_posts_of_two_authors_cost_one_transaction_and_each_is_proved(
    club: Club,
) -> None:
    where = club.open()
    single = club.post("bob", where, "alone")
    for name in ("alice", "bob"):
        leaves = [commitment(f"{name} {at}") for at in range(MANY // 2)]
        (club.folder / f"{name}.txt").write_text("\n".join(leaves) + "\n")
    signed = [
        club.send(
            name,
            *("channel", "sign-posts", "--channel", where),
            *("--commitments", club.folder / f"{name}.txt"),
        ).out
        for name in ("alice", "bob")
    ]
    (club.folder / "parts.jsonl").write_text("".join(signed))

    parts = ("--parts", club.folder / "parts.jsonl", "--proofs", club.folder / "proofs")
    sent = club.order("carol", "channel", "post-batch", "--channel", where, *parts)
    again = club.send("carol", "channel", "post-batch", "--channel", where, *parts[:2])

    number = 1 + MANY // 2 + 8
    proof = ("--proof", club.folder / "proofs" / f"{number}.proof")
    shown = club.ask("query", "post", where, number, *proof)
    listed = club.ask("query", "posts", where)
    wrong = club.run("query", "post", where, number + 1, *proof)
    assert (single["first"], sent["first"], sent["last"]) == (1, 2, 1 + MANY)
    assert sent["fee_credits"] < 20 * single["fee_credits"]
    assert (shown["author"], shown["counter"]) == (club.account("bob"), 8)
    assert shown["commitment"] == commitment("bob 7")
    assert [(each["first"], each["last"]) for each in listed["posts"]] == [(1, 1), (2, 1 + MANY)]
    assert "CounterMismatch" in again.err
    assert wrong.code != 0


def test_what_expired_is_proved_gone_and_the_tombstone_is_of_who_kept_it(club: Club) -> None:
    where = club.open("--retention", RETENTION_S)
    club.post("alice", where, "first")
    early = club.send("carol", "channel", "expire", "--channel", where)
    club.post("bob", where, "second")
    kept = [club.record(where, first) for first in (1, 2)]

    club.pass_ms(RETENTION_S * 1000)
    done = club.order("carol", "channel", "expire", "--channel", where)
    club.post("alice", where, "third")

    gone = club.ask("query", "post", where, 1)
    expected = bytes(32)
    for first, record in enumerate(kept, 1):
        head = b"dchat/post-tombstone/v1" + expected + codec.pack((first,))
        expected = sha256(head + record).digest()
    assert "no post of the channel is old enough" in early.err.lower()
    assert done["records"] == 2
    assert (gone["state"], gone["kept_from"], gone["next"]) == ("expired", 3, 4)
    assert gone["tombstone"] == expected.hex()
    assert [club.record(where, first) == b"" for first in (1, 2, 3)] == [True, True, False]
    left = quick.proved(club.solo, keys.sequence(bytes.fromhex(where)))
    assert posts.SEQUENCE.decode(left).tombstone == expected
