"""Transactions of both chains: what people order by chance, and whatever else a stranger sends."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from hypothesis import strategies as st

from abci_chat.machine import MACHINE as CHAT
from abci_chat.state import handles
from abci_chat.txs import handle, identity
from abci_currency.machine import MACHINE as CURRENCY
from abci_currency.txs import transfer
from dchat.kernel import codec
from dchat.kernel.ids import Amount, ChainId
from dchat.kernel.machine import Machine
from dchat.kernel.tx import MAX_TX_BYTES
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, Person, signed

PEOPLE = (ALICE, BOB, CAROL)
RELAY = "/ip4/127.0.0.1/tcp/7070/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"

Body = tuple[codec.Raw, ...]


def transfers(chance: random.Random, _: Person) -> Body:
    """A transfer, now and then of more than anybody has, or of nothing."""
    to = chance.choice(PEOPLE)
    return transfer.FAMILY.body(transfer.Transfer(to.id, Amount(chance.randrange(50_000))))


def identities(chance: random.Random, who: Person) -> Body:
    """A commitment to one of few handles, a registration, an update, or no such type."""
    name, salt = f"handle_{chance.randrange(5)}", bytes(32)
    match chance.randrange(6):
        case 0:
            return registration(who, prekey_hash=chance.randbytes(32))
        case 3:
            return commitment(who, name, salt)
        case 4:
            return handle.CLAIM.body(handle.ClaimHandle(name, salt))
        case 1:
            return identity.UPDATE_RELAYS.body(identity.UpdateRelays((RELAY,)))
        case 2:
            return identity.UPDATE_PREKEYS.body(identity.UpdatePrekeys(chance.randbytes(32)))
        case _:
            return (99,)


def registration(
    who: Person, name: str = "", salt: bytes = b"", *, prekey_hash: bytes = bytes(32)
) -> Body:
    """Somebody's registration, without a handle if none is named."""
    return identity.REGISTER.body(
        identity.RegisterIdentity(name, salt, who.public_key, (RELAY,), prekey_hash)
    )


def commitment(who: Person, name: str, salt: bytes, chain_id: ChainId = CHAIN) -> Body:
    """The promise to reveal a handle, which has to stand in an earlier block."""
    return handle.COMMIT.body(handle.CommitHandle(handles.commitment(chain_id, who.id, name, salt)))


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain's rules, and what its people order."""

    machine: Machine
    orders: Callable[[random.Random, Person], Body]

    def cook(self, recipes: Iterable[Recipe]) -> list[bytes]:
        """What the recipes come to on this chain."""
        return [recipe(self) for recipe in recipes]


CHAINS = {"chat": Chain(CHAT, identities), "currency": Chain(CURRENCY, transfers)}

Recipe = Callable[[Chain], bytes]
"""A transaction of either chain."""


def ordered(chain: Chain, *, who: Person, seed: int, nonce: int = 0, **changes: object) -> bytes:
    """What a person signs who draws by that seed, after changes to the envelope."""
    return signed(who, chain.orders(random.Random(seed), who), nonce, **changes)


def _harmed(chain: Chain, *, recipe: Recipe, place: int, change: int) -> bytes:
    """One byte is another."""
    raw = recipe(chain)
    at = place % len(raw)
    return raw[:at] + bytes([raw[at] ^ change]) + raw[at + 1 :]


def _cut(chain: Chain, *, recipe: Recipe, kept: int) -> bytes:
    return recipe(chain)[:kept]


def _foreign(_: Chain, *, raw: bytes) -> bytes:
    return raw


def _made(
    make: Callable[..., bytes], **choices: st.SearchStrategy[object]
) -> st.SearchStrategy[Recipe]:
    return st.fixed_dictionaries(choices).map(lambda chosen: partial(make, **chosen))


_WHO = st.sampled_from(PEOPLE)
_SEEDS = st.integers(0, 50)
_PRICES = st.integers(0, 3000) | st.integers(0, codec.MAX_U64)

HONEST = _made(ordered, who=_WHO, seed=_SEEDS, nonce=st.integers(0, 3))
"""What a person could have signed in good faith, not always in time and not always covered."""

RECIPES = st.one_of(
    HONEST,
    _made(
        ordered,
        who=_WHO,
        seed=_SEEDS,
        nonce=st.integers(0, 3) | st.integers(0, codec.MAX_U64),
        fee=_PRICES,
        cost_limit=_PRICES,
        valid_until_height=st.integers(0, 200) | st.integers(0, codec.MAX_U64),
        chain_id=st.sampled_from((CHAIN, "test-2")),
    ),
    _made(_harmed, recipe=HONEST, place=st.integers(0, 400), change=st.integers(1, 255)),
    _made(_cut, recipe=HONEST, kept=st.integers(0, 400)),
    _made(_foreign, raw=st.binary(max_size=80) | st.just(MAX_TX_BYTES + 1).map(bytes)),
)
"""Any bytes that a mempool or a block may hold."""

MEMPOOLS = st.builds(
    lambda recipes, twice: recipes + recipes[:twice],
    st.lists(RECIPES, max_size=6),
    st.integers(0, 3),
)
"""What waits, or what a block holds, in this order; some of it twice."""
