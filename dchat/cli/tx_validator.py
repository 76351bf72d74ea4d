"""`dchat tx`, validators: creating one, changing what it promises, its key, its way out of jail."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from abci_currency import keys, params
from abci_currency.params import BASIS_POINTS
from abci_currency.state import stake
from abci_currency.state.stake import Validator
from abci_currency.txs import consensus_key, unjail, validator
from abci_currency.txs.consensus_key import RotateConsensusKey
from abci_currency.txs.unjail import Unjail
from abci_currency.txs.validator import CreateValidator, EditValidator
from dchat.cli.asking import NotThere, Source
from dchat.cli.foresee import foresee
from dchat.cli.ordering import (
    Plan,
    Sending,
    Told,
    carry_out,
    ordering,
    plan_and_carry_out,
)
from dchat.cli.query_staking import validator_fields
from dchat.cli.show import tokens
from dchat.cli.unlock import unlock
from dchat.kernel import accounts, signing
from dchat.kernel.amounts import parse_amount
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import AccountId
from dchat.node.identity import Identity

_PERCENT: Final = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?%", re.ASCII)
_FRACTION: Final = re.compile(r"([01])\.(\d{1,4})", re.ASCII)
_BASIS_POINTS: Final = re.compile(r"(\d{1,5})bp", re.ASCII)
CONSENSUS: Final = "consensus/currency"
"""The child of an identity by which its validator votes on the currency chain."""

VoterFile = Annotated[
    Path | None,
    typer.Option(
        "--node-identity", help="Identity file of the node that votes; the sender's when absent."
    ),
]
KeyText = Annotated[
    str | None,
    typer.Option("--consensus-key", help="Key that votes, in hex, where no file holds it; and:"),
]
ProofText = Annotated[
    str | None,
    typer.Option("--proof", help="its signature of 64 bytes in hex, that it is the sender's."),
]


class BadShare(OperatorError):
    """The text is not a share of something."""

    exit_code = 2
    hint = "write 5%, 0.05 or 500bp"


class BadVoter(OperatorError):
    """What votes is named in no way, or in two."""

    exit_code = 2
    hint = "give --node-identity FILE, or --consensus-key and --proof in hex, or none of them"


@dataclass(frozen=True, slots=True)
class Voter:
    """What shall vote: the sender's own key, an identity file's, or a key with its proof."""

    node: Identity | None = None
    key: bytes = b""
    proof: bytes = b""

    def proved(self, source: Source, sender: Identity) -> tuple[bytes, bytes]:
        """Return the key, and its proof that it is the sender's on that chain."""
        if self.key:
            return self.key, self.proof
        seed = (self.node or sender).child(CONSENSUS)
        chain = source.chain.entry.chain_id
        return signing.public_key(seed), consensus_key.prove(seed, chain, sender.account_id)


def register(group: typer.Typer) -> None:
    """Add the commands to the group `tx`."""
    group.command("create-validator")(create_validator)
    group.command("edit-validator")(edit_validator)
    group.command("rotate-consensus-key")(rotate_consensus_key)
    group.command("unjail")(leave_jail)


@ordering
def create_validator(  # noqa: PLR0913 -- Typer: one parameter per option
    sending: Sending,
    *,
    moniker: Annotated[str, typer.Option(help="Public name, to 64 bytes.")],
    stake_: Annotated[str, typer.Option("--stake", help="Tokens of your own to stake with it.")],
    commission: Annotated[str, typer.Option(help="Your share of delegators' rewards.")] = "10%",
    max_commission: Annotated[str, typer.Option(help="What it never exceeds.")] = "20%",
    max_change: Annotated[
        str, typer.Option("--max-commission-change", help="How far it moves in 24 hours.")
    ] = "1%",
    min_self_delegation: Annotated[
        str, typer.Option(help="Own tokens below which it is jailed; only ever raised.")
    ] = "1",
    node_identity: VoterFile = None,
    key: KeyText = None,
    proof: ProofText = None,
) -> None:
    """Operate a validator with stake of your own; the strongest of all vote."""
    rate, most, change = map(parse_share, (commission, max_commission, max_change))
    least, own = parse_amount(min_self_delegation), parse_amount(stake_)
    voter = parse_voter(sending, node_identity, key, proof)

    async def make(source: Source, sender: Identity) -> Plan[CreateValidator]:
        public, proved = voter.proved(source, sender)
        body = CreateValidator(public, proved, moniker, rate, most, change, least, own)
        return Plan(body, Told({"staked": tokens(own)}, validator_fields))

    plan_and_carry_out(sending, validator.CREATE, make)


