"""`dchat tx`, randomness: binding a validator to another chain of preimages."""

from __future__ import annotations

import typer

from abci_chat import keys
from abci_chat.state import beacon
from abci_chat.txs.beacon import FAMILY, CommitBeacon
from dchat.cli.asking import Fields, NotThere, Source
from dchat.cli.ordering import Plan, Sending, Told, ordering, plan_and_carry_out
from dchat.cli.query_beacon import fields_of
from dchat.kernel.ids import AccountId
from dchat.node.identity import Identity
from dchat.operator import beacon as secrets
from dchat.operator.home import validator_address
from dchat.operator.plan import keys_of


def register(group: typer.Typer) -> None:
    """Add the commands to the group `tx`."""
    group.command("commit-beacon")(commit_beacon)


@ordering
def commit_beacon(sending: Sending) -> None:
    """Bind the validator of this identity to its next chain of preimages, for windows to come."""

    async def make(source: Source, sender: Identity) -> Plan[CommitBeacon]:
        address = validator_address(keys_of(sender, "chat").consensus_key)
        record = await source.value(keys.beacon(address))
        if record is None:
            raise NotThere(f"the chat chain has no validator {address.hex()}, which is this one's")
        number = beacon.newest(beacon.BEACON.decode(record)).number + 1
        head = secrets.head(sender, source.chain.entry.chain_id, number)

        async def after(later: Source, _sender: AccountId) -> Fields:
            bound = await later.value(keys.beacon(address))
            return fields_of(beacon.BEACON.decode(bound)) if bound else {}

        told = Told({"validator": address.hex()}, after, "chat")
        return Plan(CommitBeacon(address, head, secrets.LENGTH, number), told)

    plan_and_carry_out(sending, FAMILY, make, "chat")
