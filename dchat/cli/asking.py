"""What every query of state has in common: its options, the way to a value, how it is shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Final, TypeVar

import typer

from dchat.cli import checked
from dchat.cli.chains import ChainName, Network, entry_of, with_chain
from dchat.cli.checked import Checked, NoProof
from dchat.cli.options import with_options
from dchat.cli.show import Json, Value, show
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import Height
from dchat.kernel.light import TrustedBlock
from dchat.kernel.queries import Listing, Page
from dchat.node.chain import MAX_AGE_S, Asking, OpenChain
from dchat.node.rpc import LATEST

T = TypeVar("T")
Fields = Mapping[str, Value]

FIRST: Final = 1
AtHeight = Annotated[
    int | None,
    typer.Option(
        "--height", min=FIRST, help="State after this block; the newest provable when absent."
    ),
]
Trusting = Annotated[
    bool, typer.Option("--trust", help="Believe the node: no header, no proof, not checked.")
]
Node = Annotated[
    str | None,
    typer.Option("--rpc", help="Ask this node, http://…, in place of the network file's."),
]
MaxAge = Annotated[
    int,
    typer.Option("--max-age", min=0, help="Seconds the newest header may be old; 0 for any age."),
]


class NotThere(OperatorError):
    """The chain holds nothing under that name."""

    exit_code = 11
    hint = "check the spelling; what was just sent is there one block later"


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that every query of state takes."""

    network: str
    node: str | None
    height: Height
    """0 for the newest."""
    trust: bool
    as_json: bool
    max_age_s: int

    @property
    def asking(self) -> Asking:
        """Whom to ask, and how old their newest header may be."""
        return Asking(named(self.node), self.max_age_s)


def named(node: str | None) -> tuple[str, ...]:
    """Return the node that an option names; an empty name is one, too, and nobody answers there."""
    return () if node is None else (node,)


def _asked(  # noqa: PLR0913 -- Typer: one parameter per option
    *,
    network: Network,
    rpc: Node = None,
    height: AtHeight = None,
    trust: Trusting = False,
    max_age: MaxAge = MAX_AGE_S,
    as_json: Json = False,
) -> Asked:
    return Asked(network, rpc, Height(height or LATEST), trust, as_json, max_age)


asking = with_options(_asked)
"""Puts the options of every query behind a command's own."""


@dataclass(slots=True)
class Source:
    """One chain's state at one height: by proof under one header, or on a node's word."""

    chain: OpenChain
    block: TrustedBlock | None
    height: Height = LATEST
    """Where there is no header; what is read after the first answer is of its height."""
    found: bool = False
    """A value that was asked for is proved present."""
    missed: bool = False
    """A value that was asked for is proved absent."""
    listed: int | None = None
    """Entries that were listed, None where it was no listing."""
    is_whole: bool = False
    """What was listed adds up to a total that is proved."""
    known: dict[bytes, bytes | None] = field(default_factory=dict[bytes, bytes | None])
    """What the chain's rules have read so far, see foresee.py."""

    @property
    def at(self) -> Height:
        """The block whose state this is; 0 where a node has not said it yet."""
        return Height(self.block.height - 1) if self.block else self.height

    async def value(self, key: bytes) -> bytes | None:
        """Return the value at key, None where there is none. Raises: as ChainReader.read()."""
        if self.block is None:
            said = await self.chain.ask("/store", key, self.height)
            self.height, found = said.height, said.value or None
        else:
            found = (await self.chain.reader.read_at(self.block, key)).value
        self.missed, self.found = self.missed or found is None, self.found or found is not None
        return found

    async def page(self, listing: Listing) -> Page:
        """Return a page of entries. Raises: as ChainReader.list_at()."""
        if self.block is None:
            self.height = self.height or (await self.chain.ask("/roots", b"")).height
            found = await self.chain.page(listing, self.height)
        else:
            found = (await self.chain.reader.list_at(self.block, listing)).page
        self.listed = (self.listed or 0) + len(found.entries)
        return found

    @property
    def checked(self) -> Checked:
        """What stands behind the values read so far."""
        if self.block is None:
            return NoProof(checked.TRUSTED)
        if self.listed is None:
            kinds = {"presence": self.found or not self.missed, "absence": self.missed}
            kind = " and ".join(name for name, is_so in kinds.items() if is_so)
            return checked.proof(self.chain, self.block, kind)
        if not self.listed:
            return NoProof("that there are no entries cannot be proved")
        whole = "they add up to a total that is proved, so none was left out"
        note = f"; {whole if self.is_whole else 'that no entry was left out cannot be proved'}"
        return replace(checked.proof(self.chain, self.block, "presence"), note=note)


async def open_source(chain: OpenChain, asked: Asked) -> Source:
    """Return the state that was asked for. Raises: as ChainReader.state_at()."""
    if asked.trust:
        return Source(chain, None, asked.height)
    reader = chain.reader
    at = asked.height
    return Source(chain, await (reader.state_at(at) if at else reader.latest()))


def answer(asked: Asked, chain: ChainName, task: Callable[[Source], Awaitable[Fields]]) -> None:
    """Show what task reads of a chain, and what was checked. Raises: NotThere, as task."""
    found, proof = read(asked, chain, task)
    show_answer(found, proof, as_json=asked.as_json)


def read(
    asked: Asked, chain: ChainName, task: Callable[[Source], Awaitable[T]]
) -> tuple[T, Checked]:
    """Return what task reads of a chain, and what was checked.

    Where nothing is there, what was checked is told before that is raised. Raises: NotThere, as
    task.
    """

    async def ask(opened: OpenChain) -> tuple[T | NotThere, Checked]:
        source = await open_source(opened, asked)
        try:
            return await task(source), source.checked
        except NotThere as fault:
            return fault, source.checked

    found, proof = with_chain(entry_of(asked.network, chain), ask, asked.asking)
    if isinstance(found, NotThere):
        show_answer({"found": False}, proof, as_json=asked.as_json)
        raise found
    return found, proof


def show_answer(
    fields: Fields, proof: Checked, *, as_json: bool, text: Fields | None = None
) -> None:
    """Print an answer: one document, or text on stdout and what was checked on stderr.

    text: what people see where that is less than the fields.
    """
    if as_json:
        show({**fields, "checked": proof.fields()}, as_json=True)
        return
    if fields != {"found": False}:
        show(fields if text is None else text)
    checked.tell(proof)
