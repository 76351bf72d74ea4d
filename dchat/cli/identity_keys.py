"""`dchat identity`, keys of one's own: devices, guardians, and the veto against a recovery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from abci_chat import keys
from abci_chat.state import devices, guardians
from abci_chat.state.devices import Device
from abci_chat.state.guardians import Panel
from abci_chat.state.identities import IDENTITY
from abci_chat.state.identities import Identity as IdentityRecord
from abci_chat.state.work import Proof
from abci_chat.txs import device as device_families
from abci_chat.txs import guardians as guardian_families
from abci_chat.txs import recovery as recovery_families
from abci_chat.txs.device import AddDevice, RevokeDevice
from abci_chat.txs.guardians import CancelGuardians, SetGuardians
from abci_chat.txs.recovery import VetoRecovery
from dchat.cli import digits
from dchat.cli.asking import Asked, Fields, NotThere, Source, answer, asking
from dchat.cli.foresee import block_time, foresee
from dchat.cli.ordering import Plan, Sending, Told, carry_out, ordering, plan_and_carry_out
from dchat.cli.records import ALL, Kind, list_records
from dchat.cli.show import moment
from dchat.cli.unlock import unlock
from dchat.client import work
from dchat.client.ledger import Ledger
from dchat.kernel import accounts, codec, signing
from dchat.kernel.ids import AccountId, Nonce
from dchat.node.identity import Identity

DEVICE: Final = "device"
"""The child of an identity file that signs as a device of another identity."""

Whose = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Whose, dchat1….")]
DeviceKey = Annotated[str, typer.Option(help="The device's public key, 64 hexadecimal digits.")]
ByWork = Annotated[
    bool, typer.Option("--work", help="Work in place of the fee, for an account without credits.")
]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `identity`."""
    group.command("add-device")(add_device)
    group.command("revoke-device")(revoke_device)
    group.command("devices")(show_devices)
    group.command("set-guardians")(set_guardians)
    group.command("cancel-guardians")(cancel_guardians)
    group.command("guardians")(show_guardians)
    group.command("veto-recovery")(veto_recovery)


@ordering
def add_device(
    sending: Sending,
    *,
    device: Annotated[Path, typer.Option(help="Identity file of the device: it agrees.")],
) -> None:
    """Let a device sign for your identity; it signs with a key of its own."""
    seed = unlock(device).child(DEVICE)
    key = signing.public_key(seed)

    async def make(source: Source, sender: Identity) -> Plan[AddDevice]:
        said = devices.statement(source.chain.entry.chain_id, sender.account_id, key)
        body = AddDevice(key, signing.sign(seed, devices.DOMAIN, said))
        return Plan(body, Told({"device": key}, _devices_of, "chat"))

    plan_and_carry_out(sending, device_families.ADD, make, "chat")


@ordering
def revoke_device(sending: Sending, *, device_key: DeviceKey, by_work: ByWork = False) -> None:
    """Let a device of yours sign for your identity no more, for good."""
    key = digits.parse(device_key, "a public key")
    told = Told({"device": key}, _devices_of, "chat")

    async def make(source: Source, sender: Identity) -> Plan[RevokeDevice]:
        if not by_work:
            return Plan(RevokeDevice(key), told)
        proof, nonce = await _worked(source, sender, device_families.revocation(key))
        return Plan(RevokeDevice(key, proof), told, nonce)

    plan_and_carry_out(sending, device_families.REVOKE, make, "chat")


@asking
def show_devices(asked: Asked, account: Whose) -> None:
    """List the devices that an identity ever had, and which of them still sign for it."""
    owner = accounts.parse_account(account)
    answer(asked, "chat", lambda source: _devices_of(source, owner))


@ordering
def set_guardians(
    sending: Sending,
    *,
    guardian: Annotated[
        list[str] | None, typer.Option(help="Account of a guardian, dchat1…; up to 15 times.")
    ] = None,
    threshold: Annotated[int, typer.Option(min=0, help="How many of them it takes.")] = 0,
) -> None:
    """Name who may recover your identity together, after a delay; without options, nobody."""
    named = sorted(accounts.parse_account(each) for each in guardian or ())
    body = SetGuardians(tuple(named), threshold)
    carry_out(sending, guardian_families.SET, body, Told({}, guardians_of, "chat"))


@ordering
def cancel_guardians(sending: Sending) -> None:
    """Keep the guardians that you have, in place of those that wait."""
    told = Told({}, guardians_of, "chat")
    carry_out(sending, guardian_families.CANCEL, CancelGuardians(), told)


@asking
def show_guardians(asked: Asked, account: Whose) -> None:
    """Show who may recover an identity now, and who from when on."""
    owner = accounts.parse_account(account)
    answer(asked, "chat", lambda source: guardians_of(source, owner))


@ordering
def veto_recovery(sending: Sending, *, by_work: ByWork = False) -> None:
    """Let nothing count that your guardians approved so far."""
    told = Told({}, guardians_of, "chat")

    async def make(source: Source, sender: Identity) -> Plan[VetoRecovery]:
        if not by_work:
            return Plan(VetoRecovery(), told)
        proof, nonce = await _worked(source, sender, recovery_families.VETO_TASK)
        return Plan(VetoRecovery(proof), told, nonce)

    plan_and_carry_out(sending, recovery_families.VETO, make, "chat")


async def guardians_of(source: Source, owner: AccountId) -> Fields:
    """Return who guards an account, now and soon."""
    now = await block_time(source)
    held = await foresee(source, lambda draft: guardians.load(draft, owner, now))
    return {
        "guardians": _names(held.panel),
        "threshold": held.panel.threshold,
        "in_force_since": moment(held.since),
        "pending_guardians": _names(held.pending),
        "pending_threshold": held.pending.threshold,
        "pending_in_force_at": moment(held.pending_at),
        "vetoed_at": held.vetoed_at or None,
    }


def _names(panel: Panel) -> list[str]:
    return [accounts.show_account(each) for each in panel.members]


async def _devices_of(source: Source, owner: AccountId) -> Fields:
    identity = await source.value(keys.identity(owner))
    if identity is None:
        raise NotThere(f"{accounts.show_account(owner)} has no identity")
    whose = IDENTITY.decode(identity)
    kind = Kind("devices", keys.devices(owner), devices.DEVICE)
    try:
        found = await list_records(source, kind, ALL)
    except NotThere:
        return {"devices": []}
    rows = [_device_row(key, record, whose) for key, record in found.entries]
    return {"devices": rows}


def _device_row(key: bytes, record: Device, whose: IdentityRecord) -> Fields:
    return {
        "device_key": devices.DEVICE_KEY.lift(codec.unpack_array(key)[2]),
        "signs": record.signs_for(whose),
        "added_at": record.added_at,
        "revoked_at": record.revoked_at or None,
    }


async def _worked(source: Source, sender: Identity, body: bytes) -> tuple[Proof, Nonce]:
    """Return work for the sender's next transaction, and its nonce."""
    asked = await work.terms(Ledger(source.chain, sender))
    nonce = await source.chain.next_nonce(sender.account_id)
    return await work.prove(asked, sender.account_id, nonce, body), nonce
