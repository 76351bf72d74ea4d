"""Nodes that commands ask over real HTTP, and the network file that names them."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from abci_chat.machine import MACHINE as CHAT
from abci_currency.machine import MACHINE as CURRENCY
from abci_currency.txs import transfer
from dchat.kernel import accounts
from dchat.kernel.ids import Amount
from dchat.node import network
from dchat.node.network import NetworkFile
from tests.conftest import Ran
from tests.fakes import orders
from tests.fakes.memory import ALICE, BOB, CAROL, Person, signed
from tests.fakes.rpc_node import RpcNode, serving

Dchat = Callable[..., Ran]
ALICES, BOBS, CAROLS = (accounts.show_account(who.id) for who in (ALICE, BOB, CAROL))
RELAY = orders.RELAY
SALT = b"s" * 32


@dataclass(frozen=True)
class Nodes:
    """A currency node that is right, one that went wrong in block 2 and stands still, a chat node.

    Both are of height 4; the network file has the chat node and the right one.
    """

    file: Path
    right: RpcNode
    wrong: RpcNode
    urls: dict[str, str]

    def masked(self, text: str) -> str:
        """Return a transcript without what differs from run to run."""
        for name, url in self.urls.items():
            text = text.replace(url, f"http://{name}.example.org")
        text = re.sub(r"20\d\d-\d\d-\d\dT[\d:.]+Z", "TIME", text)
        text = re.sub(r"\b[0-9a-f]{16}…", "HASH…", text)
        return re.sub(r"\b[0-9a-f]{64}\b", "HASH", text).replace(str(self.file), "FILE")


def pay(nonce: int, amount: int, to: Person = BOB) -> bytes:
    """A payment of alice's."""
    return signed(ALICE, transfer.FAMILY.body(transfer.Transfer(to.id, Amount(amount))), nonce)


def commit(handle: str) -> bytes:
    """Alice's promise to reveal a handle."""
    return signed(ALICE, orders.commitment(ALICE, handle, SALT))


def register(handle: str) -> bytes:
    """Alice's registration, once she has committed to the handle."""
    return signed(ALICE, orders.registration(ALICE, handle, SALT), 1)


@contextmanager
def running(folder: Path) -> Generator[Nodes]:
    """Give the nodes, and stop them at the end."""
    chat, right, wrong = (
        RpcNode(machine, folder / name)
        for machine, name in ((CHAT, "chat"), (CURRENCY, "right"), (CURRENCY, "wrong"))
    )
    chats = ([commit("alice")], [register("alice")], [], [])
    for at, (sent, meant) in enumerate([(None, None), (5, 6), (7, 7), (None, None)]):
        chat.block(*chats[at])
        right.block(*([pay(at - 1, sent, CAROL if at == 2 else BOB)] if sent else []))
        wrong.block(*([pay(at - 1, meant, CAROL if at == 2 else BOB)] if meant else []))
    wrong.headers = right.headers
    with ExitStack() as stack:
        named = {"chat": chat, "right": right, "wrong": wrong}
        urls = {name: stack.enter_context(serving(node)) for name, node in named.items()}
        file = folder / "network.toml"
        entries = chat.entry(urls["chat"]), right.entry(urls["right"])
        network.save(file, NetworkFile("test", (), *entries))
        yield Nodes(file, right, wrong, urls)
