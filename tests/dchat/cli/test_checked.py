from __future__ import annotations

import pytest

from dchat.cli.checked import NoProof, Proof, tell
from dchat.kernel.light import MIN_DRIFT_NS, start
from dchat.kernel.wire import NS_PER_SECOND
from dchat.node.witness import Witnessed
from tests.fakes.chain import FakeChain, Signer

CHAIN = FakeChain((Signer("ann"),))
BLOCK = start(CHAIN.root, CHAIN.block(1), CHAIN.time_ns(2), NS_PER_SECOND * 9, MIN_DRIFT_NS)


def test_a_proof_is_told_with_header_signers_root_and_witnesses() -> None:
    assert Proof("presence", BLOCK, 1, Witnessed(2, 1)).fields() == {
        "proof": "presence",
        "chain_id": "fake-chain",
        "state_after_block": 0,
        "header": 1,
        "header_hash": BLOCK.header_hash,
        "header_time": "2023-11-14T22:13:20Z",
        "signed_power_at_least": 10,
        "total_power": 10,
        "root_of_trust_height": 1,
        "other_nodes_asked": 2,
        "other_nodes_agreed": 1,
    }


@pytest.mark.parametrize(
    ("kind", "witnessed", "begins", "ends"),
    [
        (
            "absence",
            Witnessed(2, 1),
            "absence proved by header 1 of ",
            "1 of 2 other nodes",
        ),
        ("header", Witnessed(), "header 1 of ", "no other node compared"),
    ],
)
def test_a_proof_is_one_line_for_people(
    kind: str, witnessed: Witnessed, begins: str, ends: str
) -> None:
    line = Proof(kind, BLOCK, 1, witnessed).line()

    assert line.startswith(f"{begins}fake-chain (" + BLOCK.header_hash.hex()[:16])
    assert "signed by 10 of 10 at least, from the root of trust at height 1; " in line
    assert line.endswith(ends)


def test_what_was_not_checked_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    tell(NoProof("a \x1b[2J reason"))

    assert capsys.readouterr().err == (
        "checked: nothing, this is the node's word: a \\x1b[2J reason\n"
    )
    assert NoProof("so").fields() == {"proof": "none", "why": "so"}
