"""The state machine that both chains are: a block on a state gives writes and outcomes.

A transaction passes four gates. Malformed bytes, too low a declared cost, a foreign chain, an
expired height, a wrong nonce, key, signature or an uncovered fee leave no trace. From there on
nonce and fee count, and the body runs on a draft of its own that a refusal throws away (STYLE
D4). One cost unit stands for about one microsecond that a block takes on the reference machine
where nobody has checked its transactions before (ADR 13).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from dchat.kernel import accounts, bundle, contribution, params, signing, supply, tx
from dchat.kernel.accounts import Account
from dchat.kernel.contribution import Duty
from dchat.kernel.errors import (
    BadSignature,
    CannotPayFee,
    CostLimitTooHigh,
    CostLimitTooLow,
    Expired,
    FeeTooLow,
    KeyChanging,
    NonceMismatch,
    NotOwed,
    SenderKeyMismatch,
    TxRejected,
    UnknownTransaction,
    ValidityTooLong,
    WeakKey,
    WrongChain,
)
from dchat.kernel.family import MAX_WAIVED_COST, Event, Prepared, TxContext, TxFamily
from dchat.kernel.ids import AccountId, Amount, ChainId, Cost, EpochMs, Height, Nonce, TxHash
from dchat.kernel.params import Params
from dchat.kernel.store import Draft, State
from dchat.kernel.tx import SignedTx

BASE_COST: Final = Cost(56)
"""Cost units of decoding, one signature check and the sender's record."""
_BYTES_PER_COST: Final = 16
"""Decoding 64 KiB of the smallest values takes 3 ms; other bytes are cheaper."""
_FREE: Final = Cost(0)
_NOTHING: Final = Amount(0)
CHANGING: Final = Account(b"changing", 0, Nonce(0), _NOTHING)
"""What behind() makes of a sender whose next key depends on how the block goes; never in a state.

Whoever signs behind it with the key that turns out to be wrong would fill a block for free.
"""


@dataclass(frozen=True, slots=True)
class Vote:
    """Whether a validator took part in the commit of the block before; a vote for nil counts."""

    address: bytes
    power: int
    present: bool


class Offence(IntEnum):
    """What evidence proves; the numbers are CometBFT's MisbehaviorType."""

    DUPLICATE_VOTE = 1
    LIGHT_CLIENT_ATTACK = 2


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """A validator's offence: its 20-byte address, and its power, height and time back then."""

    offence: Offence
    address: bytes
    power: int
    height: Height
    time_ms: EpochMs


@dataclass(frozen=True, slots=True)
class ValidatorPower:
    """A consensus key and its voting power; as an update to CometBFT, 0 takes it out of the set."""

    public_key: bytes
    power: int


@dataclass(frozen=True, slots=True)
class BlockContext:
    """All that a block's hooks and transactions may know besides the state."""

    chain_id: ChainId
    height: Height
    block_time_ms: EpochMs
    proposer: bytes = b""
    """20-byte address of the validator that proposed the block."""
    last_commit: tuple[Vote, ...] = ()
    """Of everyone who could sign the block before, in CometBFT's order."""
    misbehaviour: tuple[Misbehaviour, ...] = ()
    """Proved by evidence in this block; CometBFT has checked it."""
    block_hash: bytes = b""
    """Of the block itself; a proposer can choose among as many as it cares to try."""


