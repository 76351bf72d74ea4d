"""Who signed twice, or helped to deceive a light client, loses stake and its place.

    ("evidence", height, SHA-256 of [offence, address, height])   [time]

CometBFT has verified the evidence; here it is held against the stake of back then. A validator
that runs twice by mistake commits many offences before anybody can stop it: all that lie before it
is out of the set are one incident and slashed once, for the most that was at stake in any of them.
Who is caught after that is slashed again and never returns. What is too old to be evidence is
forgotten, two records for each that comes in.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from abci_currency import keys, params
from abci_currency.state import liability, presence, slashing, stake, staking
from abci_currency.state.liability import SET_DELAY, Fault
from abci_currency.state.presence import Conduct, Incident
from abci_currency.state.slashing import Charge
from dchat.kernel import codec
from dchat.kernel.codec import MAX_U64
from dchat.kernel.family import Event
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
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
    if validator.tombstoned and not _incident(presence.conduct(draft, operator), offence):
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
    known = _incident(conduct, offence)
    if known is not None:
        return _add(draft, operator, known, offence, context)
    rules = params.SLASHING.load(draft)
    then = slashing.stake_of(offence.power)
    stayed = Amount(max(0, then - liability.left_since(draft, operator, offence.height)))
    charge = Charge(Fault(int(offence.offence)), offence.height, then, rules.double_sign_slash_bp)
    slashed = slashing.slash(draft, operator, charge, context)
    incident = Incident(context.height, offence.height, stayed)
    after = replace(conduct, incidents=(*conduct.incidents, incident))
    presence.save_conduct(draft, operator, after)
    if len(after.incidents) == presence.MAX_INCIDENTS:
        return (*slashed, *slashing.tombstone(draft, operator))
    until = EpochMs(context.block_time_ms + rules.double_sign_jail_ms)
    return (*slashed, *slashing.jail(draft, operator, until))


def _incident(conduct: Conduct, offence: Misbehaviour) -> Incident | None:
    """Return the incident that an offence belongs to, if that is known."""
    known = (each for each in conduct.incidents if offence.height < each.caught_at + SET_DELAY)
    return next(known, None)


def _add(
    draft: Draft,
    operator: AccountId,
    incident: Incident,
    offence: Misbehaviour,
    context: BlockContext,
) -> tuple[Event, ...]:
    """Slash what was at stake in this offence and not in those of the incident that are known.

    Whoever shows a small offence of his own first would have the large one for nothing.
    """
    first = min(incident.first, offence.height)
    if first < incident.first:
        liability.widen(draft, operator, incident.caught_at, incident.first, first)
    charge, stayed = _rise(draft, operator, incident, offence)
    told = slashing.slash(draft, operator, charge, context)
    charged = stayed if told else incident.charged
    after = replace(incident, first=first, charged=charged)
    conduct = presence.conduct(draft, operator)
    incidents = tuple([after if each == incident else each for each in conduct.incidents])
    presence.save_conduct(draft, operator, replace(conduct, incidents=incidents))
    return told


def _rise(
    draft: Draft, operator: AccountId, incident: Incident, offence: Misbehaviour
) -> tuple[Charge, Amount]:
    """Return what the offence adds, and how much of its stake was there when it was caught.

    What left before that bears the incident's slash already. The charge is a share, in whole basis
    points, of what is there and of what left since.
    """
    caught = Height(incident.caught_at + 1)
    since = liability.left_since(draft, operator, caught)
    before = liability.left_since(draft, operator, offence.height) - since
    stayed = Amount(max(0, slashing.stake_of(offence.power) - before))
    whole = Amount(min(staking.found(draft, operator).tokens + since, MAX_U64))
    fraction = params.SLASHING.load(draft).double_sign_slash_bp
    rise = max(0, stayed - incident.charged)
    share = min(fraction, fraction * rise // whole) if whole else 0
    return Charge(Fault(int(offence.offence)), caught, whole, share), stayed
