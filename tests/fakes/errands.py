"""What people of the currency chain order by chance: every family, sensible or not."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from abci_currency import keys, params
from abci_currency.state import pools, relays, stake
from abci_currency.txs import (
    consensus_key,
    delegate,
    escrow,
    issuer,
    multi_transfer,
    relay,
    rewards,
    rotate_key,
    transfer,
    unjail,
    validator,
    vesting,
)
from dchat.kernel import codec, rotation, signing
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.amounts import UNIT
from dchat.kernel.codec import Raw
from dchat.kernel.ids import AccountId, Amount, Height
from tests.fakes.currency import form, voter
from tests.fakes.economy import PEOPLE, Economy
from tests.fakes.memory import CHAIN, Person
from tests.fakes.postage import peer_of

T = TypeVar("T")
Body = tuple[Raw, ...]
Ordered = tuple[Person, Body]
Errand = Callable[[Economy, random.Random], Ordered]
FEES: Final = (9_999, 10_000, 10_000, 3 * UNIT, 6_000 * UNIT)
SEEDS: Final = (b"1" * 32, b"2" * 32, b"3" * 32)
CHEQUES: Final = signing.public_key(b"q" * 32)
ADDRESSES: Final = ("/ip4/203.0.113.7/tcp/7070", "/dns4/relay.example/tcp/443")
STRANGER: Final = AccountId(b"stranger" * 4)
IDS: Final = {who.id: who for who in PEOPLE}


def _amount(chance: random.Random) -> Amount:
    return Amount(
        chance.choice(
            [0, 1, 3, 999, UNIT, UNIT + 1, chance.randrange(400 * UNIT), chance.randrange(10**10)]
        )
    )


def _found(pairs: Sequence[T], chance: random.Random, otherwise: T) -> T:
    return chance.choice(pairs) if pairs else otherwise


def _named(key: bytes) -> tuple[Raw, ...]:
    return tuple(codec.as_values(codec.unpack(key)))


def _person(account: Raw) -> Person:
    return IDS[AccountId(ACCOUNT_ID.lift(account))]


def _held(world: Economy, chance: random.Random) -> tuple[Person, Person]:
    """Return a delegator and an operator with whom he has shares."""
    found = [_named(key) for key, _ in world.state.scan(keys.DELEGATIONS)]
    pairs = [(_person(key[1]), _person(key[2])) for key in found]
    return _found(pairs, chance, (PEOPLE[0], PEOPLE[0]))


def _operator(world: Economy, chance: random.Random) -> Person:
    found = [_person(key[-32:]) for key, _ in world.state.scan(keys.VALIDATORS)]
    return chance.choice([*found, chance.choice(PEOPLE)])


def _worth(world: Economy, who: Person, operator: Person) -> int:
    record = stake.validator(world.state, operator.id)
    held = stake.delegation(world.state, who.id, operator.id)
    return stake.tokens_for(record, held.shares) if record and held else 0


def _part(world: Economy, chance: random.Random, who: Person, operator: Person) -> Amount:
    whole = _worth(world, who, operator)
    return Amount(chance.choice([whole, whole, whole // 2, whole // 10, 1, int(_amount(chance))]))


def _transfer(_: Economy, chance: random.Random) -> Ordered:
    to = chance.choice([*IDS, STRANGER, pools.TREASURY])
    return chance.choice(PEOPLE), transfer.FAMILY.body(transfer.Transfer(to, _amount(chance), "so"))


def _multi(_: Economy, chance: random.Random) -> Ordered:
    outputs = tuple(
        multi_transfer.Output(chance.choice([*IDS, STRANGER]), _amount(chance))
        for _ in range(chance.randrange(5))
    )
    return chance.choice(PEOPLE), multi_transfer.FAMILY.body(multi_transfer.MultiTransfer(outputs))


def _rotate_key(world: Economy, chance: random.Random) -> Ordered:
    """A new key, now and then with a proof for somebody else."""
    who, version = chance.choice(PEOPLE), chance.randrange(1, 4)
    now = world.signer(who)
    seed = bytes([who.seed[0], version]) + bytes(30)
    honest = chance.randrange(6) > 0
    order = rotation.prove(seed, CHAIN, who.id if honest else STRANGER, now.version + 1)
    body = rotate_key.FAMILY.body(order)
    world.seeds[order.public_key] = seed
    return who, body


def _claim(_: Economy, chance: random.Random) -> Ordered:
    return chance.choice(PEOPLE[3:7]), vesting.CLAIM.body(vesting.ClaimVested())


def _delegate_vested(world: Economy, chance: random.Random) -> Ordered:
    body = vesting.DelegateVested(_operator(world, chance).id, _amount(chance))
    return chance.choice(PEOPLE[3:7]), vesting.DELEGATE.body(body)


def _create(world: Economy, chance: random.Random) -> Ordered:
    free = [who for who in PEOPLE if stake.validator(world.state, who.id) is None]
    who = _found(free, chance, PEOPLE[0])
    stakes = [99 * UNIT, 100 * UNIT, 900 * UNIT, 1_000 * UNIT + 1, 4_000 * UNIT]
    return who, validator.CREATE.body(form(who, chance.choice(stakes)))


def _edit(world: Economy, chance: random.Random) -> Ordered:
    who = _operator(world, chance)
    record = stake.validator(world.state, who.id)
    rate, least = (record.commission.rate_bp, record.min_self_delegation) if record else (0, 1)
    rate = max(0, rate + chance.choice([-500, -1, 0, 1, 100, 1_000, 9_000]))
    least = Amount(least + chance.choice([0, 0, 1, UNIT, 500 * UNIT]))
    return who, validator.EDIT.body(validator.EditValidator("renamed", rate, least))


def _delegate(world: Economy, chance: random.Random) -> Ordered:
    body = delegate.Delegate(_operator(world, chance).id, _amount(chance))
    return chance.choice(PEOPLE), delegate.DELEGATE.body(body)


def _undelegate(world: Economy, chance: random.Random) -> Ordered:
    who, operator = _held(world, chance)
    body = delegate.Undelegate(operator.id, _part(world, chance, who, operator))
    return who, delegate.UNDELEGATE.body(body)


def _redelegate(world: Economy, chance: random.Random) -> Ordered:
    who, source = _held(world, chance)
    target = _operator(world, chance)
    amount = _part(world, chance, who, source)
    return who, delegate.REDELEGATE.body(delegate.Redelegate(source.id, target.id, amount))


def _settle(world: Economy, chance: random.Random) -> Ordered:
    begun = [_named(key) for key, _ in world.state.scan(keys.UNBONDINGS)]
    pairs = [(_person(key[1]), _person(key[2])) for key in begun]
    who, operator = _found(pairs, chance, (PEOPLE[0], PEOPLE[1]))
    return who, delegate.SETTLE.body(delegate.SettleUnbonding(operator.id))


def _rotate_consensus(world: Economy, chance: random.Random) -> Ordered:
    who = _operator(world, chance)
    key = voter(who, chance.randrange(1, 5))
    fee = params.STAKING.load(world.state).key_rotation_fee
    order = consensus_key.RotateConsensusKey(
        key.public_key, consensus_key.prove(key.seed, CHAIN, who.id), fee
    )
    return who, consensus_key.FAMILY.body(order)


def _unjail(world: Economy, chance: random.Random) -> Ordered:
    found = [(who, stake.validator(world.state, who.id)) for who in PEOPLE]
    jailed = [who for who, record in found if record and record.jailed]
    return _found(jailed, chance, PEOPLE[0]), unjail.FAMILY.body(unjail.Unjail())


def _rewards(world: Economy, chance: random.Random) -> Ordered:
    who, operator = _held(world, chance)
    named = (operator.id, *chance.sample(list(IDS), chance.randrange(3)))
    return who, rewards.REWARDS.body(rewards.WithdrawRewards(named))


def _commission(world: Economy, chance: random.Random) -> Ordered:
    return _operator(world, chance), rewards.COMMISSION.body(rewards.WithdrawCommission())


def _address(_: Economy, chance: random.Random) -> Ordered:
    who = chance.choice(PEOPLE)
    to = chance.choice([who.id, *IDS, STRANGER, pools.TREASURY])
    return who, rewards.ADDRESS.body(rewards.SetRewardAddress(to))


def _sum(chance: random.Random) -> Amount:
    """Return what a relay, escrow or bond may hold."""
    return Amount(chance.choice([0, UNIT - 1, UNIT, 10 * UNIT, 25 * UNIT, 25 * UNIT]))


def _relay(world: Economy, seed: bytes, chance: random.Random) -> Person:
    """Return a relay's owner, or somebody else now and then."""
    record = relays.relay(world.state, peer_of(seed))
    return chance.choice([IDS[record.owner]] * 4 + [PEOPLE[0]]) if record else PEOPLE[0]


