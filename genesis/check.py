"""A genesis file is what every node will start from: read it back and say what it holds."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from dchat.kernel import genesis, signing
from dchat.kernel.errors import OperatorError, ProtocolError
from dchat.kernel.headers import Validator, validator_set, validators_hash
from dchat.node.rfc3339 import parse_time, show_time

ED25519: Final = "tendermint/PubKeyEd25519"
Fields = Mapping[str, object]


class GenesisRefused(OperatorError):
    """The file is not a genesis that dchat's chains can start from."""

    hint = "build it with `dchat genesis build`, and give every node the same bytes"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a genesis file says; amounts in base units, the period of time in nanoseconds."""

    chain_id: str
    genesis_time: str
    sha256: bytes
    validators_hash: bytes
    validators: tuple[bytes, ...]
    accounts: int
    supply: int
    max_block_bytes: int
    max_block_cost: int


def check(content: bytes) -> Summary:
    """Return what the file says, once everything in it fits together. Raises: GenesisRefused."""
    try:
        fields = _fields(json.loads(content), "genesis")
        return _check(fields, hashlib.sha256(content).digest())
    except (KeyError, ValueError, ProtocolError, RecursionError) as fault:
        reason = f"{fault} is missing" if isinstance(fault, KeyError) else str(fault)
        raise GenesisRefused(f"not a usable genesis file: {reason}") from None


def _check(fields: Fields, sha256: bytes) -> Summary:
    state = genesis.decode(base64.b64decode(_text(fields, "app_state"), validate=True))
    block = _fields(_fields(fields["consensus_params"], "consensus_params")["block"], "block")
    members = tuple(_validator(each) for each in _list(fields["validators"]))
    rules = state.params
    _need(_text(fields, "initial_height") == "1", "initial_height is not 1")
    _need(_text(fields, "app_hash") == "", "app_hash is not empty")
    _need(len(members) > 0, "there are no validators")
    same = (_text(block, "max_bytes"), _text(block, "max_gas"))
    want = (str(rules.max_block_bytes), str(rules.max_block_cost))
    _need(same == want, f"block limits {same} are not those of the application, {want}")
    _need(len(state.allocations) > 0, "nobody has anything")
    return Summary(
        chain_id=_text(fields, "chain_id"),
        genesis_time=show_time(parse_time(fields["genesis_time"])),
        sha256=sha256,
        validators_hash=validators_hash(validator_set(members)),
        validators=tuple(member.public_key for member in members),
        accounts=len(state.allocations),
        supply=sum(each.balance for each in state.allocations),
        max_block_bytes=rules.max_block_bytes,
        max_block_cost=rules.max_block_cost,
    )


def _validator(raw: object) -> Validator:
    fields = _fields(raw, "validator")
    key = _fields(fields["pub_key"], "pub_key")
    _need(key["type"] == ED25519, "a validator's key is not Ed25519")
    try:
        public = base64.b64decode(_text(key, "value"), validate=True)
    except binascii.Error as fault:
        raise ValueError(f"validator key: {fault}") from None
    validator = Validator(public, int(_text(fields, "power")))
    _need(validator.power > 0, "a validator has no power")
    _need(signing.is_strong(public), f"consensus key {public.hex()} is not a safe Ed25519 key")
    same = _text(fields, "address") == validator.address.hex().upper()
    _need(same, f"address of {public.hex()} is not {validator.address.hex().upper()}")
    return validator


def _fields(raw: object, name: str) -> Fields:
    _need(isinstance(raw, dict), f"{name} is not an object")
    return cast("Fields", raw)


def _list(raw: object) -> list[object]:
    _need(isinstance(raw, list), "validators is not a list")
    return cast("list[object]", raw)


def _text(fields: Fields, name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} is not a string")  # noqa: TRY004 - one class for bad files
    return value


def _need(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise ValueError(otherwise)
