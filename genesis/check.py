"""A genesis file is what every node will start from: read it back and say what it holds.

Whose it is its chain id says: the currency chain's ends in -currency.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from abci_chat import genesis as chat
from abci_currency import genesis as currency
from abci_currency.genesis import Beginning, Rules
from dchat.kernel import genesis, signing
from dchat.kernel.errors import OperatorError, ProtocolError
from dchat.kernel.headers import Validator, validator_set, validators_hash
from dchat.kernel.machine import ValidatorPower
from dchat.node.rfc3339 import parse_time, show_time

ED25519: Final = "tendermint/PubKeyEd25519"
CURRENCY: Final = "-currency"
NS_IN_MS: Final = 1_000_000
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
    """Issued at the beginning; stake, what vests and the treasury are part of it."""
    max_block_bytes: int
    max_block_cost: int
    staked: int = 0
    """This and what follows down to rules the currency chain has."""
    delegations: int = 0
    vesting: int = 0
    treasury: int = 0
    rules: Rules | None = None
    """The parameters of the economy; None on the chat chain."""
    voters: int = 0
    """This and what follows the chat chain has."""
    weight: int = 0
    """Of all voters together."""
    beacons: int = 0
    """Validators that owe preimages to a draw."""


def check(content: bytes) -> Summary:
    """Return what the file says, once everything in it fits together. Raises: GenesisRefused."""
    try:
        fields = _fields(json.loads(content), "genesis")
        return _check(fields, hashlib.sha256(content).digest())
    except (KeyError, ValueError, ProtocolError, RecursionError) as fault:
        reason = f"{fault} is missing" if isinstance(fault, KeyError) else str(fault)
        raise GenesisRefused(f"not a usable genesis file: {reason}") from None


def _check(fields: Fields, sha256: bytes) -> Summary:
    chain_id = _text(fields, "chain_id")
    content = base64.b64decode(_text(fields, "app_state"), validate=True)
    is_currency = chain_id.endswith(CURRENCY)
    begun = currency.decode(content) if is_currency else chat.decode(content)
    members = tuple(_validator(each) for each in _list(fields["validators"]))
    _check_header(fields, begun.kernel)
    _need(len(members) > 0, "there are no validators")
    _need(len({each.public_key for each in members}) == len(members), "a validator is named twice")
    common = Summary(
        chain_id=chain_id,
        genesis_time=show_time(parse_time(fields["genesis_time"])),
        sha256=sha256,
        validators_hash=validators_hash(validator_set(members)),
        validators=tuple(member.public_key for member in members),
        accounts=len(begun.kernel.allocations),
        supply=sum(each.balance for each in begun.kernel.allocations),
        max_block_bytes=begun.kernel.params.max_block_bytes,
        max_block_cost=begun.kernel.params.max_block_cost,
    )
    given = [ValidatorPower(each.public_key, each.power) for each in members]
    if isinstance(begun, Beginning):
        _check_economy(fields, given, begun)
        return _with_economy(common, begun)
    chat.check_members(begun, given)
    return _with_community(common, begun)


def _with_economy(common: Summary, begun: Beginning) -> Summary:
    vesting = sum(each.tokens for each in begun.locks)
    return replace(
        common,
        supply=common.supply + vesting + begun.treasury,
        staked=sum(currency.tokens(begun).values()),
        delegations=len(begun.bonds),
        vesting=vesting,
        treasury=begun.treasury,
        rules=begun.rules,
    )


def _with_community(common: Summary, begun: chat.Beginning) -> Summary:
    return replace(
        common,
        voters=len(begun.voters),
        weight=sum(each.weight for each in begun.voters),
        beacons=sum(1 for each in begun.validators if each.beacon_length),
    )


def _check_header(fields: Fields, state: genesis.Genesis) -> None:
    """Return if CometBFT's part agrees with what every application begins with."""
    rules = state.params
    block = _fields(_fields(fields["consensus_params"], "consensus_params")["block"], "block")
    _need(_text(fields, "initial_height") == "1", "initial_height is not 1")
    _need(_text(fields, "app_hash") == "", "app_hash is not empty")
    same = (_text(block, "max_bytes"), _text(block, "max_gas"))
    want = (str(rules.max_block_bytes), str(rules.max_block_cost))
    _need(same == want, f"block limits {same} are not those of the application, {want}")
    _need(len(state.allocations) > 0, "nobody has anything")


def _check_economy(fields: Fields, given: Sequence[ValidatorPower], economy: Beginning) -> None:
    """Return if CometBFT's validators are those with stake, and it keeps evidence as long."""
    currency.check_powers(economy, tuple(given))
    evidence = _fields(
        _fields(fields["consensus_params"], "consensus_params")["evidence"], "evidence"
    )
    kept = _text(evidence, "max_age_duration")
    want = str(economy.rules.slashing.evidence_max_age_ms * NS_IN_MS)
    _need(kept == want, f"CometBFT keeps evidence for {kept} ns, the application for {want} ns")


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
