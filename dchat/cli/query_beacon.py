"""`dchat query` of randomness: the draw that is under way, and what validators are bound to."""

from __future__ import annotations

from typing import Final

import typer

from abci_chat import keys
from abci_chat.state import beacon
from abci_chat.state.beacon import Beacon
from dchat.cli import records
from dchat.cli.asking import Asked, Fields, Source, answer, asking
from dchat.cli.records import DEFAULT_LISTED, After, Limit, Paging
from dchat.kernel import accounts, codec

BEACONS: Final = records.Kind("beacons", keys.BEACONS, beacon.BEACON)
_ADDRESS: Final = codec.Fixed(beacon.ADDRESS_BYTES)


def register(group: typer.Typer) -> None:
    """Add the commands to the group `query`."""
    group.command("draw")(show_draw)
    group.command("beacons")(show_beacons)


@asking
def show_draw(asked: Asked) -> None:
    """Show the draw that is under way, or the last one: what it still takes, and who waits."""
    answer(asked, "chat", _draw)


async def _draw(source: Source) -> Fields:
    record = await source.value(keys.DRAW)
    found = beacon.DRAW.decode(record) if record else beacon.NO_DRAW
    is_open = found.phase is beacon.Phase.OPEN
    return {
        "window": found.window,
        "phase": found.phase.name.lower(),
        "preimages_to_come": found.left if is_open else 0,
        "blocks_without": found.quiet if is_open else 0,
        "waiting": found.last - found.first,
        "opened_at": found.opened_at,
    }


@asking
def show_beacons(asked: Asked, *, after: After = "", limit: Limit = DEFAULT_LISTED) -> None:
    """List validators: to which chain of preimages each is bound, and how many are left."""

    async def ask(source: Source) -> Fields:
        found = await records.list_records(source, BEACONS, Paging(after, limit))
        return found.shown(_row)

    answer(asked, "chat", ask)


def _row(key: bytes, record: Beacon) -> Fields:
    address = _ADDRESS.lift(codec.unpack_array(key)[1])
    return {"validator": address.hex(), **fields_of(record)}


def fields_of(record: Beacon) -> Fields:
    """Return what a validator is bound to, as people read it."""
    following = record.next[0] if record.next else None
    return {
        "operator": accounts.show_account(record.operator),
        "chain": record.link.number,
        "preimages_left": record.link.left,
        "next_chain": following.number if following else None,
        "next_from_window": record.since if following else None,
    }
