"""The form of a node's JSON is checked before anything is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel.headers import NO_BLOCK, Flag, InvalidHeader
from dchat.node.answers import (
    PAGE_SIZE,
    Answer,
    Base64,
    Hex,
    Int,
    MalformedAnswer,
    SignedHeader,
    TimeNs,
    ValidatorPage,
    build_validator_set,
    parse,
)

RECORDED = json.loads(
    (Path(__file__).parents[2] / "vectors" / "comet_light_blocks" / "blocks.json").read_text()
)
Json = dict[str, Any]


class _Fields(Answer):
    number: Int = 0
    digest: Hex = b""
    key: Base64 = b""
    time: TimeNs = 0


def signed_header(height: int, /, **header: object) -> Json:
    """A recorded signed header with some of its header's fields replaced."""
    found = next(
        each["signed_header"]
        for each in RECORDED
        if each["signed_header"]["header"]["height"] == str(height)
    )
    return {**found, "header": {**found["header"], **header}}


def read_header(raw: Json) -> SignedHeader:
    return parse(SignedHeader, json.dumps(raw))


@pytest.mark.parametrize(
    ("text", "number"), [('"-5"', -5), ("7", 7), ('"9223372036854775808"', 2**63)]
)
def test_integers_come_as_text_or_number(text: str, number: int) -> None:
    assert parse(_Fields, f'{{"number":{text}}}').number == number


@pytest.mark.parametrize(
    "body",
    [
        '{"number":"5.0"}',
        '{"number":5.5}',
        '{"number":"0x5"}',
        '{"number":""}',
        '{"number":"\\u0665"}',
        '{"number":true}',
        '{"number":null}',
        '{"number":"' + "9" * 5000 + '"}',
        '{"digest":"zz"}',
        '{"digest":"a"}',
        '{"digest":"aa bb"}',
        '{"digest":5}',
        '{"key":"A"}',
        '{"key":"AA=="\\n"}',
        '{"key":"A_-="}',
        '{"key":[]}',
        '{"key":"é"}',
        '{"time":"yesterday"}',
        '{"time":5}',
        "[]",
        "null",
        "",
    ],
)
def test_other_forms_are_refused(body: str) -> None:
    with pytest.raises(MalformedAnswer):
        parse(_Fields, body)


def test_refusal_names_the_place() -> None:
    with pytest.raises(MalformedAnswer, match=r"^header\.height: .*not a decimal integer"):
        read_header(signed_header(2, height="two"))


def test_absent_bytes_are_null_or_empty() -> None:
    found = parse(_Fields, '{"digest":null,"key":""}')

    assert (found.digest, found.key) == (b"", b"")


def test_first_header_has_no_last_block() -> None:
    header, _ = read_header(signed_header(1)).build()

    assert header.last_block_id == NO_BLOCK


@pytest.mark.parametrize("name", ["parts", "part_set_header"])
def test_parts_go_by_either_name(name: str) -> None:
    block_id = {"hash": "AA" * 32, name: {"total": 3, "hash": "BB" * 32}}

    header, _ = read_header(signed_header(2, last_block_id=block_id)).build()

    assert (header.last_block_id.parts_total, header.last_block_id.parts_hash) == (3, b"\xbb" * 32)


def test_null_last_block_is_none() -> None:
    header, _ = read_header(signed_header(2, last_block_id=None)).build()

    assert header.last_block_id == NO_BLOCK


def test_unknown_fields_are_passed_over() -> None:
    header, commit = read_header(signed_header(2, invented=5)).build()

    assert (header.height, commit.height) == (2, 2)


def test_vote_of_an_unknown_kind_is_an_invalid_header() -> None:
    raw = signed_header(2)
    commit = raw["commit"]
    votes = [{**commit["signatures"][0], "block_id_flag": 9}]

    with pytest.raises(InvalidHeader, match="unknown vote flag 9"):
        read_header({**raw, "commit": {**commit, "signatures": votes}}).build()


def test_absent_vote_is_read() -> None:
    _, commit = read_header(signed_header(71)).build()

    assert commit.signatures[1].flag is Flag.ABSENT


def test_key_of_another_kind_is_an_invalid_header() -> None:
    member = {
        "pub_key": {"type": "tendermint/PubKeySecp256k1", "value": "AA=="},
        "voting_power": "1",
    }
    page = parse(ValidatorPage, json.dumps({"validators": [member], "total": "1"}))

    with pytest.raises(InvalidHeader, match="Secp256k1"):
        build_validator_set((page,))


def test_a_page_of_more_validators_than_asked_for_is_refused() -> None:
    member = {"pub_key": {"type": "", "value": ""}, "voting_power": "1"}
    page = {"validators": [member] * (PAGE_SIZE + 1), "total": "10000"}

    with pytest.raises(MalformedAnswer, match="at most 100"):
        parse(ValidatorPage, json.dumps(page))


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        parse(SignedHeader, body)