@ordering
def edit_validator(
    sending: Sending,
    *,
    moniker: Annotated[str | None, typer.Option(help="Another public name.")] = None,
    commission: Annotated[str | None, typer.Option(help="Another share, like 5%.")] = None,
    min_self_delegation: Annotated[
        str | None, typer.Option(help="A higher least of own tokens.")
    ] = None,
) -> None:
    """Change what your validator promises; what is not named stays as it is."""
    rate = None if commission is None else parse_share(commission)
    least = None if min_self_delegation is None else parse_amount(min_self_delegation)

    async def make(source: Source, sender: Identity) -> Plan[EditValidator]:
        before = await _own(source, sender.account_id)
        body = EditValidator(
            before.moniker if moniker is None else moniker,
            before.commission.rate_bp if rate is None else rate,
            before.min_self_delegation if least is None else least,
        )
        return Plan(body, Told({}, validator_fields))

    plan_and_carry_out(sending, validator.EDIT, make)


@ordering
def rotate_consensus_key(
    sending: Sending,
    *,
    node_identity: VoterFile = None,
    key: KeyText = None,
    proof: ProofText = None,
) -> None:
    """Let your validator vote with another key, from two blocks on; a fee is burned for it."""
    if node_identity is None and key is None:
        raise BadVoter("the new key is not named")
    voter = parse_voter(sending, node_identity, key, proof)

    async def make(source: Source, sender: Identity) -> Plan[RotateConsensusKey]:
        public, proved = voter.proved(source, sender)
        fee = (await foresee(source, params.STAKING.load)).key_rotation_fee
        retired = (await _own(source, sender.account_id)).consensus_key
        told = Told({"retired": retired, "burned": tokens(fee)}, validator_fields)
        return Plan(RotateConsensusKey(public, proved, fee), told)

    plan_and_carry_out(sending, consensus_key.FAMILY, make)


@ordering
def leave_jail(sending: Sending) -> None:
    """Let your validator vote again, once its jail term is over."""
    carry_out(sending, unjail.FAMILY, Unjail(), Told({}, validator_fields))


async def _own(source: Source, operator: AccountId) -> Validator:
    """Return the sender's validator as it stands. Raises: NotThere."""
    record = await source.value(keys.validator(operator))
    if record is None:
        raise NotThere(f"{accounts.show_account(operator)} operates no validator")
    return stake.VALIDATOR.decode(record)


def parse_share(text: str) -> int:
    """Return the basis points of `5%`, `0.05` or `500bp`. Raises: BadShare."""
    if match := _BASIS_POINTS.fullmatch(text):
        return int(match[1])
    if match := _PERCENT.fullmatch(text):
        return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
    if match := _FRACTION.fullmatch(text):
        return int(match[1]) * BASIS_POINTS + int(match[2].ljust(4, "0"))
    raise BadShare(f"{text!r} is not a share")


def parse_voter(sending: Sending, node: Path | None, key: str | None, proof: str | None) -> Voter:
    """Return what votes; a file is opened at once. Raises: BadVoter, and as unlock()."""
    if key is None and proof is None:
        return Voter(unlock(node, sending.passphrase_file) if node else None)
    if node is not None:
        raise BadVoter("the key is named by a file and in hex")
    try:
        found = Voter(None, bytes.fromhex(key or ""), bytes.fromhex(proof or ""))
    except ValueError:
        raise BadVoter("the key and its proof are not both in hex") from None
    if (len(found.key), len(found.proof)) != (signing.PUBLIC_KEY_BYTES, signing.SIGNATURE_BYTES):
        raise BadVoter("a key has 32 bytes and its proof 64")
    return found
