"""The client as a library: register, look up, write, read, pay.

    async with open_client(identity, network, data_dir) as client:
        await client.register("alice")
        with client.events() as events:
            await client.send("bob", "hello")
            async for event in events:
                ...

Messages are queued on disk first and sent when the network allows; everything that comes back is
an event. Methods that ask a chain wait for it, with a deadline, and raise OperatorError with a
hint. See docs/sdk.md.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from abci_chat.txs import identity as identities
from abci_chat.txs.identity import RegisterIdentity, UpdatePrekeys, UpdateRelays
from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.client import device, writing
from dchat.client.core import prekeys
from dchat.client.core.contact import Contact
from dchat.client.core.content import MAX_BODY
from dchat.client.directory import Directory, UnknownHandle, addresses
from dchat.client.events import Hub, Noticed, Subscription
from dchat.client.ledger import Holding, Ledger
from dchat.client.mail import Mail
from dchat.client.office import Office
from dchat.client.post import Post
from dchat.client.registration import Registrar
from dchat.client.relays import Connect, Relays, dialled_by
from dchat.client.store import Letter, Store
from dchat.kernel import signing
from dchat.kernel.errors import OperatorError, RemoteProtocolError
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.light import TrustedBlock
from dchat.node.chain import open_chain
from dchat.node.clock import Clock, SystemClock
from dchat.node.identity import Identity
from dchat.node.network import NetworkFile
from dchat.node.rpc import ChainUnavailable, Included
from relay.net.address import Address
from relay.net.fence import lone_error
from relay.net.host import open_host

MAX_HOME_RELAYS: Final = 3
PRUNE_S: Final = 3600
STEWARD_S: Final = 300
STEWARD_RETRY_S: Final = 15


class NoRelay(OperatorError):
    """No relay was named that a client could use."""

    hint = "name one with --bootstrap /ip4/HOST/tcp/PORT/p2p/ID, or use a network file that does"


class CannotWrite(OperatorError):
    """The message cannot be written as it is."""

    hint = "write to somebody else, one to 16384 bytes at a time"


class AlreadyKnownAs(OperatorError):
    """The account is registered under another handle already."""

    hint = "an account has one handle; use another identity file for another handle"


@dataclass(frozen=True, slots=True)
class Payment:
    """Tokens paid, in base units, and the block's word on the transaction that did it."""

    to: Contact
    amount: Amount
    included: Included