def _register(world: Economy, chance: random.Random) -> Ordered:
    who, seed = chance.choice(PEOPLE), chance.choice(SEEDS)
    until = Height(world.height + chance.choice([0, 5, 5, 20_000]))
    said = relays.statement(CHAIN, who.id, peer_of(seed), until)
    proof = signing.sign(seed, relays.PROOF_DOMAIN, said)
    body = relay.RegisterRelay(peer_of(seed), ADDRESSES[:1], _sum(chance), until, proof)
    return who, relay.REGISTER.body(body)


def _edit_relay(world: Economy, chance: random.Random) -> Ordered:
    seed = chance.choice(SEEDS)
    return _relay(world, seed, chance), relay.EDIT.body(relay.EditRelay(peer_of(seed), ADDRESSES))


def _unbond_relay(world: Economy, chance: random.Random) -> Ordered:
    seed = chance.choice(SEEDS)
    return _relay(world, seed, chance), relay.UNBOND.body(relay.UnbondRelay(peer_of(seed)))


def _top_up_relay(world: Economy, chance: random.Random) -> Ordered:
    seed = chance.choice(SEEDS)
    body = relay.TopUpRelay(peer_of(seed), _sum(chance))
    return _relay(world, seed, chance), relay.TOP_UP.body(body)


