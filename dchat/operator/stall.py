"""Why a chain makes no blocks, in words an operator can act on: who votes, who does not.

Source: CometBFT v0.40.0 rpc/core (consensus_state, validators), consensus/types/round_state.go
(steps), types/vote_set.go (BitArrayString).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import httpx
from pydantic import BeforeValidator, Field

from dchat.node import answers
from dchat.node.answers import PAGE_SIZE, Answer, MalformedAnswer
from dchat.operator import fetch

MAX_NAMED: Final = 8
MAX_ROUNDS: Final = 100_000
PRECOMMIT: Final = 6
"""The step from which on precommits are waited for; before it, prevotes."""
_BITS: Final = re.compile(r"BA\{[0-9]{1,6}:([x_]{0,10000})\}")
_PLACE: Final = re.compile(r"([0-9]{1,19})/([0-9]{1,9})/([0-9]{1,2})")


class _Votes(Answer):
    round: int
    prevotes_bit_array: str
    precommits_bit_array: str


class _RoundState(Answer):
    place: str = Field(validation_alias="height/round/step")
    height_vote_set: Annotated[list[_Votes], Field(max_length=MAX_ROUNDS)]


class _StateBody(Answer):
    round_state: _RoundState


class _Member(Answer):
    address: answers.Hex
    voting_power: answers.Int


class _MembersBody(Answer):
    validators: Annotated[
        list[_Member], Field(max_length=PAGE_SIZE), BeforeValidator(lambda raw: raw or [])
    ]
    total: answers.Int = 0


async def explain(http: httpx.AsyncClient, names: Mapping[bytes, str]) -> str:
    """Return who votes for the next block and who is missing. `names` are by validator address.

    Raises: NoAnswer, MalformedAnswer.
    """
    state = answers.parse(
        answers.Result[_StateBody], await fetch.get(http, "/consensus_state")
    ).result.round_state
    members = answers.parse(
        answers.Result[_MembersBody],
        await fetch.get(http, "/validators", {"per_page": str(PAGE_SIZE)}),
    ).result
    current, step = _round_and_step(state)
    votes = _voted(state, current, step)
    if members.total > len(members.validators) or len(votes) != len(members.validators):
        return f"it is at round {current}, with {sum(votes)} of {len(votes)} validators voting"
    return describe(current, votes, members.validators, names)


def describe(
    current: int, votes: Sequence[bool], members: Sequence[_Member], names: Mapping[bytes, str]
) -> str:
    """Return the sentence for a set of validators and which of them were heard from."""
    total = sum(member.voting_power for member in members)
    pairs = list(zip(members, votes, strict=True))
    heard = sum(member.voting_power for member, voted in pairs if voted)
    silent = sorted(_name(member, names) for member, voted in pairs if not voted)
    if 3 * heard > 2 * total:
        return f"{heard} of {total} voting power votes, yet round {current} has not decided"
    more = f" and {len(silent) - MAX_NAMED} more" if len(silent) > MAX_NAMED else ""
    return (
        f"only {heard} of {total} voting power votes and more than two thirds are needed; "
        f"not heard from: {', '.join(silent[:MAX_NAMED])}{more}"
    )


def _name(member: _Member, names: Mapping[bytes, str]) -> str:
    return names.get(member.address) or member.address.hex()


def _round_and_step(state: _RoundState) -> tuple[int, int]:
    found = _PLACE.fullmatch(state.place)
    if found is None:
        raise MalformedAnswer("height/round/step: not three numbers")
    return int(found[2]), int(found[3])


def _voted(state: _RoundState, current: int, step: int) -> list[bool]:
    """Return for each validator whether it cast the vote that the current step waits for.

    Votes of an earlier step say nothing: whoever cast them may have gone since.
    """
    for votes in state.height_vote_set:
        if votes.round == current:
            late = step >= PRECOMMIT
            return _bits(votes.precommits_bit_array if late else votes.prevotes_bit_array)
    return []


def _bits(shown: str) -> list[bool]:
    found = _BITS.match(shown)
    return [mark == "x" for mark in found[1]] if found else []
