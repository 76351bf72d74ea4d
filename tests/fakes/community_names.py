"""What people order about identities, handles, devices, guardians and recoveries, by chance."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final

from abci_chat import keys
from abci_chat.state import devices, guardians, handles, identities, recoveries, work
from abci_chat.state.handles import Handle
from abci_chat.state.work import Proof
from abci_chat.txs import device, handle, identity, recovery, rotate_key
from abci_chat.txs import guardians as panels
from dchat.kernel import accounts, codec, rotation, signing
from dchat.kernel.family import Family
from dchat.kernel.ids import AccountId, Height, Nonce
from tests.fakes.community import PEOPLE, POOR, Community, named
from tests.fakes.memory import CHAIN, Person

NAMES: Final = ("wendy", "vvendy", "w_endy", "rnoe", "moe", "m0e", "b1ll", "bill", "bil1", "zoe")
"""Of four people, as far as one can see."""
RELAYS: Final = ("/ip4/192.0.2.1/tcp/7070/p2p/" + "Q" * 46,)
GADGETS: Final = tuple(bytes([0x90 + at]) * 32 for at in range(5))
"""Seeds of devices; more than one may want the same."""
NOBODY: Final = Person(b"\x7e" * 32)
"""Never seen on the chain."""


@dataclass(frozen=True)
class Ordered:
    """Who orders what."""

    who: Person
    family: Family[Any]
    form: Any
    worked: bool = False
    """Work takes the place of the fee."""


Errand = Callable[[Community, random.Random], Ordered]


def somebody(world: Community, chance: random.Random) -> Person:
    """Return somebody, mostly with an identity in use."""
    able = [who for who in PEOPLE if is_active(world, who.id)]
    return chance.choice(able if able and chance.randrange(8) else PEOPLE)


def is_active(world: Community, who: AccountId) -> bool:
    """Tell whether somebody has an identity that was not given up."""
    found = identities.load(world.state, who)
    return found is not None and not found.deactivated_at


def is_device(world: Community, who: Person, seed: bytes) -> bool:
    """Tell whether the key of that seed is, or was, a device of somebody's."""
    return devices.load(world.state, who.id, signing.public_key(seed)) is not None


def _worked(world: Community, chance: random.Random, order: Ordered, body: bytes) -> Ordered:
    """Return the order with enough work for it, or without any."""
    if chance.randrange(2) and order.who is not POOR:
        return order
    bucket = work.load(world.state)
    anchor = chance.choice(work.anchors(bucket, CHAIN))
    nonce = Nonce(world.signer(order.who).nonce)
    problem = work.task(work.statement(CHAIN, order.who.id, nonce, anchor), body)
    need = min(work.required(world.state, Height(world.height + 1)), 4096)
    salt = next(
        salt
        for salt in map(lambda at: at.to_bytes(4, "big"), count())
        if work.worked(problem, salt) >= need
    )
    form = replace(order.form, work=Proof(anchor, salt))
    return replace(order, form=form, worked=True)


def _committed(world: Community, who: Person, chance: random.Random) -> tuple[str, bytes]:
    """Return name and salt that somebody committed to, or others now and then."""
    found = world.state.get(keys.handle_commitment(who.id))
    digest = handles.COMMITMENT.decode_own(found).digest if found else b""
    honest = digest in world.known.salts and chance.randrange(8)
    return world.known.salts[digest] if honest else (chance.choice(NAMES), bytes(32))


def register(who: Person, chance: random.Random, name: str = "", salt: bytes = b"") -> Ordered:
    """Return the order by which somebody gets an identity."""
    inbox = signing.public_key(who.seed)
    prekeys = bytes([chance.randrange(256)]) * 32
    return Ordered(
        who,
        identity.REGISTER,
        identity.RegisterIdentity(name, salt, inbox, RELAYS, prekeys),
    )


