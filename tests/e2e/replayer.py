"""Plays a recorded chain of 200 blocks into a fresh application; prints every block's app hash.

python -m tests.e2e.replayer chat|currency DIRECTORY
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from abci_chat.machine import MACHINE as CHAT
from abci_chat.txs import identity
from abci_currency.machine import MACHINE as CURRENCY
from abci_currency.txs import transfer
from dchat.kernel import codec
from dchat.kernel.ids import Amount, Cost, Height
from dchat.kernel.machine import Machine
from dchat.node.app import Node
from dchat.node.storage import Storage
from tests.fakes.consensus import Consensus
from tests.fakes.memory import ALICE, BOB, CAROL, Person, signed

BLOCKS = 200
PEOPLE = (ALICE, BOB, CAROL)
RELAY = "/ip4/127.0.0.1/tcp/7070/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"

Body = tuple[codec.Raw, ...]
Orders = Callable[[random.Random, Person], Body]


def transfers(chance: random.Random, _: Person) -> Body:
    """A transfer, now and then of more than anybody has, or of nothing."""
    to = chance.choice(PEOPLE)
    return transfer.FAMILY.body(transfer.Transfer(to.id, Amount(chance.randrange(50_000))))


def identities(chance: random.Random, who: Person) -> Body:
    """A registration under one of few handles, an update, or a type that does not exist."""
    match chance.randrange(4):
        case 0:
            handle = f"handle_{chance.randrange(5)}"
            prekeys = chance.randbytes(32)
            return identity.REGISTER.body(
                identity.RegisterIdentity(handle, who.public_key, (RELAY,), prekeys)
            )
        case 1:
            return identity.UPDATE_RELAYS.body(identity.UpdateRelays((RELAY,)))
        case 2:
            return identity.UPDATE_PREKEYS.body(identity.UpdatePrekeys(chance.randbytes(32)))
        case _:
            return (99,)


CHAINS: dict[str, tuple[Machine, Orders]] = {
    "chat": (CHAT, identities),
    "currency": (CURRENCY, transfers),
}


def blocks(orders: Orders) -> Iterator[list[bytes]]:
    """The same blocks every time: nonces mostly rise by one, some bytes are no transaction."""
    chance = random.Random("recorded")
    nonces = dict.fromkeys(PEOPLE, 0)
    for _ in range(BLOCKS):
        block = [chance.randbytes(chance.randrange(40))]
        for who in chance.choices(PEOPLE, k=chance.randrange(4)):
            stale = chance.random() < 0.1
            body = orders(chance, who)
            block.append(
                signed(
                    who,
                    body,
                    nonces[who] - stale if nonces[who] else 0,
                    valid_until_height=Height(BLOCKS),
                    fee=Amount(400),
                    cost_limit=Cost(400),
                )
            )
            nonces[who] += not stale
        yield block


def show(app_hash: bytes, *codes: int) -> None:
    """One line of output."""
    sys.stdout.write(" ".join((app_hash.hex(), *map(str, codes))) + "\n")


def main() -> None:
    """Print `app hash, codes of the block` for every height."""
    machine, orders = CHAINS[sys.argv[1]]
    with closing(Storage.open(Path(sys.argv[2]))) as storage:
        consensus = Consensus(Node(machine, storage))
        show(consensus.init().app_hash)
        for block in blocks(orders):
            answer = consensus.block(*block)
            show(answer.app_hash, *(result.code for result in answer.tx_results))


if __name__ == "__main__":
    main()