@dataclass(frozen=True, slots=True)
class GenesisContext:
    """What CometBFT's part of a genesis file says, for the application's part to agree with."""

    chain_id: ChainId
    time_ms: EpochMs
    validators: tuple[ValidatorPower, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What CheckTx and ExecTxResult answers are built from. Code 0 is success."""

    code: int
    reason: str = ""
    """The refusal with its numbers, for people; not part of consensus."""
    cost_wanted: Cost = _FREE
    cost_used: Cost = _FREE
    events: tuple[Event, ...] = ()
    data: bytes = b""
    """Of a bundle: what became of each transaction in it."""


@dataclass(frozen=True, slots=True)
class Carried(Event):
    """A bundle brought this transaction, which did as it would have done alone."""

    tx_hash: TxHash
    code: int
    cost_used: Cost
    events: tuple[Event, ...]
    """What the transaction itself tells."""


Query = Callable[[State, bytes], bytes]
BlockHook = Callable[[Draft, BlockContext], tuple[Event, ...]]


Paid = Mapping[AccountId, Amount]
"""Fees of one block, above zero each, by who paid them, in the order of their first transaction."""


def _burn(draft: Draft, paid: Paid, _: BlockContext) -> None:
    supply.burn(draft, Amount(sum(paid.values())))


def _full_fee(_: State, __: AccountId, fee: Amount, ___: BlockContext) -> Amount:
    return fee


def _fixed_set(_: Draft, __: BlockContext) -> tuple[ValidatorPower, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Machine:
    """A chain's rules as one value."""

    name: str
    families: Mapping[int, TxFamily]
    genesis: Callable[[Draft, GenesisContext, bytes], None]
    """Write the initial state from canonical genesis bytes. Raises: CodecError, InvariantBroken."""
    queries: Mapping[str, Query]
    begin_block: tuple[BlockHook, ...] = ()
    """What comes before the block's transactions, in this order."""
    take_fees: Callable[[Draft, Paid, BlockContext], None] = _burn
    """Where the fees of a block go; they are taken from their payers already."""
    least_fee: Callable[[State, AccountId, Amount, BlockContext], Amount] = _full_fee
    """What a sender owes of the fee that its declared cost asks for; asked where it offers less."""
    end_block: tuple[BlockHook, ...] = ()
    """What every block owes beyond its transactions, in this order."""
    duty: Duty | None = None
    """What a block's proposer owes besides transactions."""
    validator_updates: Callable[[Draft, BlockContext], tuple[ValidatorPower, ...]] = _fixed_set
    """What changes in the set of validators, asked last; it votes two blocks on."""


@dataclass(frozen=True, slots=True)
class Block:
    """What consensus hands over at one height."""

    context: BlockContext
    txs: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What a block does: one outcome per transaction, and the writes of all together."""

    writes: Mapping[bytes, bytes | None]
    outcomes: tuple[Outcome, ...]
    events: tuple[Event, ...] = ()
    """What the hooks tell."""
    validator_updates: tuple[ValidatorPower, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """A transaction whose bytes have nothing wrong with them."""

    signed: SignedTx
    prepared: Prepared
    cost: Cost


@dataclass(frozen=True, slots=True)
class Faulty:
    """A transaction that is refused for its bytes, once its nonce and fee were looked at."""

    signed: SignedTx
    refusal: Outcome
    pays: bool
    """False where the envelope's own key has not signed it."""


Judged = Checked | Faulty | Outcome
"""All that a transaction's bytes tell, whatever the state; an outcome if they are malformed."""
Known = Mapping[bytes, Judged]
"""What was found out about transactions before, signatures included, by their raw bytes."""


def init_chain(machine: Machine, state: State, context: GenesisContext, genesis: bytes) -> Draft:
    """Return the draft of the initial state. Raises: CodecError for bytes that are no genesis."""
    draft = Draft(state)
    machine.genesis(draft, context, genesis)
    return draft


def run_block(machine: Machine, state: State, block: Block, known: Known) -> BlockResult:
    """Return what the block does to state; state itself is not touched.

    The same with or without what is known already, which spares judging it again.
    """
    draft, context = Draft(state), block.context
    lead, txs = contribution.split(block.txs)
    led = (_contributed(machine, draft, context, lead),) if lead else ()
    told = [event for hook in machine.begin_block for event in hook(draft, context)]
    runner = _Runner(machine, params.load(draft), context, known)
    outcomes = (*led, *[runner.carry(draft, raw) for raw in txs])
    if runner.paid:
        machine.take_fees(draft, runner.paid, context)
    told += [event for hook in machine.end_block for event in hook(draft, context)]
    updates = machine.validator_updates(draft, context)
    return BlockResult(draft.writes(), outcomes, tuple(told), updates)


def _contributed(machine: Machine, draft: Draft, context: BlockContext, data: bytes) -> Outcome:
    """Take in what the proposer contributed; what is not owed leaves no trace."""
    duty = machine.duty
    if duty is None or not duty.accepts(draft, context.proposer, data):
        return refused(NotOwed("the proposer does not owe this"))
    return Outcome(0, events=duty.apply(draft, context.proposer, data))


class _Runner:
    """Carries what all transactions of one block share, and the fees taken so far."""

    __slots__ = ("_context", "_known", "_machine", "_rules", "paid")

    def __init__(
        self, machine: Machine, rules: Params, context: BlockContext, known: Known
    ) -> None:
        self._machine = machine
        self._rules = rules
        self._context = context
        self._known = known
        self.paid: dict[AccountId, Amount] = {}

    def carry(self, draft: Draft, raw: bytes) -> Outcome:
        """Run what one of CometBFT's transactions carries, each as if it were alone."""
        carried = bundle.carried(raw)
        if carried == (raw,):
            return self.step(draft, raw)
        return _together(carried, [self.step(draft, each) for each in carried])

    def step(self, draft: Draft, raw: bytes) -> Outcome:
        """Run one transaction against draft; a refused one costs nonce and fee at most."""
        judged = self._known.get(raw) or verify(read(self._machine, raw))
        if isinstance(judged, Outcome):
            return judged
        try:
            self._admit(draft, judged)
        except TxRejected as refusal:
            return refused(refusal)
        envelope = judged.signed.envelope
        if envelope.fee:
            before = self.paid.get(envelope.sender, _NOTHING)
            self.paid[envelope.sender] = Amount(before + envelope.fee)
        if isinstance(judged, Faulty):
            wanted = envelope.cost_limit
            return replace(judged.refusal, cost_wanted=wanted, cost_used=wanted)
        return self._run(draft, judged)

    def _admit(self, draft: Draft, judged: Checked | Faulty) -> None:
        signed, envelope = judged.signed, judged.signed.envelope
        sender = accounts.load(draft, envelope.sender)
        check_least_cost(signed)
        check_envelope(envelope, self._rules, self._context)
        check_sender(envelope, sender)
        check_nonce(envelope, sender)
        check_fee(self._machine, draft, judged, self._rules, self._context)
        if isinstance(judged, Faulty) and not judged.pays:
            raise _bad_signature()
        accounts.save(draft, envelope.sender, charged(sender, envelope))

    def _run(self, draft: Draft, checked: Checked) -> Outcome:
        envelope = checked.signed.envelope
        wanted = envelope.cost_limit
        child = draft.fork()
        try:
            events = checked.prepared.run(child, _tx_context(envelope, self._context))
        except TxRejected as refusal:
            return refused(refusal, wanted)
        draft.merge(child)
        return Outcome(0, "", wanted, checked.cost, events)


def _tx_context(envelope: tx.Envelope, block: BlockContext) -> TxContext:
    return TxContext(
        block.chain_id,
        envelope.sender,
        envelope.public_key,
        block.height,
        block.block_time_ms,
        envelope.nonce,
    )


def _together(carried: Sequence[bytes], outcomes: Sequence[Outcome]) -> Outcome:
    told = [
        Carried(tx.tx_hash(raw), did.code, did.cost_used, did.events)
        for raw, did in zip(carried, outcomes, strict=True)
    ]
    return Outcome(
        0,
        _refusals([each.reason for each in outcomes if each.code], len(carried)),
        Cost(sum([each.cost_wanted for each in outcomes])),
        Cost(sum([each.cost_used for each in outcomes])),
        tuple(told),
        bundle.encode_results([bundle.Did(each.code, each.cost_used) for each in outcomes]),
    )


def _refusals(reasons: Sequence[str], of: int) -> str:
    return f"{len(reasons)} of {of} refused, the first with {reasons[0]}" if reasons else ""


def charged(sender: Account, envelope: tx.Envelope, spent: Amount = _NOTHING) -> Account:
    """Return the sender's record after nonce and fee, and as much of spent as is there."""
    return Account(
        envelope.public_key,
        sender.key_version,
        Nonce(sender.nonce + 1),
        Amount(max(0, sender.balance - envelope.fee - spent)),
    )


def behind(senders: Mapping[AccountId, Account], state: State, tx: Checked | Faulty) -> Account:
    """Return what is left of the sender's account once this one has run as well.

    `senders` are accounts as the transactions before leave them, where they are not as in state.
    Raises: KeyChanging, SenderKeyMismatch, WeakKey, NonceMismatch, CannotPayFee.
    """
    envelope = tx.signed.envelope
    sender = senders.get(envelope.sender) or accounts.load(state, envelope.sender)
    if sender is CHANGING:
        raise KeyChanging("a change of the account's key comes first")
    check_sender(envelope, sender)
    check_nonce(envelope, sender)
    if isinstance(tx, Faulty):
        return charged(sender, envelope)
    return CHANGING if tx.prepared.rekeys else charged(sender, envelope, tx.prepared.spends)


def read(machine: Machine, raw: bytes) -> Judged:
    """Return what raw tells, as if it were signed: that is for verify() to say."""
    try:
        bundle.refuse(raw)
        signed = tx.decode(raw)
    except TxRejected as refusal:
        return refused(refusal)
    try:
        return check_body(machine, signed)
    except TxRejected as refusal:
        return Faulty(signed, refused(refusal), pays=True)


def verify(judged: Judged) -> Judged:
    """Return the same, or that the envelope's own key has not signed it."""
    if isinstance(judged, Outcome) or tx.holds(judged.signed):
        return judged
    return Faulty(judged.signed, refused(_bad_signature()), pays=False)


def refused(refusal: TxRejected, cost: Cost = _FREE) -> Outcome:
    """Return the outcome of what is refused, for which that cost is charged."""
    return Outcome(refusal.code, describe(refusal), cost, cost)


def _bad_signature() -> BadSignature:
    return BadSignature("the signature is not this key's over this envelope")


def check_body(machine: Machine, signed: SignedTx) -> Checked:
    """Return the transaction with its runnable body; the signature is up to the caller.

    The family's work begins once it is paid for. Raises: TxRejected.
    """
    body = signed.envelope.body
    family = machine.families.get(body[0]) if isinstance(body[0], int) else None
    if family is None:
        raise UnknownTransaction(f"type {body[0]!r} on the {machine.name} chain")
    fields = body[1:]
    cost = cost_of(signed.size, family.price(fields))
    if signed.envelope.cost_limit < cost:
        raise CostLimitTooLow(have=signed.envelope.cost_limit, need=cost)
    return Checked(signed, family.prepare(fields), cost)


def check_least_cost(signed: SignedTx) -> None:
    """Return if the declared cost covers what even a refused transaction costs.

    The fee follows from the declared cost: without a least one, a proposer could fill blocks, and
    the state with accounts, for nothing. Raises: CostLimitTooLow.
    """
    least = cost_of(signed.size, _FREE)
    if signed.envelope.cost_limit < least:
        raise CostLimitTooLow(have=signed.envelope.cost_limit, need=least)


def cost_of(size: int, family_cost: Cost) -> Cost:
    """Return the cost units of a transaction of `size` bytes, the bytes rounded up."""
    return Cost(BASE_COST + family_cost - -size // _BYTES_PER_COST)


def check_envelope(envelope: tx.Envelope, rules: Params, block: BlockContext) -> None:
    """Apply the rules that need no account. Raises: TxRejected."""
    if envelope.chain_id != block.chain_id:
        raise WrongChain(have=envelope.chain_id, need=block.chain_id)
    if envelope.valid_until_height < block.height:
        raise Expired(last=envelope.valid_until_height, height=block.height)
    furthest = block.height + rules.max_validity_blocks
    if envelope.valid_until_height > furthest:
        raise ValidityTooLong(last=envelope.valid_until_height, limit=furthest)
    if envelope.cost_limit > rules.max_block_cost:
        raise CostLimitTooHigh(have=envelope.cost_limit, limit=rules.max_block_cost)


def check_fee(
    machine: Machine, state: State, judged: Checked | Faulty, rules: Params, block: BlockContext
) -> int:
    """Return what was worked in place of the fee, 0 where it is paid. Raises: TxRejected."""
    envelope = judged.signed.envelope
    least = params.least_fee(rules, envelope.cost_limit)
    if envelope.fee >= least:
        return 0
    if not envelope.fee and isinstance(judged, Checked) and judged.prepared.waive:
        if envelope.cost_limit > MAX_WAIVED_COST:
            raise CostLimitTooHigh(have=envelope.cost_limit, limit=MAX_WAIVED_COST)
        return judged.prepared.waive(state, _tx_context(envelope, block))
    owed = machine.least_fee(state, envelope.sender, least, block)
    if envelope.fee < owed:
        raise FeeTooLow(have=envelope.fee, need=owed)
    return 0


def check_sender(envelope: tx.Envelope, sender: Account) -> None:
    """Return if the envelope's key is the account's. Raises: SenderKeyMismatch, WeakKey."""
    if sender.public_key:
        if sender.public_key != envelope.public_key:
            raise SenderKeyMismatch("the account is bound to another key")
        return
    if accounts.account_id(envelope.public_key) != envelope.sender:
        raise SenderKeyMismatch("the sender's id is not made from this key")
    if not signing.is_strong(envelope.public_key):
        raise WeakKey("small order or not canonical")


def check_nonce(envelope: tx.Envelope, sender: Account) -> None:
    """Return if the nonce is due and the fee covered. Raises: NonceMismatch, CannotPayFee."""
    if envelope.nonce != sender.nonce:
        raise NonceMismatch(have=envelope.nonce, need=sender.nonce)
    if sender.balance < envelope.fee:
        raise CannotPayFee(have=sender.balance, need=envelope.fee)


def describe(refusal: TxRejected) -> str:
    """Return the refusal as a sentence that begins with its name."""
    text = str(refusal)
    return f"{type(refusal).__name__}: {text}" if text else type(refusal).__name__
