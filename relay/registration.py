"""What a relay's operator needs to enter the registry on the currency chain.

The relay's libp2p key signs that an account may register it, so nobody else can take its peer id,
and nobody can enter a relay that does not know of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

from abci_currency.state import multiaddr, relays
from abci_currency.state.relays import PeerKey
from abci_currency.txs.relay import RegisterRelay
from dchat.kernel import signing
from dchat.kernel.ids import AccountId, Amount, ChainId, Height
from relay.net.address import BadAddress, PeerId, key_of, parse_address, peer_id_of


def build_registration(
    peer_seed: bytes,
    bond: tuple[AccountId, Amount],
    addresses: Sequence[str],
    chain: ChainId,
    until: Height,
) -> RegisterRelay:
    """Return the body by which an account registers the relay with this seed (child `libp2p`).

    `bond` is whose stake it is and how much; the proof is good on that chain up to height `until`,
    which may be as far ahead as a transaction's own last height. Raises: BadAddress.
    """
    owner, stake = bond
    peer = PeerKey(signing.public_key(peer_seed))
    told = as_registered(addresses, peer)
    proof = signing.sign(
        peer_seed, relays.PROOF_DOMAIN, relays.statement(chain, owner, peer, until)
    )
    return RegisterRelay(peer, told, stake, until, proof)


def as_registered(addresses: Sequence[str], peer: PeerKey) -> tuple[str, ...]:
    """Return multiaddrs as the chain keeps them: one spelling, each once, no peer id behind.

    Raises: BadAddress for one of another peer, or that nobody could dial.
    """
    return tuple(dict.fromkeys(_canonical(text, peer) for text in addresses))


def peer_key(peer: PeerId) -> PeerKey:
    """Return the key that names a relay on chain, from its `12D3Koo…`. Raises: BadAddress."""
    return PeerKey(key_of(peer))


def _canonical(text: str, peer: PeerKey) -> str:
    parsed = parse_address(text)
    if parsed.peer_id not in (None, peer_id_of(peer)):
        raise BadAddress(text, "it names another peer")
    host = _host(parsed.host.lower())
    shown = str(replace(parsed, host=host, peer_id=None))
    if not multiaddr.is_canonical(shown):
        raise BadAddress(text, "nobody could dial it")
    return shown


def _host(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        return host