def _register(world: Community, chance: random.Random) -> Ordered:
    free = [who for who in PEOPLE if identities.load(world.state, who.id) is None]
    who = chance.choice(free or PEOPLE)
    name, salt = _committed(world, who, chance) if chance.randrange(2) else ("", b"")
    order = register(who, chance, name, salt)
    return _worked(world, chance, order, identity.registering(order.form))


def _relays(world: Community, chance: random.Random) -> Ordered:
    return Ordered(somebody(world, chance), identity.UPDATE_RELAYS, identity.UpdateRelays(RELAYS))


def _prekeys(world: Community, chance: random.Random) -> Ordered:
    form = identity.UpdatePrekeys(bytes([chance.randrange(256)]) * 32)
    return Ordered(somebody(world, chance), identity.UPDATE_PREKEYS, form)


def _commit(world: Community, chance: random.Random) -> Ordered:
    who, name = chance.choice(PEOPLE), chance.choice(NAMES)
    salt = bytes([chance.randrange(256)]) * 32
    digest = handles.commitment(CHAIN, who.id, name, salt)
    world.known.salts[digest] = (name, salt)
    form = handle.CommitHandle(digest)
    return _worked(world, chance, Ordered(who, handle.COMMIT, form), handle.committing(form))


def _claim(world: Community, chance: random.Random) -> Ordered:
    promised = [who for who in PEOPLE if world.state.get(keys.handle_commitment(who.id))]
    who = chance.choice(promised or PEOPLE)
    return Ordered(who, handle.CLAIM, handle.ClaimHandle(*_committed(world, who, chance)))


def _holder(world: Community, chance: random.Random) -> Person:
    found = [(who, identities.load(world.state, who.id)) for who in PEOPLE]
    return chance.choice([who for who, record in found if record and record.handle] or PEOPLE)


def _release(world: Community, chance: random.Random) -> Ordered:
    return Ordered(_holder(world, chance), handle.RELEASE, handle.ReleaseHandle())


def _transfer(world: Community, chance: random.Random) -> Ordered:
    who, to = _holder(world, chance), somebody(world, chance)
    record = identities.load(world.state, who.id)
    held = handles.load(world.state, record.handle) if record and record.handle else None
    until = Height(world.height + chance.choice([0, 1, 5]))
    seed = chance.choice([world.signer(to).seed] * 5 + [who.seed])
    consent = handles.accept(seed, CHAIN, held or Handle("zoe", who.id), to.id, until)
    return Ordered(who, handle.TRANSFER, handle.TransferHandle(to.id, until, consent))


