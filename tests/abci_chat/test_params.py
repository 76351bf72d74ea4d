from __future__ import annotations

from dataclasses import replace

import pytest

from abci_chat import params
from abci_chat.params import GOVERNANCE, IDENTITIES, MODERATION, SECTIONS, VOTED
from dchat.kernel import params as kernel
from dchat.kernel.errors import ParameterOutOfBounds
from dchat.kernel.ids import Amount

DELAY = IDENTITIES.default.recovery_delay_ms
DEPOSIT = GOVERNANCE.default.deposit
VERDICT = MODERATION.default.verdict_ms


@pytest.mark.parametrize("name", sorted(VOTED))
def test_the_defaults_are_within_their_own_bounds(name: str) -> None:
    VOTED[name].check(VOTED[name].default)


def test_the_defaults_fit_together() -> None:
    params.check_together(IDENTITIES.default, GOVERNANCE.default, MODERATION.default)


def test_a_vote_may_set_every_section_and_the_kernels_numbers() -> None:
    assert set(VOTED) == {*SECTIONS, "kernel"}
    assert VOTED["kernel"].key == kernel.KEY


@pytest.mark.parametrize("name", ["recovery_window_ms", "guardian_delay_ms"])
def test_what_must_outlast_the_recovery_delay_is_longer(name: str) -> None:
    fitting = replace(IDENTITIES.default, **{name: DELAY + 1})
    params.check_together(fitting, GOVERNANCE.default, MODERATION.default)

    with pytest.raises(ParameterOutOfBounds) as refused:
        params.check_together(
            replace(fitting, **{name: DELAY}), GOVERNANCE.default, MODERATION.default
        )

    assert (refused.value.name, refused.value.least) == (name, DELAY + 1)


def test_a_ballots_bond_is_no_higher_than_a_deposit() -> None:
    fitting = replace(GOVERNANCE.default, ballot_bond=DEPOSIT)
    params.check_together(IDENTITIES.default, fitting, MODERATION.default)

    with pytest.raises(ParameterOutOfBounds):
        params.check_together(
            IDENTITIES.default,
            replace(fitting, ballot_bond=Amount(DEPOSIT + 1)),
            MODERATION.default,
        )


def test_a_jurors_bond_outlasts_the_verdict() -> None:
    fitting = replace(MODERATION.default, unbonding_ms=VERDICT + 1)
    params.check_together(IDENTITIES.default, GOVERNANCE.default, fitting)

    with pytest.raises(ParameterOutOfBounds):
        params.check_together(
            IDENTITIES.default, GOVERNANCE.default, replace(fitting, unbonding_ms=VERDICT)
        )
