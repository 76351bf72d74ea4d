"""What stands behind an answer: a proof under a verified header, or a node's word and why."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from dchat.cli.show import Value, printable
from dchat.kernel.light import TrustedBlock
from dchat.node.chain import OpenChain
from dchat.node.rfc3339 import show_time
from dchat.node.witness import Witnessed

TRUSTED = "--trust was given"
SHOWN_HASH = 16
"""Hexadecimal digits of a hash that a line of text shows."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was proved ("presence", "absence", "result", "header"), by which header and root."""

    kind: str
    block: TrustedBlock
    root_height: int
    witnessed: Witnessed
    note: str = ""
    """What the proof does not say; for people."""

    def fields(self) -> Value:
        """Return all of it, for programs."""
        block = self.block
        return {
            "proof": self.kind,
            "chain_id": block.chain_id,
            "state_after_block": block.height - 1,
            "header": block.height,
            "header_hash": block.header_hash,
            "header_time": show_time(block.time_ns),
            "signed_power_at_least": block.signed_power,
            "total_power": block.total_power,
            "root_of_trust_height": self.root_height,
            "other_nodes_asked": self.witnessed.asked,
            "other_nodes_agreed": self.witnessed.agreed,
        }

    def line(self) -> str:
        """Return all of it in one line, for people."""
        block = self.block
        what = "" if self.kind == "header" else f"{self.kind} proved by "
        return (
            f"{what}header {block.height} of {block.chain_id}"
            f" ({block.header_hash.hex()[:SHOWN_HASH]}…, {show_time(block.time_ns)}),"
            f" signed by {block.signed_power} of {block.total_power} at least,"
            f" from the root of trust at height {self.root_height}; {self._compared()}{self.note}"
        )

    def _compared(self) -> str:
        asked, agreed = self.witnessed.asked, self.witnessed.agreed
        return f"the same at {agreed} of {asked} other nodes" if asked else "no other node compared"


@dataclass(frozen=True, slots=True)
class NoProof:
    """Nothing was checked, and why."""

    why: str

    def fields(self) -> Value:
        """Return it for programs."""
        return {"proof": "none", "why": self.why}

    def line(self) -> str:
        """Return it for people."""
        return f"nothing, this is the node's word: {self.why}"


Checked = Proof | NoProof


def proof(chain: OpenChain, block: TrustedBlock, kind: str) -> Proof:
    """Return what a header of this chain's reader proves."""
    return Proof(kind, block, chain.entry.root.height, chain.reader.witnessed)


def tell(checked: Checked) -> None:
    """Say on stderr what was checked, so that stdout holds the answer alone."""
    typer.echo(f"checked: {printable(checked.line())}", err=True)
