"""The single-step vectors of informalsystems/tendermint-rs get the verdicts their authors gave.

Their chain of trust begins at a header that comes with its next set only, so it is taken as
given. They were made for a clock drift of one second.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from dchat.kernel.headers import HeaderRefused, header_hash, validators_hash
from dchat.kernel.light import LightBlock, NotEnoughTrust, TrustedBlock, verify
from dchat.kernel.wire import NS_PER_SECOND
from dchat.node.answers import (
    Answer,
    Int,
    SignedHeader,
    TimeNs,
    ValidatorPage,
    build_validator_set,
    parse,
)

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "light_client"
FILES = sorted(FOLDER.glob("*.json"))
DRIFT_NS = NS_PER_SECOND

pytestmark = pytest.mark.skipif(not FILES, reason="../shared/vectors/light_client is missing")


class _Initial(Answer):
    signed_header: SignedHeader
    next_validator_set: ValidatorPage
    trusting_period: Int


class _Block(Answer):
    signed_header: SignedHeader
    validators: ValidatorPage = Field(validation_alias="validator_set")
    next_validators: ValidatorPage = Field(validation_alias="next_validator_set")

    def build(self) -> LightBlock:
        header, commit = self.signed_header.build()
        own, following = (
            build_validator_set((page,)) for page in (self.validators, self.next_validators)
        )
        return LightBlock(header, commit, own, following)


class _Step(Answer):
    block: _Block
    now: TimeNs
    verdict: str


class _Vector(Answer):
    initial: _Initial
    steps: list[_Step] = Field(validation_alias="input")


def read(path: Path) -> _Vector:
    return parse(_Vector, path.read_bytes())


def begin(initial: _Initial) -> TrustedBlock:
    header, commit = initial.signed_header.build()
    following = build_validator_set((initial.next_validator_set,))
    return TrustedBlock(
        header.chain_id,
        header.height,
        header.time_ns,
        commit.block_id.hash,
        header.app_hash,
        following,
        signed_power=0,
        total_power=0,
    )


def judge(trusted: TrustedBlock, step: _Step, period_ns: int) -> tuple[TrustedBlock, str]:
    try:
        return verify(trusted, step.block.build(), step.now, period_ns, DRIFT_NS), "SUCCESS"
    except NotEnoughTrust:
        return trusted, "NOT_ENOUGH_TRUST"
    except HeaderRefused:
        return trusted, "INVALID"


def judge_all(vector: _Vector) -> list[str]:
    trusted, verdicts = begin(vector.initial), list[str]()
    for step in vector.steps:
        trusted, verdict = judge(trusted, step, vector.initial.trusting_period)
        verdicts.append(verdict)
    return verdicts


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_step_gets_its_verdict(path: Path) -> None:
    vector = read(path)

    assert judge_all(vector) == [step.verdict for step in vector.steps]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_header_hashes_to_what_its_commit_names(path: Path) -> None:
    vector = read(path)
    signed = [vector.initial.signed_header, *[step.block.signed_header for step in vector.steps]]

    built = [one.build() for one in signed]

    assert [header_hash(header) for header, _ in built] == [
        commit.block_id.hash for _, commit in built
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_validator_set_hashes_to_what_its_header_names(path: Path) -> None:
    blocks = [step.block for step in read(path).steps if step.block.validators.validators]

    hashed = [validators_hash(build_validator_set((block.validators,))) for block in blocks]

    assert hashed == [block.signed_header.header.validators_hash for block in blocks]