class Client:
    """One running client. Made by `open_client`."""

    def __init__(
        self, office: Office, chains: Chains, relays: Relays, home: Sequence[Address]
    ) -> None:
        self._office = office
        self._chains = chains
        self._home = tuple(home)
        self._directory = Directory(office, chains.chat, relays)
        self._post = Post(office, self._directory, relays)
        self._mail = Mail(office, relays, self._directory)
        self._registrar = Registrar(chains.chat, office.identity)
        self._steward_turn = trio.Lock()

    @property
    def me(self) -> AccountId:
        """Our account."""
        return self._office.me

    def events(self) -> AbstractContextManager[Subscription]:
        """Give a queue of `dchat.client.events`, to be read by `async for` or `get()`."""
        return self._office.hub.subscribed()

    async def handle(self) -> str | None:
        """Return the handle that the chain proves to be ours, None before registration.

        Raises: OperatorError.
        """
        record = await self._directory.record(self.me)
        return record.handle or None if record else None

    async def register(self, handle: str = "") -> Contact:
        """Return our own entry once the chain proves it; nothing happens if it is there already.

        A handle is committed to in one block and revealed in a later one; without one we are known
        by our account. A burner works for what others pay credits for, which takes seconds.
        While the chain cannot be asked, an entry that it proved before will do: a chain that stands
        still keeps nobody from their messages.
        Raises: AlreadyKnownAs, node.chain.Refused, OperatorError, RemoteProtocolError.
        """
        async with self._steward_turn:
            try:
                known = await self._directory.record(self.me)
            except ChainUnavailable:
                ours = await self._office.do(self._office.store.contact, self.me)
                if ours is None or handle not in {"", ours.handle}:
                    raise
                return ours
            if known is None:
                await self._registrar.register(await self._form(), handle)
            elif handle and not known.handle:
                await self._registrar.claim(handle)
            elif handle not in {"", known.handle}:
                raise AlreadyKnownAs(f"this account is {known.handle!r} already")
            return await self._directory.look_up_account(self.me)

    async def look_up(self, handle: str) -> Contact:
        """Return whom the handle names, by Merkle proof under a verified header, and keep it.

        Raises: UnknownHandle, OperatorError.
        """
        contact, _ = await self.look_up_with_proof(handle)
        return contact

    async def look_up_with_proof(self, handle: str) -> tuple[Contact, TrustedBlock]:
        """Return whom the handle names and the header that proves it. Raises: as look_up()."""
        return await self._directory.look_up(handle)

    async def send(self, handle: str, text: str) -> bytes:
        """Return the id of the text, which is on disk and goes out as soon as it can.

        Only a handle never written to before is looked up. Raises: CannotWrite, UnknownHandle,
        OperatorError.
        """
        if not 1 <= len(text.encode(errors="surrogatepass")) <= MAX_BODY or not _is_utf8(text):
            raise CannotWrite("a message is 1 to 16384 bytes of text")
        contact = await self._known(handle)
        if contact.id == self.me:
            raise CannotWrite("that is your own handle")
        office = self._office
        letter = await office.do(
            writing.queue_text, office.store, office.me, contact.id, text, office.now()
        )
        office.outbox.ring()
        return letter.id

    async def pay(self, handle: str, amount: Amount) -> Payment:
        """Return once the tokens are the handle's, looked up afresh.

        Raises: node.chain.Refused, UnknownHandle, OperatorError, RemoteProtocolError.
        """
        contact = await self.look_up(handle)
        order = Transfer(contact.id, amount)
        return Payment(contact, amount, await self._chains.currency.submit(transfer.FAMILY, order))

    async def balance(self) -> Holding:
        """Return our tokens, with the header that proves them. Raises: OperatorError."""
        return await self._chains.currency.holding(self.me)

    async def credits(self) -> Holding:
        """Return what we can pay chat chain fees with, proved alike. Raises: OperatorError."""
        return await self._chains.chat.holding(self.me)

    async def contacts(self) -> tuple[Contact, ...]:
        """Return everybody known, by handle; who only wrote to us is not `accepted`."""
        everybody = await self._office.do(self._office.store.contacts)
        return tuple([one for one in everybody if one.id != self.me])

    async def history(self, handle: str, limit: int = 50) -> tuple[Letter, ...]:
        """Return the last texts exchanged with a contact, the oldest first.

        Raises: UnknownHandle if the handle is no contact.
        """
        contact = await self._office.do(self._office.store.contact_by_handle, handle)
        if contact is None:
            raise UnknownHandle(f"{handle!r} is no contact")
        return await self._office.do(self._office.store.history, contact.id, limit)

    async def letter(self, message_id: bytes) -> Letter | None:
        """Return a text of ours and how far it is."""
        return await self._office.do(self._office.store.letter, message_id)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do everything that goes on in the background, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._post.run)
            nursery.start_soon(self._mail.keep_looking_up)
            for address in self._home:
                nursery.start_soon(self._mail.keep_fetching, address)
            nursery.start_soon(self._keep_published)
            nursery.start_soon(self._keep_tidy)
            task_status.started()

    async def _known(self, handle: str) -> Contact:
        contact = await self._office.do(self._office.store.contact_by_handle, handle)
        if contact is None:
            contact = await self.look_up(handle)
        return contact if contact.accepted else await self._directory.accept(contact)

    async def _form(self) -> RegisterIdentity:
        """Return our registration, without a handle."""
        return RegisterIdentity(
            handle="",
            salt=b"",
            inbox_key=signing.public_key(self._office.identity.child("inbox")),
            home_relays=tuple([str(address) for address in self._home]),
            prekey_hash=await self._prekey_hash(),
        )

    async def _prekey_hash(self) -> bytes:
        office = self._office
        kept = await office.do(device.prepare, office.store, office.identity, office.now())
        return prekeys.commitment(kept.bundle)

    async def _keep_published(self) -> None:
        """Keep the chain's entry in step with this device and its relays, until cancelled.

        What keeps us from it is told once, until it works again or something else does.
        """
        told: type[Exception] | None = None
        while True:
            try:
                await self._publish_changes()
                told = None
                await trio.sleep(STEWARD_S)
            except (OperatorError, RemoteProtocolError) as fault:
                if type(fault) is not told:
                    what = f"our entry on chain may not be up to date: {fault}; trying again"
                    self._office.hub.tell(Noticed(what))
                told = type(fault)
                await trio.sleep(STEWARD_RETRY_S)

    async def _publish_changes(self) -> None:
        async with self._steward_turn:
            try:
                entry = await self._directory.look_up_account(self.me)
            except UnknownHandle:
                return
            ours = await self._prekey_hash()
            relays = tuple([str(address) for address in self._home])
            if (entry.prekey_hash, entry.home_relays) != (ours, relays):
                self._registrar.check_pays()
            if entry.prekey_hash != ours:
                await self._chains.chat.submit(identities.UPDATE_PREKEYS, UpdatePrekeys(ours))
                self._office.hub.tell(Noticed("this device's keys are on chain now"))
            if entry.home_relays != relays:
                await self._chains.chat.submit(identities.UPDATE_RELAYS, UpdateRelays(relays))
                self._office.hub.tell(Noticed("our home relays are on chain now"))

    async def _keep_tidy(self) -> None:
        while True:
            await self._office.do(self._office.store.prune, self._office.now())
            await trio.sleep(PRUNE_S)


