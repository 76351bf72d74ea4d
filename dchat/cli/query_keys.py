"""`dchat query key-log`: what became of an identity's keys, checked from the first to the last."""

from __future__ import annotations

from typing import Final

import typer

from abci_chat import keys
from abci_chat.state.identities import IDENTITY, LOG_ENTRY, LogEntry
from dchat.cli.asking import Asked, Fields, NotThere, Source, answer, asking
from dchat.cli.identity_keys import Whose
from dchat.cli.records import MAX_LISTED, Kind, LeftOut, Paging, list_records
from dchat.client.core import keylog
from dchat.kernel import accounts, codec
from dchat.kernel.ids import AccountId

_WHOLE: Final = "every entry names the one before by hash, and the identity's record the last"


def register(group: typer.Typer) -> None:
    """Add the command to the group `query`."""
    group.command("key-log")(key_log)


@asking
def key_log(asked: Asked, account: Whose) -> None:
    """Show every key that an identity ever had, and check that nothing was left out or changed."""
    owner = accounts.parse_account(account)
    answer(asked, "chat", lambda source: log_fields(source, owner))


async def log_fields(source: Source, owner: AccountId) -> Fields:
    """Return an identity's whole log, checked. Raises: NotThere, BrokenLog, LeftOut."""
    value = await source.value(keys.identity(owner))
    if value is None:
        raise NotThere(f"{accounts.show_account(owner)} has no identity")
    record = IDENTITY.decode(value)
    prefix = codec.pack(("key_log", owner, 0))[:-1]
    kind = Kind("entries", prefix, LOG_ENTRY)
    found = await list_records(source, kind, Paging(limit=MAX_LISTED))
    entries = [entry for _, entry in found.entries]
    if len(entries) < record.log_length:
        raise LeftOut(f"the node lists {len(entries)} entries of {record.log_length}")
    history = keylog.audit(record, entries)
    source.is_whole = True
    return {
        "account": accounts.show_account(owner),
        "entries": [_row(number, entry) for number, entry in enumerate(entries)],
        "public_key": record.public_key,
        "devices": list(history.devices),
        "log_head": record.log_head,
        "log": _WHOLE,
    }


def _row(number: int, entry: LogEntry) -> Fields:
    return {
        "number": number,
        "kind": entry.kind.name.lower(),
        "key": entry.key,
        "height": entry.height,
    }
