"""A validator's own part in a new network: its terms, signed with what its identity holds."""

from __future__ import annotations

from dataclasses import dataclass

from abci_currency.genesis import Founder, Terms, check_founder
from dchat.kernel.accounts import show_account
from dchat.kernel.codec import CodecError
from dchat.kernel.ids import Amount
from dchat.node.identity import Identity
from dchat.operator import beacon
from dchat.operator.plan import keys_of
from genesis.entry import BadEntry, Offer, Seeds, encode
from genesis.settings import GenesisSettings


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator decides; amounts in base units."""

    moniker: str
    terms: Terms
    min_self_delegation: Amount
    stake: Amount


def offer_of(owner: Identity, network: GenesisSettings, wish: Wish) -> tuple[Offer, bytes]:
    """Return what the identity offers to a network, and the entry that says so, signed.

    Raises: BadEntry where the network would refuse it whatever the other validators do, and for an
    identity whose key was rotated.
    """
    if owner.key_version:
        raise BadEntry(
            "the identity's key was rotated, and an account of a new network has its first key",
            "make an identity for the new network: dchat keygen",
        )
    chat, currency = keys_of(owner, "chat"), keys_of(owner, "currency")
    offer = Offer(
        chain_id=network.chain_id,
        moniker=wish.moniker,
        account_key=owner.public_key,
        chat_key=chat.consensus_key,
        currency_key=currency.consensus_key,
        terms=wish.terms,
        min_self_delegation=wish.min_self_delegation,
        stake=wish.stake,
        beacon_head=beacon.head(owner, network.chain_id),
        beacon_length=beacon.LENGTH,
    )
    _check(offer, network)
    return offer, encode(offer, Seeds(owner.child("account"), chat.consensus, currency.consensus))


def _check(offer: Offer, network: GenesisSettings) -> None:
    founder = Founder(
        operator=offer.account,
        consensus_key=offer.currency_key,
        moniker=offer.moniker,
        terms=offer.terms,
        min_self_delegation=offer.min_self_delegation,
        stake=offer.stake,
    )
    try:
        check_founder(founder, network.economy.rules.staking)
    except CodecError as fault:
        raise BadEntry(str(fault), "the network's settings say what may be") from None
    held = {each.account: each.balance for each in network.accounts}
    if held.get(offer.account, offer.stake) < offer.stake:
        raise BadEntry(
            f"{show_account(offer.account)} is to stake {offer.stake} base units, "
            f"and the settings give it {held[offer.account]}",
            "stake less, or have the account given more in the settings",
        )
