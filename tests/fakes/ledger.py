"""A plain ledger of the currency chain: what blocks tell is added up, and compared with the state.

It knows no pool, share, index or log of the chain's: only who paid, got, staked and lost what.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from fractions import Fraction

from abci_currency import keys, params
from abci_currency.genesis import Beginning
from abci_currency.hooks.evidence import OffenceProved
from abci_currency.params import BASIS_POINTS
from abci_currency.state import rewards, stake
from abci_currency.state.leaving import RedelegationEnded, UnbondingEnded
from abci_currency.state.liability import SET_DELAY
from abci_currency.state.slashing import Jailed, Slashed
from abci_currency.txs.consensus_key import ConsensusKeyRotated
from abci_currency.txs.delegate import Delegated, Redelegated, Undelegated
from abci_currency.txs.escrow import EscrowOpened, EscrowSettled, EscrowToppedUp
from abci_currency.txs.issuer import IssuerBondOpened, IssuerBondSettled, IssuerBondToppedUp
from abci_currency.txs.relay import RelayRegistered, RelaySettled, RelayToppedUp
from abci_currency.txs.transfer import Transferred
from abci_currency.txs.validator import ValidatorCreated
from abci_currency.txs.vesting import VestedClaimed, VestedDelegated
from dchat.kernel import accounts, codec, tx
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.family import Event
from dchat.kernel.ids import AccountId
from dchat.kernel.store import State
from tests.fakes.world import Made

Left = tuple[int, int]
"""At which height how much left a validator."""


@dataclass
class Cut:
    """At which height which offence took how many basis points of a validator's stake."""

    made: int
    offence: int
    bp: int


@dataclass
class Incident:
    """Offences that cost once, for the most that was at stake in any of them."""

    caught: int
    first: int
    charged: int


@dataclass(frozen=True)
class Charge:
    """What an offence costs: basis points of what was at stake and is still there."""

    offence: int
    stayed: int
    bp: int


