from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat.machine import MACHINE
from abci_chat.state import cases
from abci_chat.state.cases import NotJudging, NotOnJury, UnknownCase, VerdictGiven
from abci_chat.txs import verdict
from abci_chat.txs.verdict import GiveVerdict, Judged
from dchat.kernel.errors import MalformedBody, NonceMismatch
from tests.fakes.court import JURORS, VERDICT_MS, Court, decided, reported, seated
from tests.fakes.memory import BOB, CAROL, Person, run, signed


def given_by(court: Court, who: Person, case: int = 1) -> int:
    return court.send(who, verdict.VERDICT, GiveVerdict(case, upholds=True)).code


def outsiders(court: Court) -> list[Person]:
    return [who for who in JURORS if who not in court.jurors()]


@pytest.mark.parametrize(("upholds", "counts"), [(True, (1, 0)), (False, (0, 1))])
def test_a_verdict_is_counted_and_kept(*, upholds: bool, counts: tuple[int, int]) -> None:
    court = seated()
    who = court.jurors()[0]

    outcome = court.send(who, verdict.VERDICT, GiveVerdict(1, upholds))

    assert outcome.events == (Judged(1, who.id, upholds),)
    assert (court.case().uphold, court.case().dismiss) == counts
    assert cases.verdict(court.state, 1, who.id) is upholds


def test_a_second_verdict_is_refused_whatever_it_says() -> None:
    court = seated()
    who = court.jurors()[0]
    court.send(who, verdict.VERDICT, GiveVerdict(1, upholds=False))

    assert given_by(court, who) == VerdictGiven.code
    assert (court.case().uphold, court.case().dismiss) == (0, 1)


def test_who_was_not_drawn_is_refused() -> None:
    court = seated()

    codes = [given_by(court, who) for who in (BOB, CAROL, *outsiders(court))]

    assert codes == [NotOnJury.code] * 4
    assert (court.case().uphold, court.case().dismiss) == (0, 0)


def test_nobody_judges_before_a_jury_is_drawn() -> None:
    assert given_by(reported(), JURORS[0]) == NotJudging.code


@pytest.mark.parametrize(("early_ms", "code"), [(1, 0), (0, NotJudging.code)])
def test_a_verdict_comes_in_time_or_not_at_all(early_ms: int, code: int) -> None:
    court = seated()
    who = court.jurors()[0]
    court.pass_ms(VERDICT_MS - early_ms)

    assert given_by(court, who) == code


def test_nobody_judges_a_case_that_is_decided() -> None:
    court = decided(True)

    assert given_by(court, court.jurors()[3]) == NotJudging.code


@pytest.mark.parametrize("case", [0, 2, 2**64 - 1])
def test_there_is_no_verdict_in_no_case(case: int) -> None:
    court = seated()

    assert given_by(court, court.jurors()[0], case) == UnknownCase.code


def test_a_replayed_verdict_is_refused() -> None:
    court = seated()
    who = court.jurors()[0]
    raw = court.signed(who, verdict.VERDICT, GiveVerdict(1, upholds=True))
    court.send_raw(raw, who)

    assert (court.send_raw(raw, who).code, court.case().uphold) == (NonceMismatch.code, 1)


fields = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)
COURT = seated()


@given(st.lists(fields, max_size=3))
def test_arbitrary_fields_are_refused(odd: list[str]) -> None:
    result = run(MACHINE, COURT.state, signed(BOB, (63, *odd), COURT.nonces[BOB]))

    assert result.outcomes[0].code in {MalformedBody.code, UnknownCase.code, NotOnJury.code}
