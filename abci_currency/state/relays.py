"""Relays: who runs one, where it is found, and what it has at stake.

    ("relay", peer)  [owner, addresses, stake, registered_at, jailed_until, leaves_at]

`peer` is the 32-byte Ed25519 key that a libp2p peer id encodes; the peer itself has signed that
`owner` may register it. A relay that leaves keeps its record, and its stake stays liable in it,
until `leaves_at`: then the stake is paid out and the record goes. So a peer has one record at most,
a slash writes one record whatever happened before, and no peer id is registered again while stake
of its last time is still liable. The stakes add up to the pool RELAY_STAKES.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NewType

from abci_currency import keys
from abci_currency.params import BASIS_POINTS
from abci_currency.state import multiaddr, pools
from dchat.kernel import accounts, amounts, codec, holdings
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import AccountId, Amount, ChainId, EpochMs, Height
from dchat.kernel.store import Draft, State, read

PeerKey = NewType("PeerKey", bytes)
"""The Ed25519 key of a libp2p host, which is also its peer id."""

PROOF_DOMAIN: Final = b"dchat/relay/registration/v1"
PEER: Final = codec.Fixed(32)
MAX_ADDRESSES: Final = 8
ADDRESSES: Final = codec.ListOf(codec.Text(multiaddr.MAX_BYTES), MAX_ADDRESSES)
_STAYS: Final = EpochMs(0)


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay, named by its peer key."""

    owner: AccountId
    """Who may change it, and is paid."""
    addresses: tuple[str, ...]
    stake: Amount
    registered_at: Height
    """Offences before it were not this registration's."""
    jailed_until: EpochMs = _STAYS
    """It does not count as serving before; it returns by itself."""
    leaves_at: EpochMs = _STAYS
    """When a relay that unbonds is paid out; 0 while it is registered."""

    @property
    def is_leaving(self) -> bool:
        """Whether it is registered no longer, though its stake is still liable."""
        return self.leaves_at != _STAYS

    def serves(self, least: Amount, now: EpochMs) -> bool:
        """Tell whether it is registered, not in jail, and has the least stake there is."""
        return not self.is_leaving and self.jailed_until <= now and self.stake >= least


RELAY: Final = codec.Record(
    Relay,
    owner=ACCOUNT_ID,
    addresses=ADDRESSES,
    stake=codec.U64,
    registered_at=codec.U64,
    jailed_until=codec.U64,
    leaves_at=codec.U64,
)


def statement(chain: ChainId, owner: AccountId, peer: PeerKey, until: Height) -> bytes:
    """Return what a peer signs, under PROOF_DOMAIN, to let owner register it up to that height."""
    return codec.pack((chain, owner, peer, until))


def relay(state: State, peer: PeerKey) -> Relay | None:
    """Return the relay of this peer key, leaving or not; None where there is none."""
    return read(state, keys.relay(peer), RELAY)


def save(draft: Draft, peer: PeerKey, record: Relay) -> None:
    """Write a relay."""
    draft.put(keys.relay(peer), RELAY.encode(record))


def relays(state: State) -> Iterator[tuple[PeerKey, Relay]]:
    """Yield every relay by ascending peer key. Walks all of them: for queries and audits."""
    for key, record in state.scan(keys.RELAYS):
        yield PeerKey(key[-32:]), RELAY.decode_own(record)


def check_invariant(state: State) -> None:
    """Return if the pool holds what relays have at stake. For audits. Raises: InvariantBroken."""
    staked = sum(record.stake for _, record in relays(state))
    held = accounts.load(state, pools.RELAY_STAKES).balance
    if staked != held:
        raise InvariantBroken(f"relays have {staked} at stake, their pool holds {held}")


def add_stake(draft: Draft, peer: PeerKey, record: Relay, amount: Amount) -> None:
    """Move amount from the owner's balance into the relay's stake.

    Raises: InsufficientFunds, AmountTooLarge.
    """
    holdings.move(draft, record.owner, pools.RELAY_STAKES, amount)
    save(draft, peer, replace(record, stake=amounts.add(record.stake, amount)))


def pay_out(draft: Draft, peer: PeerKey, record: Relay) -> None:
    """Give the owner what is left at stake, and forget the relay."""
    holdings.move(draft, pools.RELAY_STAKES, record.owner, record.stake)
    draft.delete(keys.relay(peer))


def slash(draft: Draft, peer: PeerKey, amount: Amount, offence_at: Height) -> Amount:
    """Burn up to amount of what the relay has at stake, leaving or not; return what was burned.

    Nothing is burned where there is no relay any more, or only one registered after the offence.
    """
    found = relay(draft, peer)
    if found is None or offence_at < found.registered_at:
        return Amount(0)
    taken = Amount(min(amount, found.stake))
    if taken:
        holdings.burn(draft, pools.RELAY_STAKES, taken)
        save(draft, peer, replace(found, stake=Amount(found.stake - taken)))
    return taken


def slash_share(draft: Draft, peer: PeerKey, fraction_bp: int, offence_at: Height) -> Amount:
    """Burn a share of what the relay has at stake, rounded up; see slash()."""
    found = relay(draft, peer)
    stake = found.stake if found else 0
    return slash(draft, peer, Amount(-(-stake * fraction_bp // BASIS_POINTS)), offence_at)


def jail(draft: Draft, peer: PeerKey, until: EpochMs) -> None:
    """Let the relay not count as serving until then, or later if it is in jail for longer."""
    found = relay(draft, peer)
    if found is not None:
        later = EpochMs(max(found.jailed_until, until))
        save(draft, peer, replace(found, jailed_until=later))
