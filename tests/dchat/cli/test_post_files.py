"""Files of posts: what is written can be read, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat.txs import post
from dchat.cli import post_files
from dchat.cli.post_files import BadPosts, Signed
from tests.fakes.memory import BOB, CHAIN
from tests.fakes.posting import PUBLIC, commitments, part_of

LEAVES = commitments(3)
PART = part_of(BOB.id, BOB.public_key, 4, LEAVES)
SIGNED = Signed(post.sign(BOB.seed, CHAIN, PUBLIC, 1, PART), LEAVES)


def test_a_part_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "parts"
    file.write_text(post_files.line_of(SIGNED) + "\n\n" + post_files.line_of(SIGNED))

    assert post_files.read_parts(file) == [SIGNED, SIGNED]


def test_commitments_are_read_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_text("\n".join(each.hex() for each in LEAVES))

    assert post_files.read_leaves(file) == LEAVES


@pytest.mark.parametrize("text", ["", "\n", "ab", "zz" * 32, "00" * 33, "00" * 32 + "\nab"])
def test_what_is_no_list_of_commitments_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine"
    file.write_text(text)

    with pytest.raises(BadPosts):
        post_files.read_leaves(file)


@given(
    st.one_of(
        st.text(max_size=40),
        st.sampled_from(['{"author": 5}', "[]", "7", "null", '{"commitments": [1]}', "[" * 9000]),
    )
)
def test_what_is_no_part_is_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("parts") / "parts"
    file.write_text(text + "\n?")

    with pytest.raises(BadPosts):
        post_files.read_parts(file)


def test_a_file_beyond_the_bound_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_bytes(b"0" * (post_files.MAX_FILE_BYTES + 1))

    with pytest.raises(BadPosts, match="larger than"):
        post_files.read_leaves(file)
