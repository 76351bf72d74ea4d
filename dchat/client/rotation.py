"""Gives an account its new key on one chain, or finds that it has it there already.

What is to be done is read from the chain, with a proof, so it can be asked for as often as one
likes: after a crash, or where one chain has carried it out and the other was not to be reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dchat.kernel import accounts, rotation, signing
from dchat.kernel.accounts import Account
from dchat.kernel.errors import OperatorError
from dchat.kernel.family import Family
from dchat.kernel.ids import AccountId, Height
from dchat.kernel.rotation import RotateKey
from dchat.node.chain import OpenChain, Order
from dchat.node.identity import Identity

_ANY: Final = Height(0)


class OtherKey(OperatorError):
    """The account has a key on chain that is in neither file."""

    hint = "use the identity file that was made last: somebody may have rotated the key before"


@dataclass(frozen=True, slots=True)
class Rotated:
    """The account has the new key: proved."""

    key_version: int
    height: Height | None
    """The block that did it now; None where it was done before."""


async def rotate(
    chain: OpenChain, family: Family[RotateKey], old: Identity, new: Identity
) -> Rotated:
    """Return once the account of both identities has the new one's key on this chain.

    Raises: OtherKey, and as OpenChain.execute().
    """
    account = old.account_id
    held = await _held(chain, account, _ANY)
    if held.public_key == new.public_key:
        return Rotated(held.key_version, None)
    change = rotation.prove(new.account_seed, chain.entry.chain_id, account, held.key_version + 1)
    body = family.body(change)
    order = Order(body, family.price(body[1:]), _signer(old, held), account)
    included = await chain.execute(order)
    after = await _held(chain, account, included.height)
    if after.public_key != new.public_key:
        raise OtherKey(f"after block {included.height} the account has another key")
    return Rotated(after.key_version, included.height)


def _signer(old: Identity, held: Account) -> bytes:
    """Return the seed of the key that the chain takes from this account now. Raises: OtherKey.

    An account that was never used here takes its first key alone, whatever it has elsewhere.
    """
    first = old.child("account")
    for seed in (old.account_seed, first):
        if signing.public_key(seed) == held.public_key:
            return seed
    if not held.public_key:
        return first
    raise OtherKey(f"the chain has key {held.key_version} of the account, {held.public_key.hex()}")


async def _held(chain: OpenChain, account: AccountId, at_least: Height) -> Account:
    proved = await chain.reader.read(accounts.key(account), at_least)
    return accounts.decode(proved.value) if proved.value else accounts.EMPTY
