"""A remote signer for CometBFT whose every signature is one that only ZIP-215 accepts.

Source: CometBFT v0.40.0 proto/tendermint/privval/types.proto, types/canonical.proto.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from dchat.kernel import signing, wire
from dchat.node.frames import FrameReader, encode_size
from tests.fakes import odd_signatures

PATIENCE_S: Final = 60
VOTE_SIGNATURE, PROPOSAL_SIGNATURE = 8, 7


Fields = dict[int, int | bytes]
Spell = Callable[[Fields, bytes], bytes]


def vote_sign_bytes(vote: Fields, chain_id: bytes) -> bytes:
    """What a vote's signature covers: its CanonicalVote behind its length."""
    return wire.delimited(
        _begun(vote)
        + _block(4, vote.get(4))
        + _held(5, vote.get(5))
        + wire.bytes_field(6, chain_id)
    )


def proposal_sign_bytes(proposal: Fields, chain_id: bytes) -> bytes:
    """What a proposal's signature covers: its CanonicalProposal behind its length."""
    return wire.delimited(
        _begun(proposal)
        + wire.varint_field(4, _number(proposal, 4))
        + _block(5, proposal.get(5))
        + _held(6, proposal.get(6))
        + wire.bytes_field(7, chain_id)
    )


def _begun(said: Fields) -> bytes:
    return (
        wire.varint_field(1, _number(said, 1))
        + wire.sfixed64_field(2, _number(said, 2))
        + wire.sfixed64_field(3, _number(said, 3))
    )


def _number(said: Fields, number: int) -> int:
    value = said.get(number, 0)
    assert isinstance(value, int)
    return value


def _block(number: int, block_id: int | bytes | None) -> bytes:
    """The block's id, which is left out where it names no block."""
    assert isinstance(block_id, bytes)
    return wire.message_field(number, block_id) if 1 in fields(block_id) else b""


def _held(number: int, message: int | bytes | None) -> bytes:
    assert isinstance(message, bytes)
    return wire.message_field(number, message)


class OddSigner:
    """Signs whatever CometBFT asks for, the two odd ways in turn, until it hangs up."""

    def __init__(self, home: Path, chain_id: str) -> None:
        key = json.loads((home / "config" / "priv_validator_key.json").read_text())
        self.seed = base64.b64decode(key["priv_key"]["value"])[: signing.SEED_BYTES]
        self.path = home / "signer.sock"
        self.signed = 0
        self._chain_id = chain_id.encode()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        """Dial the node as soon as it listens."""
        self._thread.start()

    def join(self) -> None:
        """Return once the node has hung up."""
        self._thread.join(PATIENCE_S)

    def _serve(self) -> None:
        reader = FrameReader()
        with self._dialled() as node, suppress(ConnectionError):  # the node may be killed
            while chunk := node.recv(65_536):
                for frame in reader.feed(chunk):
                    answer = self._answer(frame)
                    node.sendall(encode_size(len(answer)) + answer)

    def _dialled(self) -> socket.socket:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            node = socket.socket(socket.AF_UNIX)
            if node.connect_ex(os.fspath(self.path)) == 0:
                return node
            node.close()
            assert time.monotonic() < deadline, "the node never listened for its signer"
            time.sleep(0.02)

    def _answer(self, frame: bytes) -> bytes:
        """The answer's number is the one above the request's; a ping has nothing to say."""
        ((kind, request),) = fields(frame).items()
        assert isinstance(request, bytes)
        match kind:
            case 1:  # which key
                key = wire.bytes_field(1, signing.public_key(self.seed))
                body = wire.message_field(1, key)
            case 3:  # a vote
                body = self._signed(request, VOTE_SIGNATURE, vote_sign_bytes)
            case 5:  # a proposal
                body = self._signed(request, PROPOSAL_SIGNATURE, proposal_sign_bytes)
            case _:
                body = b""
        return wire.message_field(kind + 1, body)

    def _signed(self, request: bytes, number: int, spell: Spell) -> bytes:
        said = fields(request)[1]
        assert isinstance(said, bytes)
        message = spell(fields(said), self._chain_id)
        ways = (odd_signatures.with_torsion, odd_signatures.with_second_spelling)
        signature = ways[self.signed % 2](self.seed, message)
        self.signed += 1
        return wire.message_field(1, said + wire.bytes_field(number, signature))


def fields(message: bytes) -> Fields:
    """The fields of a protobuf message by number: varints as they are, the others as bytes."""
    found: Fields = {}
    while message:
        tag, message = _varint(message)
        if tag & 7 == 0:
            found[tag >> 3], message = _varint(message)
        else:
            size, message = _varint(message)
            found[tag >> 3], message = message[:size], message[size:]
    return found


def _varint(data: bytes) -> tuple[int, bytes]:
    value = shift = at = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, data[at:]
