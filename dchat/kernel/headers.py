"""CometBFT headers, commits and validator sets, with the hashes and sign bytes of each.

A value of these types is well-formed: every length and range is checked when it is made, so
hashing one never fails. Times are nanoseconds since the epoch. Whether a header deserves trust is
light.py's question.

Source: CometBFT v0.40.0 spec/core/data_structures.md, spec/core/encoding.md, types/*.go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from dchat.kernel import wire
from dchat.kernel.errors import ProtocolError
from dchat.kernel.ids import ChainId, Height

HASH_SIZE: Final = 32
ADDRESS_SIZE: Final = 20
KEY_SIZE: Final = 32
BLOCK_PROTOCOL: Final = 11
MAX_CHAIN_ID_BYTES: Final = 50
MAX_APP_HASH_BYTES: Final = 64
MAX_VALIDATORS: Final = 10_000
MAX_TOTAL_POWER: Final = (2**63 - 1) // 8
MAX_SIGNATURE_BYTES: Final = 3309
MAX_HEIGHT: Final = 2**63 - 1
MAX_ROUND: Final = 2**31 - 1
MAX_PARTS: Final = 2**32 - 1
MAX_APP_VERSION: Final = 2**64 - 1
# Years 1 to 9999, the range of a protobuf Timestamp.
MIN_TIME_NS: Final = -62_135_596_800 * wire.NS_PER_SECOND
MAX_TIME_NS: Final = 253_402_300_800 * wire.NS_PER_SECOND - 1

_PRECOMMIT: Final = 2


class HeaderRefused(ProtocolError):
    """A header, commit or validator set cannot be believed; see the subclasses for why."""


class InvalidHeader(HeaderRefused):
    """No honest validators ever made this: whoever sent it is faulty."""


def _need(holds: bool, otherwise: str) -> None:  # noqa: FBT001  # reads as an assertion
    if not holds:
        raise InvalidHeader(otherwise)


def _need_hash(name: str, value: bytes, *, required: bool = False) -> None:
    sized = len(value) == HASH_SIZE
    _need(sized or (not value and not required), f"{name} of {len(value)} bytes")


def _need_time(time_ns: int) -> None:
    _need(MIN_TIME_NS <= time_ns <= MAX_TIME_NS, "time outside the years 1 to 9999")


class Flag(IntEnum):
    """What a validator's place in a commit says."""

    ABSENT = 1
    COMMIT = 2
    NIL = 3


@dataclass(frozen=True, slots=True)
class BlockId:
    """Names a block by its header hash and by the Merkle root of its parts."""

    hash: bytes
    parts_total: int
    parts_hash: bytes

    def __post_init__(self) -> None:
        _need_hash("block hash", self.hash)
        _need_hash("part set hash", self.parts_hash)
        _need(0 <= self.parts_total <= MAX_PARTS, "part count out of range")


NO_BLOCK: Final = BlockId(b"", 0, b"")


@dataclass(frozen=True, slots=True)
class Header:
    """A block's header; app_hash is the state after the *previous* block."""

    app_version: int
    chain_id: ChainId
    height: Height
    time_ns: int
    last_block_id: BlockId
    last_commit_hash: bytes
    data_hash: bytes
    validators_hash: bytes
    next_validators_hash: bytes
    consensus_hash: bytes
    app_hash: bytes
    last_results_hash: bytes
    evidence_hash: bytes
    proposer_address: bytes
    block_version: int = BLOCK_PROTOCOL

    def __post_init__(self) -> None:
        _need(self.block_version == BLOCK_PROTOCOL, f"block protocol {self.block_version}")
        _need(0 <= self.app_version <= MAX_APP_VERSION, "app version out of range")
        _need(len(_utf8(self.chain_id)) <= MAX_CHAIN_ID_BYTES, "chain id is too long")
        _need(1 <= self.height <= MAX_HEIGHT, f"height {self.height} out of range")
        _need_time(self.time_ns)
        _need_hash("validators hash", self.validators_hash, required=True)
        _need_hash("next validators hash", self.next_validators_hash, required=True)
        for field in (self.last_commit_hash, self.data_hash, self.consensus_hash):
            _need_hash("header field", field)
        _need_hash("last results hash", self.last_results_hash)
        _need_hash("evidence hash", self.evidence_hash)
        _need(len(self.app_hash) <= MAX_APP_HASH_BYTES, "app hash is too long")
        _need(len(self.proposer_address) == ADDRESS_SIZE, "proposer address is not 20 bytes")


@dataclass(frozen=True, slots=True)
class CommitSig:
    """One validator's place in a commit.

    An ABSENT one has no address and no signature, and its time means nothing.
    """

    flag: Flag
    validator_address: bytes
    time_ns: int
    signature: bytes

    def __post_init__(self) -> None:
        if self.flag is Flag.ABSENT:
            _need(not self.validator_address and not self.signature, "an absent vote has content")
            return
        _need(len(self.validator_address) == ADDRESS_SIZE, "validator address is not 20 bytes")
        _need(1 <= len(self.signature) <= MAX_SIGNATURE_BYTES, "signature length out of range")
        _need_time(self.time_ns)


