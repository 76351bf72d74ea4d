"""A currency chain of any size to measure: its genesis, and orders that its people sign.

The first of the people have keys and sign; all others are numbers hashed. Whoever stakes does so
with one validator. Stake and funds are so large that no order is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random

from google.protobuf.timestamp_pb2 import Timestamp

from abci_currency import genesis as currency
from abci_currency.genesis import Beginning, Bond, Founder, Rules, Terms
from abci_currency.params import Rewards
from abci_currency.state.stake import POWER_UNIT, address_of
from abci_currency.txs import delegate, rewards, transfer
from dchat.kernel import accounts, codec, genesis, signing, tx
from dchat.kernel.family import TxFamily
from dchat.kernel.ids import AccountId, Amount, ChainId, Height, Nonce
from dchat.kernel.machine import cost_of
from dchat.kernel.params import DEFAULT
from dchat.node.proto import abci_pb2 as pb
from dchat.node.proto import keys_pb2, validator_pb2
from tests.fakes.consensus import GENESIS_S, wrapped

CHAIN = ChainId("bench-economy")
VALIDATORS = 100
SIGNERS = 2_000
FUNDS = Amount(2_000_000 * POWER_UNIT)
SELF_STAKE = Amount(1_000_000 * POWER_UNIT)
STAKE = Amount(1_000 * POWER_UNIT)
EMISSION = Amount(1_000_000)
FEE = Amount(1_000_000)
"""Far above the least: what a block's fees bring each delegator is then worth withdrawing."""
RULES = Rules(rewards=Rewards(epoch_emission=EMISSION, max_emission=FUNDS))

MOST_BYTES = 240
"""No order here is larger."""

Body = tuple[codec.Raw, ...]
Kind = Callable[[int, Random], tuple[TxFamily, Body]]
"""What a signer orders."""


def seed(number: int) -> bytes:
    """Return the secret of one who signs."""
    return number.to_bytes(32, "big")


@cache
def public_key(number: int) -> bytes:
    """Return the key of one who signs."""
    return signing.public_key(seed(number))


@cache
def operators() -> tuple[AccountId, ...]:
    """Return the accounts of the validators, ascending."""
    return tuple(sorted(_hashed(b"operator", at) for at in range(VALIDATORS)))


@cache
def signer(number: int) -> AccountId:
    """Return the account of one who signs."""
    return accounts.account_id(public_key(number))


def operator_of(number: int) -> AccountId:
    """Return the validator with which a signer has stake."""
    return operators()[number % VALIDATORS]


def consensus_key(number: int) -> bytes:
    """Return the key with which a validator votes."""
    return signing.public_key(hashlib.sha256(b"consensus %d" % number).digest())


def beginning(holders: int, delegations: int) -> Beginning:
    """Return a genesis with so many accounts; of the first of them, so many have stake."""
    signers = min(SIGNERS, delegations)
    others = holders - signers - VALIDATORS
    people = [signer(at) for at in range(signers)]
    people += [_hashed(b"holder", at) for at in range(others)]
    bonds = [Bond(who, operator_of(at), STAKE) for at, who in enumerate(people[:delegations])]
    ids = sorted([*people, *operators()])
    held = genesis.Genesis(DEFAULT, tuple([genesis.Allocation(each, FUNDS) for each in ids]))
    founders = tuple([_founder(at, who) for at, who in enumerate(operators())])
    bonds.sort(key=lambda bond: bond.delegator)
    return Beginning(held, RULES, founders, tuple(bonds))


def _hashed(word: bytes, number: int) -> AccountId:
    return AccountId(hashlib.sha256(b"%s %d" % (word, number)).digest())


def _founder(number: int, operator: AccountId) -> Founder:
    terms, least = Terms(rate_bp=1_000), Amount(1)
    return Founder(operator, consensus_key(number), f"validator {number}", terms, least, SELF_STAKE)


def write(place: Path, holders: int, delegations: int) -> None:
    """Write what CometBFT would send to begin with, and the canonical bytes in it beside that."""
    begun = beginning(holders, delegations)
    state = currency.SHAPE.encode(begun)
    members = [
        pb.ValidatorUpdate(pub_key=keys_pb2.PublicKey(ed25519=key), power=power)
        for key, power in currency.powers(begun).items()
    ]
    request = pb.RequestInitChain(
        time=Timestamp(seconds=GENESIS_S),
        chain_id=CHAIN,
        initial_height=1,
        validators=members,
        app_state_bytes=wrapped(state),
    )
    place.write_bytes(request.SerializeToString())
    canonical(place).write_bytes(state)


def canonical(place: Path) -> Path:
    """Return where the canonical bytes are."""
    return place.with_suffix(".state")


def votes() -> pb.CommitInfo:
    """Return the commit of a block that every validator signed."""
    power = SELF_STAKE // POWER_UNIT
    members = [
        pb.Validator(address=address_of(consensus_key(at)), power=power) for at in range(VALIDATORS)
    ]
    return pb.CommitInfo(
        votes=[
            pb.VoteInfo(validator=each, block_id_flag=validator_pb2.BLOCK_ID_FLAG_COMMIT)
            for each in members
        ]
    )


class Orders:
    """Signs a block's worth at a time, one order of each who signs; nonces go on."""

    def __init__(self) -> None:
        self._chance = Random(1)
        self._nonce = 0

    def of(self, kinds: Sequence[Kind]) -> list[bytes]:
        """Return signed orders, each kind as often as among these, everybody with any of them."""
        drawn = list(kinds) * (SIGNERS // len(kinds))
        self._chance.shuffle(drawn)
        made = [self._signed(at, *kind(at, self._chance)) for at, kind in enumerate(drawn)]
        self._nonce += 1
        return made

    def _signed(self, at: int, family: TxFamily, body: Body) -> bytes:
        limit = cost_of(MOST_BYTES, family.price(body[1:]))
        nonce, last = Nonce(self._nonce), Height(5_000)
        envelope = tx.Envelope(CHAIN, signer(at), public_key(at), nonce, FEE, limit, last, body)
        return tx.build(envelope, seed(at))


def transfers(_: int, chance: Random) -> tuple[TxFamily, Body]:
    """Pay one of the others."""
    order = transfer.Transfer(signer(chance.randrange(SIGNERS)), Amount(1))
    return transfer.FAMILY, transfer.FAMILY.body(order)


def delegations(at: int, _: Random) -> tuple[TxFamily, Body]:
    """Stake more with the same validator."""
    order = delegate.Delegate(operator_of(at), Amount(POWER_UNIT))
    return delegate.DELEGATE, delegate.DELEGATE.body(order)


def withdrawals(at: int, _: Random) -> tuple[TxFamily, Body]:
    """Withdraw what the stake has earned."""
    return rewards.REWARDS, rewards.REWARDS.body(rewards.WithdrawRewards((operator_of(at),)))