def _settle_relay(_: Economy, chance: random.Random) -> Ordered:
    body = relay.SettleRelay(peer_of(chance.choice(SEEDS)))
    return chance.choice(PEOPLE), relay.SETTLE.body(body)


def _open_escrow(_: Economy, chance: random.Random) -> Ordered:
    body = escrow.OpenEscrow(peer_of(chance.choice(SEEDS)), CHEQUES, _sum(chance))
    return chance.choice(PEOPLE), escrow.OPEN.body(body)


def escrow_of(world: Economy, chance: random.Random) -> tuple[Person, int]:
    """Return the payer and the number of an escrow, if there is one."""
    found = [_named(key) for key, _ in world.state.scan(keys.ESCROWS)]
    pairs = [(_person(key[1]), codec.U64.lift(key[2])) for key in found]
    return _found(pairs, chance, (PEOPLE[0], 1))


def _top_up_escrow(world: Economy, chance: random.Random) -> Ordered:
    who, number = escrow_of(world, chance)
    return who, escrow.TOP_UP.body(escrow.TopUpEscrow(number, _sum(chance)))


def _close_escrow(world: Economy, chance: random.Random) -> Ordered:
    who, number = escrow_of(world, chance)
    return who, escrow.CLOSE.body(escrow.CloseEscrow(number))


def _settle_escrow(world: Economy, chance: random.Random) -> Ordered:
    payer, number = escrow_of(world, chance)
    return chance.choice(PEOPLE), escrow.SETTLE.body(escrow.SettleEscrow(payer.id, number))


def _issuer(world: Economy, chance: random.Random) -> Person:
    found = [_person(key[-32:]) for key, _ in world.state.scan(keys.ISSUERS)]
    return _found(found, chance, PEOPLE[0])


def _open_bond(_: Economy, chance: random.Random) -> Ordered:
    return chance.choice(PEOPLE), issuer.OPEN.body(issuer.OpenIssuerBond(_sum(chance)))