@dataclass(frozen=True, slots=True)
class Commit:
    """The votes for one block, in the order of that height's validator set."""

    height: Height
    round: int
    block_id: BlockId
    signatures: tuple[CommitSig, ...]

    def __post_init__(self) -> None:
        _need(1 <= self.height <= MAX_HEIGHT, f"height {self.height} out of range")
        _need(0 <= self.round <= MAX_ROUND, f"round {self.round} out of range")
        _need(self.block_id != NO_BLOCK, "a commit for no block")
        _need(1 <= len(self.signatures) <= MAX_VALIDATORS, "signature count out of range")


def address_of(consensus_key: bytes) -> bytes:
    """Return the first 20 bytes of the key's SHA-256, by which CometBFT names a validator."""
    return hashlib.sha256(consensus_key).digest()[:ADDRESS_SIZE]


@dataclass(frozen=True, slots=True)
class Validator:
    """An Ed25519 consensus key and its voting power."""

    public_key: bytes
    power: int

    def __post_init__(self) -> None:
        _need(len(self.public_key) == KEY_SIZE, "consensus key is not 32 bytes")
        _need(0 <= self.power <= MAX_TOTAL_POWER, f"voting power {self.power} out of range")

    @property
    def address(self) -> bytes:
        """What address_of() gives for the key."""
        return address_of(self.public_key)


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """Different validators by falling power, then rising address; made by `validator_set`."""

    validators: tuple[Validator, ...]
    addresses: tuple[bytes, ...]
    total_power: int


def validator_set(members: Iterable[Validator]) -> ValidatorSet:
    """Return the set of members in CometBFT's order. Raises: InvalidHeader.

    At most 10,000 members, none twice, total power within CometBFT's MaxTotalVotingPower. A set
    may be empty: nothing can follow such a block, but it is well-formed.
    """
    placed = sorted((-member.power, member.address, member) for member in members)
    addresses = tuple(address for _, address, _ in placed)
    total = -sum(power for power, _, _ in placed)
    _need(len(placed) <= MAX_VALIDATORS, f"{len(placed)} validators")
    _need(len(frozenset(addresses)) == len(addresses), "a validator is named twice")
    _need(total <= MAX_TOTAL_POWER, f"total voting power {total} is too high")
    return ValidatorSet(tuple(member for _, _, member in placed), addresses, total)


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the RFC 6962 root of leaves; the hash of nothing where there are none."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = merkle_root(leaves[:split]), merkle_root(leaves[split:])
    return hashlib.sha256(b"\1" + left + right).digest()


def validators_hash(members: ValidatorSet) -> bytes:
    """Return the hash by which a header names a validator set."""
    return merkle_root([_encode_validator(member) for member in members.validators])


def header_hash(header: Header) -> bytes:
    """Return the Merkle root of the header's 14 encoded fields."""
    version = wire.varint_field(1, header.block_version) + wire.varint_field(2, header.app_version)
    hashes = (
        header.last_commit_hash,
        header.data_hash,
        header.validators_hash,
        header.next_validators_hash,
        header.consensus_hash,
        header.app_hash,
        header.last_results_hash,
        header.evidence_hash,
        header.proposer_address,
    )
    return merkle_root(
        [
            version,
            wire.bytes_field(1, _utf8(header.chain_id)),
            wire.varint_field(1, header.height),
            wire.timestamp(header.time_ns),
            _encode_block_id(header.last_block_id),
            *[wire.bytes_field(1, field) for field in hashes],
        ]
    )


def vote_sign_bytes(chain_id: ChainId, commit: Commit, vote: CommitSig) -> bytes:
    """Return what the validator of `vote` signed: a CanonicalVote behind its length.

    A vote for nil leaves the block id out.
    """
    block = _encode_block_id(commit.block_id) if vote.flag is Flag.COMMIT else b""
    return wire.delimited(
        wire.varint_field(1, _PRECOMMIT)
        + wire.sfixed64_field(2, commit.height)
        + wire.sfixed64_field(3, commit.round)
        + (wire.message_field(4, block) if block else b"")
        + wire.message_field(5, wire.timestamp(vote.time_ns))
        + wire.bytes_field(6, _utf8(chain_id))
    )


def _encode_block_id(block_id: BlockId) -> bytes:
    parts = wire.varint_field(1, block_id.parts_total) + wire.bytes_field(2, block_id.parts_hash)
    return wire.bytes_field(1, block_id.hash) + wire.message_field(2, parts)


def _encode_validator(member: Validator) -> bytes:
    key = wire.bytes_field(1, member.public_key)
    return wire.message_field(1, key) + wire.varint_field(2, member.power)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidHeader("text with a lone surrogate") from None
