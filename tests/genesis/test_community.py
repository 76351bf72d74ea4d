from __future__ import annotations

import re
import tomllib
from dataclasses import fields

import pytest

from abci_chat.genesis import Rules
from abci_chat.params import SECTIONS
from genesis import community, sections


def rules(toml: str) -> Rules:
    return community.read(tomllib.loads(toml))


@pytest.mark.parametrize("name", SECTIONS)
def test_every_parameter_can_be_set(name: str) -> None:
    section = SECTIONS[name]
    written = {each.parameter for each in sections.by_name(section).values()}

    assert written == {each.name for each in fields(section.default)}


def test_what_is_left_out_has_its_default() -> None:
    assert rules("") == Rules()


def test_the_example_holds_the_defaults() -> None:
    example = (community.__doc__ or "").split("\n\n", 1)[1]

    assert rules(example) == Rules()
    assert set(tomllib.loads(example)) == set(SECTIONS)


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ("[work]\nbits = 3", "work.bits is no known key; known are anchor_blocks, base_bits"),
        ("[work]\nstep = 0", "work.step: step would be 0, not 1 to 10000"),
        ("[governance]\nquorum = 1.5", "governance.quorum: 1.5 is not a fraction from 0 to 1"),
        ("[governance]\nvoting = '61d'", "governance.voting: voting_ms would be 5270400000, not"),
        ("[channels]\ndeposit = -1", "channels.deposit: "),
        ("channels = 5", "channels is not a table"),
    ],
)
def test_a_wrong_number_is_named(toml: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        rules(toml)
