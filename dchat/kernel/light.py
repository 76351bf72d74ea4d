"""One CometBFT block verified against another, as CometBFT's own light client does it.

Commits are counted by the rules of VerifyCommitLight: only votes for the block count, votes for
nil and absent ones are passed over unread, and counting stops at the threshold. So the verdict
on any bytes is CometBFT's own, and the work is bounded by two thirds of the power.

Source: CometBFT v0.40.0 light/verifier.go, types/validation.go, spec/light-client; ADR 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dchat.kernel import codec
from dchat.kernel.headers import (
    HASH_SIZE,
    KEY_SIZE,
    MAX_APP_HASH_BYTES,
    MAX_CHAIN_ID_BYTES,
    MAX_VALIDATORS,
    Commit,
    CommitSig,
    Flag,
    Header,
    HeaderRefused,
    InvalidHeader,
    Validator,
    ValidatorSet,
    header_hash,
    validator_set,
    validators_hash,
    vote_sign_bytes,
)
from dchat.kernel.ids import ChainId, Height
from dchat.kernel.wire import NS_PER_SECOND
from dchat.kernel.zip215 import verify_vote

# A block carries the time of its predecessor's votes, so honest headers run behind, and clocks
# of honest machines run apart: below a minute, refusing "the future" hits honest headers.
MIN_DRIFT_NS: Final = 60 * NS_PER_SECOND


class NotEnoughTrust(HeaderRefused):
    """No more than a third of the trusted power signed: verify a block in between first.

    Attributes: signed, total -- voting power of the trusted block's next validators.
    """

    def __init__(self, signed: int, total: int) -> None:
        super().__init__(f"{signed} of {total} trusted voting power signed, more than 1/3 needed")
        self.signed = signed
        self.total = total


class Expired(HeaderRefused):
    """The trusted block is older than the trusting period. Attributes: time_ns, now_ns."""

    def __init__(self, time_ns: int, now_ns: int) -> None:
        age_s = (now_ns - time_ns) // NS_PER_SECOND
        super().__init__(f"the trusted block is {age_s} s old, beyond its trusting period")
        self.time_ns = time_ns
        self.now_ns = now_ns


class FromTheFuture(HeaderRefused):
    """The block's time is ahead of the clock: try again later. Attributes: time_ns, now_ns."""

    def __init__(self, time_ns: int, now_ns: int) -> None:
        ahead_ms = (time_ns - now_ns) * 1000 // NS_PER_SECOND
        super().__init__(f"the block's time is {ahead_ms} ms ahead of this machine's clock")
        self.time_ns = time_ns
        self.now_ns = now_ns


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """What a user believes without proof: the block at `height` has this time and this set.

    For a whole chain that is its initial height, genesis time and genesis validators.
    """

    chain_id: ChainId
    height: Height
    time_ns: int
    validators_hash: bytes


@dataclass(frozen=True, slots=True)
class LightBlock:
    """A header, the votes for it, its validator set and the next height's, all unverified."""

    header: Header
    commit: Commit
    validators: ValidatorSet
    next_validators: ValidatorSet


@dataclass(frozen=True, slots=True)
class TrustedBlock:
    """What a verified block leaves behind; next_validators judge the blocks after it.

    app_hash is the state after block height - 1. Of total_power, at least signed_power signed:
    counting stops past two thirds.
    """

    chain_id: ChainId
    height: Height
    time_ns: int
    header_hash: bytes
    app_hash: bytes
    next_validators: ValidatorSet
    signed_power: int
    total_power: int


_VALIDATOR: Final = codec.Record(Validator, public_key=codec.Fixed(KEY_SIZE), power=codec.U64)


class _Members(codec.Shape[ValidatorSet]):
    """A validator set as the list of its members, in order."""

    def lower(self, value: ValidatorSet) -> codec.Raw:
        return _MEMBERS.lower(value.validators)

    def lift(self, raw: object) -> ValidatorSet:
        members = _MEMBERS.lift(raw)
        found = validator_set(members)
        if found.validators != members:
            raise codec.CodecError("validators out of order")
        return found


_MEMBERS: Final = codec.ListOf(_VALIDATOR, MAX_VALIDATORS)
_TRUSTED: Final = codec.Record(
    TrustedBlock,
    chain_id=codec.Text(MAX_CHAIN_ID_BYTES),
    height=codec.U64,
    time_ns=codec.U64,
    header_hash=codec.Fixed(HASH_SIZE),
    app_hash=codec.Blob(MAX_APP_HASH_BYTES),
    next_validators=_Members(),
    signed_power=codec.U64,
    total_power=codec.U64,
)


def encode_trusted(trusted: TrustedBlock) -> bytes:
    """Return the block's canonical bytes. Raises: CodecError if its time is before 1970."""
    return _TRUSTED.encode(trusted)


def decode_trusted(data: bytes) -> TrustedBlock:
    """Return the block that encode_trusted() wrote. Raises: CodecError."""
    try:
        return _TRUSTED.decode(data, max_entries=MAX_VALIDATORS)
    except InvalidHeader as fault:
        raise codec.CodecError(str(fault)) from None


