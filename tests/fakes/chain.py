"""A chain of headers signed by keys the test holds, for whatever the test wants signed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nacl.signing import SigningKey

from dchat.kernel.headers import (
    NO_BLOCK,
    BlockId,
    Commit,
    CommitSig,
    Flag,
    Header,
    Validator,
    ValidatorSet,
    header_hash,
    validator_set,
    validators_hash,
    vote_sign_bytes,
)
from dchat.kernel.ids import ChainId, Height
from dchat.kernel.light import LightBlock, TrustRoot
from dchat.kernel.wire import NS_PER_SECOND

CHAIN = ChainId("fake-chain")
GENESIS_NS = 1_700_000_000 * NS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Signer:
    """A validator whose seed the test knows."""

    name: str
    power: int = 10

    @property
    def key(self) -> SigningKey:
        """The signing key, made of the name."""
        return SigningKey(hashlib.sha256(self.name.encode()).digest())

    @property
    def validator(self) -> Validator:
        """The public half."""
        return Validator(bytes(self.key.verify_key), self.power)


def make_set(signers: Sequence[Signer]) -> ValidatorSet:
    """Return the signers' validator set."""
    return validator_set(signer.validator for signer in signers)


@dataclass(frozen=True, slots=True)
class FakeChain:
    """Heights from 1, one second apart; `sets` names the signers from that height on."""

    signers: tuple[Signer, ...]
    sets: Mapping[int, tuple[Signer, ...]] = field(default_factory=dict[int, tuple[Signer, ...]])
    app_hashes: Mapping[int, bytes] = field(default_factory=dict[int, bytes])
    chain_id: ChainId = CHAIN
    genesis_ns: int = GENESIS_NS
    data_hashes: Mapping[int, bytes] = field(default_factory=dict[int, bytes])
    """Of blocks with transactions; the header after each of them names it."""
    results_hashes: Mapping[int, bytes] = field(default_factory=dict[int, bytes])

    def at(self, height: int) -> tuple[Signer, ...]:
        """Return who validates at height."""
        starts = [start for start in self.sets if start <= height]
        return self.sets[max(starts)] if starts else self.signers

    @property
    def root(self) -> TrustRoot:
        """What a user trusts: genesis."""
        hashed = validators_hash(make_set(self.at(1)))
        return TrustRoot(self.chain_id, Height(1), self.time_ns(1), hashed)

    def time_ns(self, height: int) -> int:
        """Return the time of the block at height."""
        return self.genesis_ns + (height - 1) * NS_PER_SECOND

    def header(self, height: int) -> Header:
        """Return the header at height."""
        own, following = make_set(self.at(height)), make_set(self.at(height + 1))
        return Header(
            app_version=1,
            chain_id=self.chain_id,
            height=Height(height),
            time_ns=self.time_ns(height),
            last_block_id=self._before(height),
            last_commit_hash=b"",
            data_hash=self.data_hashes.get(height, b""),
            validators_hash=validators_hash(own),
            next_validators_hash=validators_hash(following),
            consensus_hash=bytes(32),
            app_hash=self.app_hashes.get(height, bytes(32)),
            last_results_hash=self.results_hashes.get(height, b""),
            evidence_hash=b"",
            proposer_address=own.addresses[0],
        )

    def _before(self, height: int) -> BlockId:
        if height - 1 not in self.data_hashes:
            return NO_BLOCK
        return BlockId(header_hash(self.header(height - 1)), 1, bytes(32))

    def block(self, height: int, voters: Sequence[Signer] | None = None) -> LightBlock:
        """Return the block at height, signed by `voters`, by everybody unless given."""
        members = self.at(height)
        return sign_block(
            self.header(height), members, self.at(height + 1), members if voters is None else voters
        )


def sign_block(
    header: Header,
    members: Sequence[Signer],
    following: Sequence[Signer],
    voters: Sequence[Signer],
) -> LightBlock:
    """Return header with the votes of those members that are among voters."""
    own = make_set(members)
    named = {signer.validator.address: signer for signer in voters}
    block_id = BlockId(header_hash(header), 1, bytes(32))
    empty = Commit(header.height, 1, block_id, (absent(),))
    votes = tuple(
        sign_vote(empty, header.chain_id, named[address]) if address in named else absent()
        for address in own.addresses
    )
    return LightBlock(header, replace(empty, signatures=votes), own, make_set(following))


def sign_vote(
    commit: Commit, chain_id: ChainId, signer: Signer, flag: Flag = Flag.COMMIT
) -> CommitSig:
    """Return the signer's vote for the commit's block, or for nil."""
    address, time_ns = signer.validator.address, GENESIS_NS + commit.height
    unsigned = CommitSig(flag, address, time_ns, bytes(64))
    message = vote_sign_bytes(chain_id, commit, unsigned)
    return replace(unsigned, signature=signer.key.sign(message).signature)


def absent() -> CommitSig:
    """Return the place of a validator that did not vote."""
    return CommitSig(Flag.ABSENT, b"", 0, b"")
