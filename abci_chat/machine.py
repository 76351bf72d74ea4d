"""The chat chain's rules as one Machine value."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from abci_chat import genesis, queries
from abci_chat.hooks import anchors, draws, fees, maturing, recoveries
from abci_chat.state import beacon
from abci_chat.txs import (
    anchor,
    ballot,
    channel,
    device,
    epoch,
    expire,
    guardians,
    handle,
    identity,
    invite,
    juror,
    member,
    ownership,
    post,
    proposal,
    recovery,
    report,
    rotate_key,
    verdict,
)
from abci_chat.txs import beacon as chains
from dchat.kernel.family import TxFamily
from dchat.kernel.machine import Machine

FAMILIES: Final[Mapping[int, TxFamily]] = MappingProxyType(
    {
        family.type: family
        for family in (
            identity.REGISTER,
            identity.UPDATE_RELAYS,
            identity.UPDATE_PREKEYS,
            handle.COMMIT,
            handle.CLAIM,
            handle.RELEASE,
            handle.TRANSFER,
            identity.DEACTIVATE,
            rotate_key.FAMILY,
            chains.FAMILY,
            *device.FAMILIES,
            *guardians.FAMILIES,
            *recovery.FAMILIES,
            *channel.FAMILIES,
            *member.FAMILIES,
            *invite.FAMILIES,
            *ownership.FAMILIES,
            *epoch.FAMILIES,
            *post.FAMILIES,
            anchor.FAMILY,
            expire.FAMILY,
            *proposal.FAMILIES,
            *ballot.FAMILIES,
            *juror.FAMILIES,
            *report.FAMILIES,
            *verdict.FAMILIES,
        )
    }
)


MACHINE: Final = Machine(
    name="chat",
    families=FAMILIES,
    genesis=genesis.init,
    queries=queries.PATHS,
    begin_block=(
        draws.hand_over,
        maturing.mature,
    ),
    take_fees=fees.take,
    least_fee=fees.least,
    end_block=(
        recoveries.take_over,
        anchors.take,
    ),
    duty=beacon.DUTY,
)
