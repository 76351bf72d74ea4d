"""What the chat chain begins with: credits, parameters, votes, validators.

[kernel genesis,
 [identities, work, channels, governance, moderation, reputation],   each section's values
 [[account, weight], …],                                             voters
 [[consensus_key, operator, beacon_head, beacon_length], …],         validators
 [[section, [[name, least, most], …]], …]]                           the currency chain's parameters

Voters are strictly ascending by account, validators by consensus key, sections and the names in
each by themselves. The validators are those of CometBFT's part of the genesis file, until the
bridge mirrors the currency chain's. One without a chain of preimages has the head EMPTY_HEAD and
the length 0: it owes no draw anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from abci_chat import params
from abci_chat.params import Channels, Governance, Identities, Moderation, Reputation, Work
from abci_chat.state import beacon, foreign, pools, weights
from abci_chat.state.foreign import ForeignSection
from dchat.kernel import codec, signing
from dchat.kernel import genesis as kernel
from dchat.kernel.accounts import ACCOUNT_ID, show_account
from dchat.kernel.codec import CodecError
from dchat.kernel.ids import AccountId, Height
from dchat.kernel.machine import GenesisContext, ValidatorPower
from dchat.kernel.store import Draft

MAX_VOTERS: Final = 1_000_000
MAX_VALIDATORS: Final = 500
_BEFORE_ALL: Final = Height(0)
_KEY: Final = codec.Fixed(32)


@dataclass(frozen=True, slots=True)
class Rules:
    """Every number of the chat chain's own."""

    identities: Identities = params.IDENTITIES.default
    work: Work = params.WORK.default
    channels: Channels = params.CHANNELS.default
    governance: Governance = params.GOVERNANCE.default
    moderation: Moderation = params.MODERATION.default
    reputation: Reputation = params.REPUTATION.default


@dataclass(frozen=True, slots=True)
class Voter:
    """Who votes on proposals, and with what weight."""

    account: AccountId
    weight: int


@dataclass(frozen=True, slots=True)
class Validator:
    """One of CometBFT's validators: who operates it, and the preimages to which it is bound."""

    consensus_key: bytes
    operator: AccountId
    beacon_head: bytes = beacon.EMPTY_HEAD
    """Of its chain of preimages, see state/beacon.py."""
    beacon_length: int = 0


@dataclass(frozen=True, slots=True)
class Beginning:
    """The chat chain's initial state in its shortest form."""

    kernel: kernel.Genesis
    rules: Rules
    voters: tuple[Voter, ...]
    validators: tuple[Validator, ...]
    currency: tuple[ForeignSection, ...] = ()
    """What a vote here may set on the currency chain."""


_RULES: Final = codec.Record(Rules, **{name: each.shape for name, each in params.SECTIONS.items()})
_VOTER: Final = codec.Record(Voter, account=ACCOUNT_ID, weight=codec.U64)
_VALIDATOR: Final = codec.Record(
    Validator,
    consensus_key=_KEY,
    operator=ACCOUNT_ID,
    beacon_head=_KEY,
    beacon_length=codec.U64,
)
SHAPE: Final = codec.Record(
    Beginning,
    kernel=kernel.SHAPE,
    rules=_RULES,
    voters=codec.ListOf(_VOTER, MAX_VOTERS),
    validators=codec.ListOf(_VALIDATOR, MAX_VALIDATORS),
    currency=codec.ListOf(foreign.SECTION, foreign.MAX_SECTIONS),
)


def decode(data: bytes) -> Beginning:
    """Return the genesis in data, whose parts fit together. Raises: CodecError."""
    beginning = SHAPE.decode(data, kernel.MAX_BYTES, kernel.MAX_ALLOCATIONS)
    check(beginning)
    return beginning


def check(beginning: Beginning) -> None:
    """Return if the chain can begin like this. Raises: CodecError with the reason."""
    kernel.check(beginning.kernel)
    kernel.check_holders((each.account for each in beginning.kernel.allocations), pools.NAMES)
    for name, section in params.SECTIONS.items():
        kernel.check_section(section, getattr(beginning.rules, name))
    _check_together(beginning.rules)
    _check_voters(beginning.voters)
    _check_validators(beginning.validators)
    foreign.check(beginning.currency)


def _check_together(rules: Rules) -> None:
    kernel.hold(
        lambda: params.check_together(rules.identities, rules.governance, rules.moderation),
        kernel.AT_ODDS,
    )


def _check_voters(voters: tuple[Voter, ...]) -> None:
    if not voters:
        raise CodecError("nobody may vote, so nothing could ever be decided")
    kernel.check_ascending([each.account for each in voters], "voters")
    kernel.check_holders((each.account for each in voters), pools.NAMES)
    for voter in voters:
        if voter.weight == 0:
            raise CodecError(f"voter {show_account(voter.account)} has no weight")
    if sum(each.weight for each in voters) > codec.MAX_U64:
        raise CodecError("weights together exceed 64 bits")


def _check_validators(validators: tuple[Validator, ...]) -> None:
    if not validators:
        raise CodecError("there is no validator, so nobody could make a block")
    kernel.check_ascending([each.consensus_key for each in validators], "validators", "key")
    _refuse_repeats(show_account(each.operator) for each in validators)
    _refuse_repeats(each.beacon_head.hex() for each in validators if each.beacon_length)
    for each in validators:
        _check_validator(each)


def _refuse_repeats(names: Iterable[str]) -> None:
    for left, right in pairwise(sorted(names)):
        if left == right:
            raise CodecError(f"two validators have {left}")


def _check_validator(validator: Validator) -> None:
    name = f"validator {validator.consensus_key.hex()}"
    if not signing.is_strong(validator.consensus_key):
        raise CodecError(f"{name}: its consensus key is not a safe Ed25519 key")
    if validator.operator in pools.NAMES:
        raise CodecError(f"{name}: its operator is an account of the chain's own rules")
    if validator.beacon_length > beacon.MAX_LENGTH:
        raise CodecError(f"{name}: {validator.beacon_length} preimages, limit {beacon.MAX_LENGTH}")
    if (validator.beacon_length == 0) != (validator.beacon_head == beacon.EMPTY_HEAD):
        raise CodecError(f"{name}: a head of preimages and their number are only there together")


def check_members(beginning: Beginning, given: Iterable[ValidatorPower]) -> None:
    """Return if CometBFT's validators are those of this genesis. Raises: CodecError."""
    ours = {each.consensus_key for each in beginning.validators}
    theirs = {each.public_key for each in given}
    for key in sorted(ours ^ theirs):
        only = "the application" if key in ours else "CometBFT"
        raise CodecError(f"only {only} has validator {key.hex()}")


def init(draft: Draft, context: GenesisContext, data: bytes) -> None:
    """Write the initial state that canonical genesis bytes describe.

    Raises: CodecError, also where CometBFT begins with other validators; InvariantBroken.
    """
    beginning = decode(data)
    check_members(beginning, context.validators)
    kernel.begin(draft, context.chain_id, beginning.kernel)
    for name, section in params.SECTIONS.items():
        section.save(draft, getattr(beginning.rules, name))
    foreign.begin(draft, beginning.currency)
    for voter in beginning.voters:
        weights.set_weight(draft, voter.account, voter.weight, _BEFORE_ALL, context.time_ms)
    for each in beginning.validators:
        beacon.begin(draft, each.consensus_key, each.operator, each.beacon_head, each.beacon_length)
