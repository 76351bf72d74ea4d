"""What a CometBFT node answers over JSON-RPC, as checked values.

Heights and powers come as decimal text, hashes as hex, keys and signatures as base64, times as
RFC 3339 to the nanosecond; absent bytes as null or "". Unknown fields are passed over: other
versions of CometBFT add some. Only form is checked here; kernel/headers.py checks ranges and
kernel/light.py what deserves trust.

Source: CometBFT v0.40.0 rpc/core/types/responses.go.
"""

from __future__ import annotations

import base64
import re
from typing import Annotated, Final, Generic, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from dchat.kernel.errors import RemoteProtocolError
from dchat.kernel.headers import (
    MAX_VALIDATORS,
    NO_BLOCK,
    BlockId,
    Commit,
    CommitSig,
    Flag,
    Header,
    InvalidHeader,
    Validator,
    ValidatorSet,
    validator_set,
)
from dchat.kernel.ids import ChainId, Height
from dchat.kernel.inclusion import Path, TxResult
from dchat.node.rfc3339 import parse_time

KEY_TYPE: Final = "tendermint/PubKeyEd25519"
PAGE_SIZE: Final = 100
"""Validators in one answer; CometBFT's own bound. More would only fill the asker's memory."""

MAX_RESULTS: Final = 1 << 17
"""In a block: 10 MiB of transactions of 80 bytes, which is less than any has."""

_DECIMAL: Final = re.compile(r"-?[0-9]{1,20}")

Model = TypeVar("Model", bound=BaseModel)


class MalformedAnswer(RemoteProtocolError):
    """A node answered something that is not of the form its interface promises."""


def parse(model: type[Model], body: bytes | str) -> Model:
    """Return the model that the JSON text holds. Raises: MalformedAnswer."""
    try:
        return model.model_validate_json(body)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise MalformedAnswer(f"{place or 'answer'}: {first['msg']}") from None


def _from_decimal(raw: object) -> object:
    if isinstance(raw, str) and not _DECIMAL.fullmatch(raw):
        raise ValueError("not a decimal integer")
    return int(raw) if isinstance(raw, str) else raw


def _from_hex(raw: object) -> bytes:
    if raw is None:
        return b""
    if not isinstance(raw, str) or re.search(r"[^0-9a-fA-F]", raw):
        raise ValueError("not hexadecimal text")
    return bytes.fromhex(raw)


def _from_base64(raw: object) -> bytes:
    if raw is None:
        return b""
    if isinstance(raw, str):
        return base64.b64decode(raw, validate=True)
    raise ValueError("not base64 text")


def _or_none(raw: object) -> object:
    return [] if raw is None else raw


def _or_empty(raw: object) -> object:
    return {} if raw is None else raw


Int = Annotated[int, BeforeValidator(_from_decimal)]
Hex = Annotated[bytes, BeforeValidator(_from_hex)]
Base64 = Annotated[bytes, BeforeValidator(_from_base64)]
TimeNs = Annotated[int, BeforeValidator(parse_time)]


