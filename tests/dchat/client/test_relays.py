from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from dchat.client import relays
from dchat.client.relays import RelayNameless, Relays, dialled_by
from dchat.kernel import signing
from dchat.kernel.errors import RemoteProtocolError
from dchat.kernel.ids import EpochMs
from relay.core import messages
from relay.core.access import peer_id_of
from relay.core.messages import Hello
from relay.net.address import Address, parse_address, peer_id
from relay.net.host import PeerUnreachable, open_host
from relay.net.link import Link
from tests.fakes.links import link_pair
from tests.fakes.peers import in_trio
from tests.fakes.people import identity_of
from tests.fakes.town import ADDRESS, town

NAMELESS = parse_address("/ip4/127.0.0.1/tcp/7070")


class Exchange:
    """Relays that greet and then say nothing; counts how often each was dialled."""

    def __init__(self) -> None:
        self.dialled: list[str] = []

    @asynccontextmanager
    async def connect(self, address: Address) -> AsyncGenerator[Link]:
        self.dialled.append(address.host)
        ours, theirs = link_pair("client", address.peer_id or "")
        key = signing.public_key(seed_of(address.port))
        hello = Hello(0, peer_id_of(key), bytes(32), EpochMs(0), 1, 32, 100)
        await theirs.send(messages.encode(hello))
        yield ours


def seed_of(port: int) -> bytes:
    return port.to_bytes(32, "big")


def address_of(number: int) -> Address:
    return Address(f"10.0.0.{number}", number, peer_id(seed_of(number)))


@in_trio
async def test_one_session_serves_everybody_who_asks() -> None:
    exchange = Exchange()
    async with trio.open_nursery() as nursery:
        pool = Relays(exchange.connect, nursery)

        async with trio.open_nursery() as asking:
            for _ in range(5):
                asking.start_soon(pool.session, address_of(1))

        nursery.cancel_scope.cancel()
    assert exchange.dialled == ["10.0.0.1"]


@in_trio
async def test_a_session_that_is_over_is_opened_again() -> None:
    exchange = Exchange()
    async with trio.open_nursery() as nursery:
        pool = Relays(exchange.connect, nursery)
        (await pool.session(address_of(1))).leave()

        again = await pool.session(address_of(1))

        assert not again.over.is_set()
        nursery.cancel_scope.cancel()
    assert len(exchange.dialled) == 2


@in_trio
async def test_beyond_the_bound_the_session_used_least_lately_is_closed() -> None:
    exchange = Exchange()
    async with trio.open_nursery() as nursery:
        pool = Relays(exchange.connect, nursery)
        first = await pool.session(address_of(1))
        second = await pool.session(address_of(2))
        for number in range(3, relays.MAX_SESSIONS + 1):
            await pool.session(address_of(number))
        await pool.session(address_of(1))

        await pool.session(address_of(200))

        assert (first.over.is_set(), second.over.is_set()) == (False, True)
        nursery.cancel_scope.cancel()


@in_trio
async def test_a_relay_without_a_name_is_not_dialled() -> None:
    exchange = Exchange()
    async with trio.open_nursery() as nursery:
        pool = Relays(exchange.connect, nursery)

        with pytest.raises(RelayNameless):
            await pool.session(NAMELESS)
    assert exchange.dialled == []


def test_a_relay_that_cannot_be_reached_is_told_to_who_asked_and_nobody_else(
    tmp_path: Path,
) -> None:
    @in_trio
    async def main() -> None:
        async with town(tmp_path, [identity_of("alice")]) as where, trio.open_nursery() as nursery:
            pool = Relays(where.connect, nursery)
            where.relay_is_up = False
            with pytest.raises(PeerUnreachable):
                await pool.session(ADDRESS)

            where.relay_is_up = True
            session = await pool.session(ADDRESS)

            assert session.peer_id == ADDRESS.peer_id
            nursery.cancel_scope.cancel()

    main()


@in_trio
async def test_over_libp2p_a_relay_without_a_name_is_refused() -> None:
    async with open_host(b"h" * 32) as host:
        with pytest.raises(RelayNameless):
            async with dialled_by(host)(NAMELESS):
                pass


@in_trio
async def test_over_libp2p_a_relay_that_is_not_there_is_unreachable() -> None:
    nowhere = Address("127.0.0.1", 1, peer_id(b"n" * 32))

    async with open_host(b"h" * 32) as host:
        with pytest.raises(RemoteProtocolError):
            async with dialled_by(host)(nowhere):
                pass
