"""What people of the chat chain order by chance: every family, sensible or not."""

from __future__ import annotations

import random
from typing import Final

from tests.fakes import community_doings, community_names
from tests.fakes.community import PEOPLE, Community
from tests.fakes.community_names import Errand, Ordered

FEES: Final = (9_999, 10_000, 10_000, 8_000, 200_000, 4_000_000)

ERRANDS: Final[dict[str, Errand]] = {**community_names.ERRANDS, **community_doings.ERRANDS}
"""By family: what somebody orders of it now; many are refused."""


def ordered(world: Community, name: str, seed: int) -> bytes:
    """Return the errand's transaction; what follows in the block is signed as if it succeeded."""
    chance = random.Random(f"{seed} {name} {sum(each.nonce for each in world.signers.values())}")
    order = ERRANDS[name](world, chance)
    fee = chance.choice([10_000, 10_000, 20_001, 43_457, chance.choice(FEES)])
    return signed(world, order, 0 if order.worked else fee)


def signed(world: Community, order: Ordered, fee: int = 10_000) -> bytes:
    """Return the transaction by which somebody orders that."""
    raw = world.sign(order.who, order.family.body(order.form), fee)
    if order.family.rekeys:
        world.follow(order.who, order.form.public_key)
    return raw


def opening(world: Community) -> list[bytes]:
    """Return orders after which most people have an identity."""
    chance = random.Random(1)
    forms = [community_names.register(who, chance) for who in PEOPLE[:6]]
    return [signed(world, each) for each in forms]