def _top_up_bond(world: Economy, chance: random.Random) -> Ordered:
    return _issuer(world, chance), issuer.TOP_UP.body(issuer.TopUpIssuerBond(_sum(chance)))


def _close_bond(world: Economy, chance: random.Random) -> Ordered:
    return _issuer(world, chance), issuer.CLOSE.body(issuer.CloseIssuerBond())


def _settle_bond(world: Economy, chance: random.Random) -> Ordered:
    owner = _issuer(world, chance)
    return chance.choice(PEOPLE), issuer.SETTLE.body(issuer.SettleIssuerBond(owner.id))


def _publish(world: Economy, chance: random.Random) -> Ordered:
    epoch = world.time // params.RELAYS.load(world.state).token_epoch_ms + chance.randrange(-1, 4)
    body = issuer.PublishTokenKey(epoch, chance.randrange(14), bytes(32))
    return _issuer(world, chance), issuer.PUBLISH.body(body)


ERRANDS: Final[dict[str, Errand]] = {
    transfer.FAMILY.name: _transfer,
    multi_transfer.FAMILY.name: _multi,
    rotate_key.FAMILY.name: _rotate_key,
    vesting.CLAIM.name: _claim,
    vesting.DELEGATE.name: _delegate_vested,
    validator.CREATE.name: _create,
    validator.EDIT.name: _edit,
    delegate.DELEGATE.name: _delegate,
    delegate.UNDELEGATE.name: _undelegate,
    delegate.REDELEGATE.name: _redelegate,
    delegate.SETTLE.name: _settle,
    consensus_key.FAMILY.name: _rotate_consensus,
    unjail.FAMILY.name: _unjail,
    rewards.REWARDS.name: _rewards,
    rewards.COMMISSION.name: _commission,
    rewards.ADDRESS.name: _address,
    relay.REGISTER.name: _register,
    relay.EDIT.name: _edit_relay,
    relay.UNBOND.name: _unbond_relay,
    relay.TOP_UP.name: _top_up_relay,
    relay.SETTLE.name: _settle_relay,
    escrow.OPEN.name: _open_escrow,
    escrow.TOP_UP.name: _top_up_escrow,
    escrow.CLOSE.name: _close_escrow,
    escrow.SETTLE.name: _settle_escrow,
    issuer.OPEN.name: _open_bond,
    issuer.TOP_UP.name: _top_up_bond,
    issuer.CLOSE.name: _close_bond,
    issuer.SETTLE.name: _settle_bond,
    issuer.PUBLISH.name: _publish,
}
"""By family: what somebody orders of it now; many are refused."""


def ordered(world: Economy, name: str, seed: int) -> bytes:
    """Return the errand's transaction; what follows in the block is signed as if it succeeded."""
    chance = random.Random(f"{seed} {name} {sum(each.nonce for each in world.signers.values())}")
    who, body = ERRANDS[name](world, chance)
    raw = world.sign(
        who, body, chance.choice([10_000, 10_000, 20_001, 123_457, chance.choice(FEES)])
    )
    if name == rotate_key.FAMILY.name:
        world.follow(who, rotate_key.FAMILY.shape.lift(body[1:]).public_key)
    return raw


def opening(world: Economy) -> list[bytes]:
    """Return orders after which there is a relay, an escrow and an issuer's bond."""
    alice, bob = PEOPLE[:2]
    seed, until = SEEDS[0], Height(world.height + 5)
    said = relays.statement(CHAIN, alice.id, peer_of(seed), until)
    proof = signing.sign(seed, relays.PROOF_DOMAIN, said)
    much = Amount(40 * UNIT)
    register = relay.RegisterRelay(peer_of(seed), ADDRESSES[:1], much, until, proof)
    return [
        world.sign(alice, relay.REGISTER.body(register), 10_000),
        world.sign(bob, escrow.OPEN.body(escrow.OpenEscrow(peer_of(seed), CHEQUES, much)), 10_000),
        world.sign(bob, issuer.OPEN.body(issuer.OpenIssuerBond(much)), 10_000),
    ]
