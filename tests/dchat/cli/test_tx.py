"""The group `tx` knows its commands; tests of each family are beside this."""

from __future__ import annotations

from tests.dchat.cli.nodes import Dchat


def test_the_group_names_its_commands(dchat: Dchat) -> None:
    ran = dchat("tx", "--help")

    assert ran.code == 0
    assert "send " in ran.out


def test_a_word_that_is_no_command_is_told(dchat: Dchat) -> None:
    ran = dchat("tx", "mint")

    assert (ran.code, "mint" in ran.err) == (2, True)