class Ledger:
    """What everybody has by what was told, rewards aside."""

    def __init__(self, begun: Beginning) -> None:
        self.liquid: Counter[AccountId] = Counter()
        for each in begun.kernel.allocations:
            self.liquid[each.account] += each.balance
        self.stakes: defaultdict[AccountId, Fraction] = defaultdict(Fraction)
        """What an account staked, did not get back and did not lose to slashes."""
        self.orders: Counter[AccountId] = Counter()
        """Transactions that counted."""
        self.locked: Counter[AccountId] = Counter()
        """Staked from a lock and not come back."""
        self.left: defaultdict[AccountId, list[Left]] = defaultdict(list)
        self.cuts: defaultdict[AccountId, list[Cut]] = defaultdict(list)
        self.incidents: defaultdict[AccountId, list[Incident]] = defaultdict(list)
        self.moves = 0
        """How often stake moved: each rounds once, or is an entry that may."""
        self.issued = sum(self.liquid.values()) + begun.treasury
        self.issued += sum(each.tokens for each in begun.locks)
        self.burned, self.emitted = 0, 0
        self.common = int(begun.treasury)
        """Treasury, and rewards paid out or not."""
        self.rules = begun.rules.rewards
        self.accrued_to = 0
        for founder in begun.founders:
            self._bonds(founder.operator, founder.stake)
        for bond in begun.bonds:
            self._bonds(bond.delegator, bond.tokens)

    def enter(self, made: Made) -> None:
        """Add up what a block tells, and check what can be checked of that alone."""
        fees = self._count(made)
        self._accrue(made, fees)
        self._slash(made)
        self._end(made)
        self._free(made)
        for event in made.result.events:
            self._took(made, event)
        for did in made.did:
            for event in did.events:
                self._told(made, tx.decode(did.raw).envelope.sender, event)

    def _count(self, made: Made) -> int:
        """Count nonces and fees; return what all paid."""
        fees = 0
        for did in made.did:
            if not did.admitted:
                assert did.code
                continue
            envelope = tx.decode(did.raw).envelope
            assert envelope.nonce == self.orders[envelope.sender]
            self.orders[envelope.sender] += 1
            self.liquid[envelope.sender] -= envelope.fee
            fees += envelope.fee
        burned = -(-fees * params.REWARDS.load(made.after).fee_burn_bp // BASIS_POINTS)
        self.burned += burned
        self.common += fees - burned
        return fees

    def _accrue(self, made: Made, fees: int) -> None:
        """Issue by the rules before a vote, and those after it."""
        now, held = made.context.block_time_ms, rewards.totals(made.after)
        before = self.rules
        self.rules = params.REWARDS.load(made.after)
        self.accrued_to = self.accrued_to or rewards.totals(made.before).accrued_to
        for rules in (before, self.rules):
            if self.accrued_to != held.accrued_to:
                epochs = (now - self.accrued_to) // rules.epoch_ms
                left = max(0, rules.max_emission - self.emitted)
                amount = min(epochs * rules.epoch_emission, left, codec.MAX_U64 - self.issued)
                self.emitted, self.issued = self.emitted + amount, self.issued + amount
                self.common += amount
                self.accrued_to += epochs * rules.epoch_ms
        assert self.accrued_to == held.accrued_to
        assert self.emitted == held.emitted
        assert not fees or now - held.accrued_to < self.rules.epoch_ms

    def _slash(self, made: Made) -> None:
        """Work out every slash anew, from the powers of back then and all that ever left."""
        rest = {operator: int(each.tokens) for operator, each in _validators(made.before).items()}
        due: dict[AccountId, Charge] = {}
        for event in made.result.events:
            if isinstance(event, OffenceProved):
                due[event.operator] = self._incur(made, event, rest[event.operator])
            elif isinstance(event, Slashed):
                charge = due.pop(event.operator) if event.fault else self._absent(made, event)
                assert (event.offence_height, event.fraction_bp) == (charge.offence, charge.bp)
                lost = -(-charge.stayed * charge.bp // BASIS_POINTS)
                assert event.burned == min(lost, rest[event.operator]), event
                rest[event.operator] -= event.burned
                self.burned += event.burned
                self._share_loss(made.before, event.operator, event.burned)
                self.cuts[event.operator].append(
                    Cut(made.context.height, charge.offence, charge.bp)
                )
            elif isinstance(event, Jailed):
                assert event.operator not in due or not due.pop(event.operator).bp
        assert not [each for each in due.values() if each.bp]

    def _absent(self, made: Made, event: Slashed) -> Charge:
        """Return what an absence costs: it is one of the block before this."""
        height = made.context.height - 1
        power = next(
            each.power
            for each in made.context.last_commit
            if not each.present and _is(made, each.address, event.operator)
        )
        stayed = max(0, power * stake.POWER_UNIT - self._since(event.operator, height))
        return Charge(height, stayed, params.SLASHING.load(made.after).downtime_slash_bp)

    def _incur(self, made: Made, proof: OffenceProved, rest: int) -> Charge:
        """Return what an offence costs: of an incident that is known, only what it adds."""
        who, height = proof.operator, int(proof.offence_height)
        bp = params.SLASHING.load(made.after).double_sign_slash_bp
        power = next(
            each.power
            for each in made.context.misbehaviour
            if each.height == height and _is(made, each.address, who)
        )
        then = power * stake.POWER_UNIT
        known = [each for each in self.incidents[who] if height < each.caught + SET_DELAY]
        if not known:
            stayed = max(0, then - self._since(who, height))
            self.incidents[who].append(Incident(made.context.height, height, stayed))
            return Charge(height, stayed, bp)
        return self._add(who, known[0], (height, then, rest), bp)

    def _add(
        self, who: AccountId, known: Incident, offence: tuple[int, int, int], bp: int
    ) -> Charge:
        height, then, rest = offence
        for each in self.cuts[who]:
            if (each.made, each.offence) == (known.caught, known.first) and height < known.first:
                each.offence = height
        known.first = min(known.first, height)
        since = self._since(who, known.caught + 1)
        stayed = max(0, then - self._since(who, height) + since)
        whole, rise = rest + since, max(0, stayed - known.charged)
        share = min(bp, bp * rise // whole) if whole else 0
        known.charged = stayed if share else known.charged
        return Charge(known.caught + 1, rest, share)

    def _since(self, operator: AccountId, offence: int) -> int:
        """Return what left of the stake that was there at an offence."""
        return sum(tokens for at, tokens in self.left[operator] if at > offence - SET_DELAY)

    def _share_loss(self, state: State, operator: AccountId, burned: int) -> None:
        shares = stake.VALIDATOR.decode_own(state.get(keys.validator(operator)) or b"").shares
        for (delegator, at), held in _delegations(state).items():
            if at == operator:
                self.stakes[delegator] -= Fraction(burned * held.shares, shares)

    def _kept(self, operator: AccountId, begun_at: int, now: int, tokens: int) -> int:
        """Return what all slashes leave of stake that went away at a height."""
        lost = sum(
            each.bp
            for each in self.cuts[operator]
            if each.offence - SET_DELAY < begun_at < each.made <= now
        )
        return tokens * (BASIS_POINTS - min(BASIS_POINTS, lost)) // BASIS_POINTS

    def _end(self, made: Made) -> None:
        """Work out anew what is left of every unbonding that ended in this block."""
        now, expected = made.context.height, Counter[UnbondingEnded]()
        for key, record in made.before.scan(keys.UNBONDINGS):
            if made.after.get(key) == record:
                continue
            entry = stake.UNBONDING.decode_own(record)
            assert entry.due <= made.context.block_time_ms
            owner, operator = _pair(key)
            left = self._kept(operator, entry.begun_at, now, entry.tokens)
            if entry.source:
                left = self._kept(AccountId(entry.source), entry.came_at, now, left)
            gone = accounts.Amount(entry.tokens - left)
            expected[UnbondingEnded(owner, operator, accounts.Amount(left), gone)] += 1
        events = (*made.result.events, *[each for did in made.did for each in did.events])
        assert Counter([each for each in events if isinstance(each, UnbondingEnded)]) == expected

    def _free(self, made: Made) -> None:
        """Work out anew what slashes of its source took off every redelegation that ended."""
        now, cut = made.context.height, Counter[tuple[AccountId, AccountId]]()
        for key, record in made.before.scan(keys.REDELEGATIONS):
            entry = stake.REDELEGATION.decode_own(record)
            if entry.due <= made.context.block_time_ms and made.after.get(key) != record:
                kept = self._kept(entry.source, entry.begun_at, now, entry.shares)
                cut[_pair(key)] += entry.shares - kept
        told = [each for each in made.result.events if isinstance(each, RedelegationEnded)]
        for pair in {*cut, *[(each.delegator, each.target) for each in told]}:
            burned = sum(each.slashed for each in told if (each.delegator, each.target) == pair)
            record = _validators(made.before)[pair[1]]
            lost = sum(
                each.burned
                for each in made.result.events
                if isinstance(each, Slashed) and each.operator == pair[1]
            )
            worth = Fraction(cut[pair] * (record.tokens - lost), record.shares)
            assert abs(worth - burned) <= 1 + len(told), (pair, worth, burned)

    def _took(self, made: Made, event: Event) -> None:
        match event:
            case RedelegationEnded(delegator, target, _, slashed):
                self.moves += 1
                self.burned += slashed
                self.stakes[delegator] -= slashed
                self.left[target].append((int(made.context.height), slashed))
            case UnbondingEnded():
                self._back(event)
            case _:
                pass

    def _back(self, event: UnbondingEnded) -> None:
        """Stake comes back: to the lock first."""
        self.moves += 1
        self.burned += event.slashed
        self.stakes[event.delegator] -= event.tokens + event.slashed
        again = min(self.locked[event.delegator], event.tokens)
        self.locked[event.delegator] -= again
        self.liquid[event.delegator] += event.tokens - again

    def _bonds(self, who: AccountId, amount: int) -> None:
        self.moves += 1
        self.liquid[who] -= amount
        self.stakes[who] += amount

    def _told(self, made: Made, sender: AccountId, event: Event) -> None:
        match event:
            case Transferred(_, to, amount):
                self.liquid[sender] -= amount
                self.liquid[to] += amount
            case Delegated(_, _, amount) | ValidatorCreated(_, _, amount):
                self._bonds(sender, amount)
            case VestedDelegated(_, _, amount):
                self._bonds(sender, amount)
                self.liquid[sender] += amount
                self.locked[sender] += amount
            case Undelegated(_, operator, amount) | Redelegated(_, operator, _, amount):
                self.moves += 1
                self.left[operator].append((int(made.context.height), amount))
            case UnbondingEnded():
                self._back(event)
            case ConsensusKeyRotated():
                fee = params.STAKING.load(made.after).key_rotation_fee
                self.liquid[sender] -= fee
                self.burned += fee
            case VestedClaimed(_, amount):
                self.liquid[sender] += amount
            case _:
                self.liquid.update(_postage(sender, event))

    def emit_deed(self, burned: int, paid: int, to: AccountId) -> None:
        """Enter what a later rule took from a relay, and paid from an escrow."""
        self.burned += burned
        self.liquid[to] += paid


def _postage(sender: AccountId, event: Event) -> dict[AccountId, int]:
    """Return what an order about relays, escrows and bonds gives to whom."""
    match event:
        case RelayRegistered(_, _, amount) | EscrowOpened(_, _, _, amount):
            return {sender: -amount}
        case RelayToppedUp(_, amount) | IssuerBondOpened(_, amount):
            return {sender: -amount}
        case EscrowToppedUp(_, _, amount) | IssuerBondToppedUp(_, amount):
            return {sender: -amount}
        case RelaySettled(owner, _, amount) | EscrowSettled(owner, _, amount):
            return {owner: amount}
        case IssuerBondSettled(owner, amount):
            return {owner: amount}
        case _:
            return {}


def _is(made: Made, address: bytes, operator: AccountId) -> bool:
    return stake.operator_of(made.before, address) == operator


def _pair(key: bytes) -> tuple[AccountId, AccountId]:
    _, first, second, *_ = codec.unpack_array(key)
    return AccountId(ACCOUNT_ID.lift(first)), AccountId(ACCOUNT_ID.lift(second))


def _validators(state: State) -> dict[AccountId, stake.Validator]:
    return {
        AccountId(key[-32:]): stake.VALIDATOR.decode_own(record)
        for key, record in state.scan(keys.VALIDATORS)
    }


def _delegations(state: State) -> dict[tuple[AccountId, AccountId], stake.Delegation]:
    return {
        _pair(key): stake.DELEGATION.decode_own(record)
        for key, record in state.scan(keys.DELEGATIONS)
    }


def wealth(state: State) -> Counter[AccountId]:
    """Return what everybody's stake is worth, what is on its way out included."""
    worth: Counter[AccountId] = Counter()
    validators = _validators(state)
    for (delegator, operator), held in _delegations(state).items():
        worth[delegator] += stake.tokens_for(validators[operator], held.shares)
    for key, record in state.scan(keys.UNBONDINGS):
        worth[_pair(key)[0]] += stake.UNBONDING.decode_own(record).tokens
    return worth


def strongest(state: State) -> list[tuple[bytes, int]]:
    """Return the keys and powers of those who should vote, by their own records alone."""
    able = [
        (-each.tokens, operator, each.consensus_key)
        for operator, each in _validators(state).items()
        if not each.jailed and each.tokens >= stake.POWER_UNIT
    ]
    most = params.STAKING.load(state).max_validators
    return [(key, -tokens // stake.POWER_UNIT) for tokens, _, key in sorted(able)[:most]]