@dataclass(frozen=True, slots=True)
class Chains:
    """Both chains as this identity sees them."""

    chat: Ledger
    currency: Ledger


class _Headers:
    """Keeps verified headers in the client's store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self, name: bytes) -> bytes | None:
        """Return what was saved under name, None where nothing was."""
        return self._store.header(name)

    def save(self, name: bytes, trusted: bytes) -> None:
        """Keep trusted under name in place of what was there."""
        self._store.save_header(name, trusted)


@asynccontextmanager
async def open_client(
    identity: Identity,
    network: NetworkFile,
    data_dir: Path,
    relays: Sequence[str] = (),
    clock: Clock | None = None,
) -> AsyncGenerator[Client]:
    """Run a client while the block runs; `relays` (multiaddrs) replace the network file's.

    Raises: NoRelay, StoreInUse, StoreUnreadable, StoreTooNew, OperatorError.
    """
    home = addresses(relays or network.relays)[:MAX_HOME_RELAYS]
    if not home:
        raise NoRelay("no relay is known")
    store = await trio.to_thread.run_sync(Store.open, data_dir, identity.child("store"))
    office = Office(identity, store, clock or SystemClock(), Hub())
    try:
        await office.do(device.prepare, store, identity, office.now())
        async with _connected(office, network, home) as client:
            yield client
    finally:
        with trio.CancelScope(shield=True):
            await office.do(store.close)


@asynccontextmanager
async def _connected(
    office: Office, network: NetworkFile, home: Sequence[Address]
) -> AsyncGenerator[Client]:
    headers = _Headers(office.store)
    # A peer id of the day: the stable one would tell relays that two sessions are one person's
    peer_seed = secrets.token_bytes(32)
    with lone_error():
        async with (
            open_chain(network.chat, headers, office.clock) as chat,
            open_chain(network.currency, headers, office.clock) as currency,
            open_host(peer_seed) as host,
            running(
                office,
                Chains(Ledger(chat, office.identity), Ledger(currency, office.identity)),
                dialled_by(host),
                home,
            ) as client,
        ):
            yield client


@asynccontextmanager
async def running(
    office: Office, chains: Chains, connect: Connect, home: Sequence[Address]
) -> AsyncGenerator[Client]:
    """Run a client on parts that are open already, while the block runs."""
    with lone_error():
        async with trio.open_nursery() as nursery:
            client = Client(office, chains, Relays(connect, nursery), home)
            await nursery.start(client.run)
            yield client
            nursery.cancel_scope.cancel()


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
