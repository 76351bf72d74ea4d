"""What queries of governance show of chains is in test_gov.py."""

from __future__ import annotations

import pytest

from abci_chat.state import contents
from abci_chat.state.contents import Appeal, Spend, UpgradePlan
from abci_chat.state.proposals import Kind, Proposal, Status, Terms
from dchat.cli.query_gov import content_fields, state_of
from dchat.kernel import accounts
from dchat.kernel.ids import Amount, EpochMs, Height
from tests.fakes.memory import ALICE, BOB


def proposal(status: Status) -> Proposal:
    return Proposal(
        *(Kind.TEXT, ALICE.id, "title", "", b"", Amount(5), Height(1), 100),
        Terms(Amount(1), 3340, 5000, 3340),
        *(EpochMs(10), EpochMs(20), status),
    )


@pytest.mark.parametrize(
    ("now", "shown"),
    [(9, "voting"), (10, "revealing"), (19, "revealing"), (20, "ending"), (99, "ending")],
)
def test_an_open_proposal_says_what_can_be_done_about_it(now: int, shown: str) -> None:
    assert state_of(proposal(Status.OPEN), EpochMs(now)) == shown


@pytest.mark.parametrize(
    ("status", "shown"),
    [(Status.SHORT_OF_QUORUM, "short of quorum"), (Status.FAILED, "failed")],
)
def test_a_decided_proposal_says_what_became_of_it(status: Status, shown: str) -> None:
    assert state_of(proposal(status), EpochMs(9)) == shown


@pytest.mark.parametrize(
    ("kind", "content", "shown"),
    [
        (Kind.TEXT, b"", {}),
        (
            Kind.UPGRADE,
            contents.UPGRADE.encode(UpgradePlan("v2", Height(0), Height(0), ())),
            {"cancels": "v2"},
        ),
        (
            Kind.SPEND,
            contents.SPEND.encode(Spend(BOB.id, Amount(5))),
            {"to": accounts.show_account(BOB.id), "amount": "0.000005 DCHAT"},
        ),
        (Kind.APPEAL, contents.APPEAL.encode(Appeal(7)), {"case": 7}),
    ],
)
def test_what_a_proposal_orders_is_shown_as_people_read_it(
    kind: Kind, content: bytes, shown: dict[str, object]
) -> None:
    assert content_fields(kind, content) == shown
