"""A node's answers over RPC: light blocks, status, results, queries; nobody vouches for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

from pydantic import RootModel

from dchat.kernel.headers import HeaderRefused, header_hash
from dchat.kernel.light import MIN_DRIFT_NS, LightBlock, TrustRoot, start, verify
from dchat.kernel.wire import NS_PER_SECOND
from dchat.node import answers
from dchat.node.answers import Answer, MalformedAnswer, Result, SignedHeader, ValidatorPage
from tests.fuzz.mutate import change_bytes, change_json, change_text, change_tree
from tests.fuzz.target import Target, named

RECORDED: Final = Path(__file__).parents[2] / "vectors" / "comet_light_blocks" / "blocks.json"
PERIOD_NS: Final = 3600 * NS_PER_SECOND


class _Block(Answer):
    signed_header: SignedHeader
    validators: ValidatorPage
    next_validators: ValidatorPage

    def build(self) -> LightBlock:
        header, commit = self.signed_header.build()
        own = answers.build_validator_set((self.validators,))
        return LightBlock(header, commit, own, answers.build_validator_set((self.next_validators,)))


class _Blocks(RootModel[list[_Block]]):
    pass


BLOCKS: Final = tuple(each.build() for each in answers.parse(_Blocks, RECORDED.read_bytes()).root)
TRUE: Final = {block.header.height: header_hash(block.header) for block in BLOCKS}
NOW_NS: Final = BLOCKS[-1].header.time_ns + NS_PER_SECOND
FIRST: Final = BLOCKS[0].header
ROOT: Final = TrustRoot(FIRST.chain_id, FIRST.height, FIRST.time_ns, FIRST.validators_hash)
TRUSTED: Final = start(ROOT, BLOCKS[0], NOW_NS, PERIOD_NS, MIN_DRIFT_NS)


def _believe(text: bytes) -> str:
    """A block is believed only if it is the one that the recorded validators signed."""
    block = answers.parse(_Block, text).build()
    trusted = verify(TRUSTED, block, NOW_NS, PERIOD_NS, MIN_DRIFT_NS)
    assert trusted.header_hash == TRUE.get(block.header.height), "a header that nobody signed"
    assert header_hash(block.header) == trusted.header_hash
    return "believed"


def _reads(model: type[Answer]) -> Callable[[bytes], str]:
    def read(text: bytes) -> str:
        answers.parse(Result[model], text)
        return f"read: {model.__name__}"

    return read


READERS: Final = (
    _believe,
    *map(_reads, (answers.StatusAnswer, answers.TxAnswer, answers.QueryAnswer)),
    *map(_reads, (answers.BroadcastAnswer, answers.CommitAnswer, answers.ValidatorPage)),
)


def judge(data: bytes) -> str:
    """The first byte chooses what was asked for; the rest is the answer."""
    read = READERS[int.from_bytes(data[:1], "big") % len(READERS)]
    try:
        return read(data[1:])
    except (MalformedAnswer, HeaderRefused) as fault:
        return named(fault)


def _result(number: int, **result: object) -> bytes:
    return bytes([number]) + json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()


def _seeds() -> tuple[bytes, ...]:
    blocks: list[dict[str, Any]] = json.loads(RECORDED.read_text())
    block = blocks[1]
    sync = {"latest_block_time": "2026-01-31T12:00:00.1Z", "catching_up": False}
    gas = {"code": 5, "log": "no", "gas_wanted": "7", "gas_used": "6"}
    ops = {"ops": [{"type": "dchat:jmt:1", "key": "a2V5", "data": "cHJvb2Y="}]}
    return (
        *[b"\0" + json.dumps(each).encode() for each in (*blocks[1:4], blocks[-1])],
        _result(1, node_info={"network": "x"}, sync_info={"latest_block_height": "7", **sync}),
        _result(2, hash="AB" * 32, height="5", tx_result=gas),
        _result(3, response={"code": 0, "value": "dg==", "height": "5", "proofOps": ops}),
        _result(4, code=0, log="", hash="CD" * 32),
        _result(5, signed_header=block["signed_header"]),
        _result(6, **block["validators"]),
    )


def _change_inside(rng: Random, data: bytes) -> bytes:
    return data[:1] + change_json(rng, data[1:])


def _forge(rng: Random, data: bytes) -> bytes:
    """A light block with another header, whose hash its votes name as if they were for it."""
    try:
        raw = json.loads(data[1:])
        signed = raw["signed_header"]
        signed["header"] = change_tree(rng, signed["header"])
        header, _ = answers.parse(SignedHeader, json.dumps(signed)).build()
        signed["commit"]["block_id"]["hash"] = header_hash(header).hex().upper()
    except (MalformedAnswer, HeaderRefused, ValueError, LookupError, TypeError, RecursionError):
        return _change_letters(rng, data)
    return b"\0" + json.dumps(raw).encode()


def _change_letters(rng: Random, data: bytes) -> bytes:
    return data[:1] + change_text(rng, data[1:])


TARGET: Final = Target(
    "header",
    "an answer is read or malformed; a light block is believed only if the validators signed it",
    judge,
    _seeds(),
    (_change_inside, _change_inside, _forge, _forge, _change_letters, change_bytes),
    max_bytes=16_384,
)