def start(
    root: TrustRoot, block: LightBlock, now_ns: int, trusting_period_ns: int, drift_ns: int
) -> TrustedBlock:
    """Return the root's own block, trusted: it is as the root says and > 2/3 of its set signed.

    Raises: Expired, FromTheFuture, InvalidHeader.
    """
    header = block.header
    _check_fresh(root.time_ns, now_ns, trusting_period_ns)
    _check_consistent(root.chain_id, block)
    _require(header.height == root.height, "not the block of the root of trust")
    _require(header.time_ns == root.time_ns, "its time differs from the root of trust")
    _require(header.validators_hash == root.validators_hash, "its validators differ from the root")
    _check_not_ahead(header.time_ns, now_ns, drift_ns)
    return _trusted(block)


def verify(
    trusted: TrustedBlock, block: LightBlock, now_ns: int, trusting_period_ns: int, drift_ns: int
) -> TrustedBlock:
    """Return block, trusted: it follows from an unexpired trusted block of the same chain.

    The next height must have exactly the set announced for it; for later ones more than a third
    of the trusted next set must have signed. Either way > 2/3 of the block's own set signed.
    Raises: Expired, FromTheFuture, InvalidHeader, NotEnoughTrust.
    """
    header = block.header
    _check_fresh(trusted.time_ns, now_ns, trusting_period_ns)
    _check_consistent(trusted.chain_id, block)
    _require(header.height > trusted.height, f"height {header.height} is not above the trusted")
    _require(header.time_ns > trusted.time_ns, "its time is not after the trusted block's")
    if header.height == trusted.height + 1:
        announced = validators_hash(trusted.next_validators)
        _require(header.validators_hash == announced, "its validators are not those announced")
    else:
        _check_overlap(trusted.next_validators, trusted.chain_id, block.commit)
    found = _trusted(block)
    # Last, for it makes people doubt their clock: nobody but the validators may say so.
    _check_not_ahead(header.time_ns, now_ns, drift_ns)
    return found


def _trusted(block: LightBlock) -> TrustedBlock:
    """Count the block's own votes; the last check, for the set is the sender's choice and large."""
    header = block.header
    return TrustedBlock(
        chain_id=header.chain_id,
        height=header.height,
        time_ns=header.time_ns,
        header_hash=block.commit.block_id.hash,
        app_hash=header.app_hash,
        next_validators=block.next_validators,
        signed_power=_check_commit(block.validators, header.chain_id, block.commit),
        total_power=block.validators.total_power,
    )


def _check_fresh(time_ns: int, now_ns: int, trusting_period_ns: int) -> None:
    if time_ns + trusting_period_ns <= now_ns:
        raise Expired(time_ns, now_ns)


def _check_not_ahead(time_ns: int, now_ns: int, drift_ns: int) -> None:
    if time_ns >= now_ns + drift_ns:
        raise FromTheFuture(time_ns, now_ns)


def _check_consistent(chain_id: ChainId, block: LightBlock) -> None:
    """Header, commit and both sets belong together and to this chain."""
    header, commit = block.header, block.commit
    _require(header.chain_id == chain_id, f"the header is of chain {header.chain_id!r}")
    _require(commit.height == header.height, "the commit is of another height")
    _require(commit.block_id.hash == header_hash(header), "the commit is of another header")
    own, following = validators_hash(block.validators), validators_hash(block.next_validators)
    _require(own == header.validators_hash, "the validators are not the header's")
    _require(following == header.next_validators_hash, "the next validators are not the header's")


def _check_commit(members: ValidatorSet, chain_id: ChainId, commit: Commit) -> int:
    """Return the power counted, more than two thirds. Raises: InvalidHeader."""
    _require(len(commit.signatures) == len(members.validators), "wrong number of votes")
    needed, signed = members.total_power * 2 // 3, 0
    places = zip(members.validators, members.addresses, commit.signatures, strict=True)
    for member, address, vote in places:
        if vote.flag is not Flag.COMMIT:
            continue
        _require(vote.validator_address == address, "a vote is out of place")
        _check_vote(member, chain_id, commit, vote)
        signed += member.power
        if signed > needed:
            return signed
    raise InvalidHeader(f"{signed} of {members.total_power} voting power signed, > 2/3 needed")


def _check_overlap(members: ValidatorSet, chain_id: ChainId, commit: Commit) -> None:
    """More than a third of the trusted power signed. Raises: NotEnoughTrust, InvalidHeader."""
    unseen = dict(zip(members.addresses, members.validators, strict=True))
    known = frozenset(members.addresses)
    needed, signed = members.total_power // 3, 0
    for vote in commit.signatures:
        if vote.flag is not Flag.COMMIT or vote.validator_address not in known:
            continue
        member = unseen.pop(vote.validator_address, None)
        if member is None:
            raise InvalidHeader("a validator votes twice")
        _check_vote(member, chain_id, commit, vote)
        signed += member.power
        if signed > needed:
            return
    raise NotEnoughTrust(signed, members.total_power)


def _check_vote(member: Validator, chain_id: ChainId, commit: Commit, vote: CommitSig) -> None:
    message = vote_sign_bytes(chain_id, commit, vote)
    _require(verify_vote(member.public_key, message, vote.signature), "a signature is wrong")


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001  # reads as an assertion
    if not holds:
        raise InvalidHeader(otherwise)