class Answer(BaseModel):
    """Base of all answers: frozen, strict about types, relaxed about unknown fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


Body = TypeVar("Body", bound=Answer)


class Result(Answer, Generic[Body]):
    """A JSON-RPC answer that is no error."""

    result: Body


class _Parts(Answer):
    total: Int = 0
    hash: Hex = b""


class _BlockId(Answer):
    hash: Hex = b""
    parts: Annotated[_Parts, BeforeValidator(_or_empty)] = Field(
        default=_Parts(), validation_alias=AliasChoices("parts", "part_set_header")
    )

    def build(self) -> BlockId:
        if not self.hash and not self.parts.hash and not self.parts.total:
            return NO_BLOCK
        return BlockId(self.hash, self.parts.total, self.parts.hash)


class _Version(Answer):
    block: Int = 0
    app: Int = 0


class _Header(Answer):
    version: _Version
    chain_id: str
    height: Int
    time: TimeNs
    last_block_id: Annotated[_BlockId, BeforeValidator(_or_empty)] = _BlockId()
    last_commit_hash: Hex
    data_hash: Hex
    validators_hash: Hex
    next_validators_hash: Hex
    consensus_hash: Hex
    app_hash: Hex
    last_results_hash: Hex
    evidence_hash: Hex
    proposer_address: Hex

    def build(self) -> Header:
        return Header(
            block_version=self.version.block,
            app_version=self.version.app,
            chain_id=ChainId(self.chain_id),
            height=Height(self.height),
            time_ns=self.time,
            last_block_id=self.last_block_id.build(),
            last_commit_hash=self.last_commit_hash,
            data_hash=self.data_hash,
            validators_hash=self.validators_hash,
            next_validators_hash=self.next_validators_hash,
            consensus_hash=self.consensus_hash,
            app_hash=self.app_hash,
            last_results_hash=self.last_results_hash,
            evidence_hash=self.evidence_hash,
            proposer_address=self.proposer_address,
        )


class _CommitSig(Answer):
    block_id_flag: int
    validator_address: Hex
    timestamp: TimeNs
    signature: Base64

    def build(self) -> CommitSig:
        try:
            flag = Flag(self.block_id_flag)
        except ValueError:
            raise InvalidHeader(f"unknown vote flag {self.block_id_flag}") from None
        return CommitSig(flag, self.validator_address, self.timestamp, self.signature)


class _Commit(Answer):
    height: Int
    round: Int
    block_id: _BlockId
    signatures: Annotated[list[_CommitSig], Field(max_length=MAX_VALIDATORS)]

    def build(self) -> Commit:
        votes = tuple(vote.build() for vote in self.signatures)
        return Commit(Height(self.height), self.round, self.block_id.build(), votes)


class SignedHeader(Answer):
    """A header and the votes for it."""

    header: _Header
    commit: _Commit

    def build(self) -> tuple[Header, Commit]:
        """Return both as kernel values. Raises: InvalidHeader."""
        return self.header.build(), self.commit.build()


class _PublicKey(Answer):
    type: str
    value: Base64


class _Validator(Answer):
    pub_key: _PublicKey
    voting_power: Int

    def build(self) -> Validator:
        if self.pub_key.type != KEY_TYPE:
            raise InvalidHeader(f"consensus key of type {self.pub_key.type[:40]!r}")
        return Validator(self.pub_key.value, self.voting_power)


class ValidatorPage(Answer):
    """Part of a validator set; total is the size of the whole."""

    validators: Annotated[list[_Validator], Field(max_length=PAGE_SIZE)]
    total: Int = 0

    def build(self) -> tuple[Validator, ...]:
        """Return the validators of this page. Raises: InvalidHeader."""
        return tuple(member.build() for member in self.validators)


class CommitAnswer(Answer):
    """Answer to `commit`."""

    signed_header: SignedHeader


class _NodeInfo(Answer):
    network: str


class _SyncInfo(Answer):
    latest_block_height: Int
    latest_block_time: TimeNs
    catching_up: bool


class StatusAnswer(Answer):
    """Answer to `status`."""

    node_info: _NodeInfo
    sync_info: _SyncInfo


class BroadcastAnswer(Answer):
    """Answer to `broadcast_tx_sync`."""

    code: int
    log: str = ""
    hash: Hex


class _TxResult(Answer):
    code: int = 0
    log: str = ""
    gas_wanted: Int = 0
    gas_used: Int = 0
    data: Base64 = b""

    def build(self) -> TxResult:
        return TxResult(self.code, self.data, self.gas_wanted, self.gas_used)


class _Path(Answer):
    total: Int = 0
    index: Int = 0
    aunts: list[Base64] = []

    def build(self) -> Path:
        return Path(self.index, self.total, tuple(self.aunts))


class _TxProof(Answer):
    proof: _Path = _Path()


class TxAnswer(Answer):
    """Answer to `tx`."""

    hash: Hex
    height: Int
    tx_result: _TxResult
    tx: Base64 = b""
    proof: _TxProof = _TxProof()


class SearchAnswer(Answer):
    """Answer to `tx_search`."""

    txs: Annotated[list[TxAnswer], Field(max_length=PAGE_SIZE), BeforeValidator(_or_none)] = []


class ResultsAnswer(Answer):
    """Answer to `block_results`; events are passed over."""

    txs_results: Annotated[
        list[_TxResult], Field(max_length=MAX_RESULTS), BeforeValidator(_or_none)
    ] = []

    def build(self) -> tuple[TxResult, ...]:
        """Return what consensus hashes of the results."""
        return tuple(result.build() for result in self.txs_results)


class _ProofOp(Answer):
    type: str
    key: Base64 = b""
    data: Base64 = b""


class _ProofOps(Answer):
    ops: list[_ProofOp] = []


class _QueryResponse(Answer):
    code: int = 0
    log: str = ""
    value: Base64 = b""
    height: Int = 0
    proof_ops: Annotated[_ProofOps, BeforeValidator(_or_empty)] = Field(
        default=_ProofOps(), validation_alias="proofOps"
    )


class QueryAnswer(Answer):
    """Answer to `abci_query`."""

    response: _QueryResponse


def build_validator_set(pages: tuple[ValidatorPage, ...]) -> ValidatorSet:
    """Return the set that the pages make up. Raises: InvalidHeader."""
    return validator_set(member for page in pages for member in page.build())
