"""Who signed twice, or helped to deceive a light client, loses stake and its place.

    ("evidence", height, SHA-256 of [offence, address, height])   [time]

CometBFT has verified the evidence; here it is held against the stake of back then. A validator
that runs twice by mistake commits many offences before anybody can stop it: all that lie before it
is out of the set are one incident and slashed once. Who is caught after that is slashed again and
never returns. What is too old to be evidence is forgotten, two records for each that comes in.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from abci_currency import keys, params
from abci_currency.state import presence, slashing, stake
from abci_currency.state.liability import SET_DELAY, Fault
from abci_currency.state.slashing import Charge
from dchat.kernel import codec
from dchat.kernel.family import Event
from dchat.kernel.ids import AccountId, EpochMs, Height
from dchat.kernel.machine import BlockContext, Misbehaviour
from dchat.kernel.store import Draft

_CUT: Final = 2


@dataclass(frozen=True, slots=True)
class OffenceProved(Event):
    """Evidence of an offence that nobody had shown yet."""

    operator: AccountId
    fault: int
    offence_height: Height


@dataclass(frozen=True, slots=True)
class EvidenceRefused(Event):
    """Evidence had no effect."""

    address: bytes
    fault: int
    offence_height: Height
    why: str


def judge(draft: Draft, context: BlockContext) -> tuple[Event, ...]:
    """Let every offence that the block proves have its consequences."""
    _forget(draft, context)
    return tuple([told for each in context.misbehaviour for told in _judge(draft, each, context)])


def _forget(draft: Draft, context: BlockContext) -> None:
    """Delete the oldest records, as far as they are too old; once, for it walks."""
    most = _CUT * len(context.misbehaviour)
    oldest = _oldest(draft, context)
    for key, time in list(islice(draft.scan(keys.EVIDENCE), most)) if most else ():
        if codec.U64.decode_own(time) < oldest:
            draft.delete(key)


def _oldest(draft: Draft, context: BlockContext) -> int:
    return context.block_time_ms - params.SLASHING.load(draft).evidence_max_age_ms


def _judge(draft: Draft, offence: Misbehaviour, context: BlockContext) -> tuple[Event, ...]:
    operator = stake.operator_of(draft, offence.address)
    validator = None if operator is None else stake.validator(draft, operator)
    if operator is None or validator is None:
        return _refused(offence, "no validator of ours")
    if offence.time_ms < _oldest(draft, context):
        return _refused(offence, "too old")
    if validator.tombstoned:
        return _refused(offence, "tombstoned already")
    if not _remember(draft, offence):
        return _refused(offence, "seen already")
    told = OffenceProved(operator, int(offence.offence), offence.height)
    return (told, *_punish(draft, operator, offence, context))


def _refused(offence: Misbehaviour, why: str) -> tuple[Event, ...]:
    return (EvidenceRefused(offence.address, int(offence.offence), offence.height, why),)


def _remember(draft: Draft, offence: Misbehaviour) -> bool:
    """Write down that an offence was proved; return False if it was before."""
    named = codec.pack((int(offence.offence), offence.address, offence.height))
    key = keys.evidence(offence.height, hashlib.sha256(named).digest())
    if draft.get(key) is not None:
        return False
    draft.put(key, codec.U64.encode(offence.time_ms))
    return True


def _punish(
    draft: Draft, operator: AccountId, offence: Misbehaviour, context: BlockContext
) -> tuple[Event, ...]:
    conduct = presence.conduct(draft, operator)
    caught = conduct.double_signed_at
    if caught and offence.height < caught + SET_DELAY:
        return ()
    rules = params.SLASHING.load(draft)
    then = slashing.stake_of(offence.power)
    charge = Charge(Fault(int(offence.offence)), offence.height, then, rules.double_sign_slash_bp)
    slashed = slashing.slash(draft, operator, charge, context)
    presence.save_conduct(draft, operator, replace(conduct, double_signed_at=context.height))
    if caught:
        return (*slashed, *slashing.tombstone(draft, operator))
    until = EpochMs(context.block_time_ms + rules.double_sign_jail_ms)
    return (*slashed, *slashing.jail(draft, operator, until))