def _deactivate(world: Community, chance: random.Random) -> Ordered:
    form = identity.Deactivate()
    able = [who for who in PEOPLE if is_active(world, who.id)]
    who = chance.choice(able if len(able) > len(PEOPLE) // 2 else PEOPLE[-2:])
    order = Ordered(who, identity.DEACTIVATE, form)
    return _worked(world, chance, order, identity.deactivating(form))


def _rotate(world: Community, chance: random.Random) -> Ordered:
    """A new key, now and then with a proof for somebody else."""
    who, version = somebody(world, chance), chance.randrange(1, 4)
    seed = bytes([who.seed[0], version]) + bytes(30)
    account = who.id if chance.randrange(6) else NOBODY.id
    form = rotation.prove(seed, CHAIN, account, world.signer(who).version + 1)
    world.seeds[form.public_key] = seed
    return Ordered(who, rotate_key.FAMILY, form)


def _add_device(world: Community, chance: random.Random) -> Ordered:
    who, seed = somebody(world, chance), chance.choice(GADGETS)
    account = who.id if chance.randrange(8) else NOBODY.id
    key = signing.public_key(seed)
    world.seeds[key] = seed
    proof = signing.sign(seed, devices.DOMAIN, devices.statement(CHAIN, account, key))
    return Ordered(who, device.ADD, device.AddDevice(key, proof))


def _revoke_device(world: Community, chance: random.Random) -> Ordered:
    owned = [
        (who, key)
        for who in PEOPLE
        for key in map(signing.public_key, GADGETS)
        if devices.load(world.state, who.id, key)
    ]
    other = (chance.choice(PEOPLE), signing.public_key(GADGETS[0]))
    who, key = chance.choice(owned or [other])
    order = Ordered(who, device.REVOKE, device.RevokeDevice(key))
    return _worked(world, chance, order, device.revocation(key))


def _set_guardians(world: Community, chance: random.Random) -> Ordered:
    who = somebody(world, chance)
    others = [each for each in PEOPLE[:-1] if each is not who or not chance.randrange(8)]
    chosen = chance.sample(others, chance.choice([0, 1, 2, 2, 3, 3]))
    members = tuple(sorted(each.id for each in chosen))
    threshold = chance.randrange(1, len(members) + 1) if members else 0
    return Ordered(who, panels.SET, panels.SetGuardians(members, threshold))


def _cancel_guardians(world: Community, chance: random.Random) -> Ordered:
    guarded = [each for each in PEOPLE if world.state.get(keys.guardians(each.id))]
    return Ordered(chance.choice(guarded or PEOPLE), panels.CANCEL, panels.CancelGuardians())


def panel_of(world: Community, who: Person) -> tuple[AccountId, ...]:
    """Return somebody's guardians that are in force."""
    return guardians.load(world.state, who.id, world.now).panel.members


def guarded(world: Community, chance: random.Random) -> Person:
    """Return somebody who has guardians, if anybody has."""
    able = [each for each in PEOPLE if panel_of(world, each) and is_active(world, each.id)]
    return chance.choice(able or PEOPLE)


def _approve(world: Community, chance: random.Random) -> Ordered:
    owner = guarded(world, chance)
    who = named(chance.choice(panel_of(world, owner) or [each.id for each in PEOPLE]))
    return approval(world, who, owner, chance.choice([0, 0, 0, 1]))


def approval(world: Community, who: Person, owner: Person, at: int) -> Ordered:
    """Return the order by which somebody approves a new key for an owner, one of two."""
    version = recoveries.next_version(world.state, owner.id)
    seed = bytes([owner.seed[0], 9, at, version]) + bytes(28)
    key = signing.public_key(seed)
    world.seeds[key] = seed
    said = recoveries.statement(CHAIN, owner.id, version, key)
    proof = signing.sign(seed, recoveries.DOMAIN, said)
    return Ordered(who, recovery.APPROVE, recovery.ApproveRecovery(owner.id, key, key, proof))


def _veto(world: Community, chance: random.Random) -> Ordered:
    order = Ordered(guarded(world, chance), recovery.VETO, recovery.VetoRecovery())
    return _worked(world, chance, order, recovery.VETO_TASK)


def _finish(world: Community, chance: random.Random) -> Ordered:
    found = [codec.unpack_array(key) for key, _ in world.state.scan(_RECOVERIES)]
    pairs = [(AccountId(accounts.ACCOUNT_ID.lift(each[1])), each[2]) for each in found]
    owner, key = chance.choice(pairs or [(PEOPLE[0].id, bytes(32))])
    form = recovery.FinishRecovery(owner, codec.Fixed(32).lift(key))
    return Ordered(somebody(world, chance), recovery.FINISH, form)


_RECOVERIES: Final = codec.pack(("recovery", b"", b""))[:-4]

ERRANDS: Final[dict[str, Errand]] = {
    identity.REGISTER.name: _register,
    identity.UPDATE_RELAYS.name: _relays,
    identity.UPDATE_PREKEYS.name: _prekeys,
    identity.DEACTIVATE.name: _deactivate,
    handle.COMMIT.name: _commit,
    handle.CLAIM.name: _claim,
    handle.RELEASE.name: _release,
    handle.TRANSFER.name: _transfer,
    rotate_key.FAMILY.name: _rotate,
    device.ADD.name: _add_device,
    device.REVOKE.name: _revoke_device,
    panels.SET.name: _set_guardians,
    panels.CANCEL.name: _cancel_guardians,
    recovery.APPROVE.name: _approve,
    recovery.VETO.name: _veto,
    recovery.FINISH.name: _finish,
}
"""By family."""
