"""A case that a jury has decided, on a chain where it can be appealed by proposal."""

from __future__ import annotations

from typing import Final

from abci_chat import keys, params
from abci_chat.hooks import maturing
from abci_chat.state import cases, pools, targets
from abci_chat.state.cases import Case, Phase, Reason, Ruling
from abci_chat.state.targets import Target
from dchat.kernel import codec, due, holdings
from dchat.kernel.ids import Amount, EpochMs, Height
from tests.fakes.memory import ALICE, BOB, START
from tests.fakes.voting import Assembly

CASE: Final = 1
TARGET: Final = Target(targets.Kind.ACCOUNT, BOB.id)
REPORT_BOND: Final = Amount(50_000)
APPEAL_UNTIL: Final = EpochMs(START + params.MODERATION.default.appeal_ms)


def decided() -> Assembly:
    """Return a chain on which alice's report of bob was upheld at its beginning."""
    chain = Assembly()
    draft = chain.draft()
    holdings.move(draft, ALICE.id, pools.REPORT_BONDS, REPORT_BOND)
    case = Case(
        *(ALICE.id, TARGET, BOB.id, Reason.SPAM, bytes(32), REPORT_BOND, Height(1)),
        *(Phase.DECIDED, APPEAL_UNTIL, APPEAL_UNTIL, Ruling.UPHELD),
    )
    draft.put(keys.case(CASE), cases.CASE.encode(case))
    draft.put(keys.CASE_COUNT, codec.U64.encode(CASE))
    targets.mark(draft, TARGET, CASE)
    due.put(draft, APPEAL_UNTIL, keys.case(CASE))
    chain.keep(draft)
    assert "case" in maturing.ENDS, "moderation ends its cases here"
    return chain
