"""`dchat query entries` and `dchat query roots`: what a chain holds, and where two nodes differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from shlex import quote
from typing import Annotated

import typer

from dchat.cli.asking import Asked, Fields, NotThere, Source, asking, named, read, show_answer
from dchat.cli.chains import Chain, ChainName, entry_of, with_chain
from dchat.cli.checked import Checked
from dchat.cli.compare import (
    Difference,
    Standing,
    Told,
    ask_roots,
    differences,
    module_rows,
    open_nodes,
    stand,
)
from dchat.cli.records import DEFAULT_LISTED, After, Limit, collect
from dchat.cli.show import Value, plain
from dchat.kernel import codec
from dchat.kernel.errors import OperatorError
from dchat.kernel.queries import Entry, Listing
from dchat.kernel.roots import prefixes
from dchat.node.chain import Asking, OpenChain

Module = Annotated[
    str, typer.Argument(metavar="MODULE", help="First word of the keys, as `query roots` has it.")
]
Compare = Annotated[
    str | None,
    typer.Option(help="Another node, http://…: show what differs there; exit status 1 if it does."),
]


class StatesDiffer(OperatorError):
    """Two states that should be one are not; the hint is the next command to run."""


class BadListing(OperatorError):
    """The text is no module's name, or no key."""

    exit_code = 2
    hint = "`dchat query roots` names the modules; a key is the `next_after` of a page before"


@asking
def roots(asked: Asked, *, chain: Chain = "currency", compare: Compare = None) -> None:
    """Show each module's fingerprint: which part of the state two nodes disagree about."""
    entry = entry_of(asked.network, chain)
    urls = [*(named(asked.node) or entry.rpc[:1]), *named(compare)]

    async def ask(opened: OpenChain) -> tuple[Standing, list[Told], Checked]:
        async with open_nodes(opened, urls) as nodes:
            standing = await stand(opened, asked, nodes)
            told = [await ask_roots(node, standing.height) for node in nodes]
        return standing, told, standing.checked(opened)

    standing, told, proof = with_chain(entry, ask, Asking((), asked.max_age_s))
    header = standing.header
    fields: Fields = {
        "chain_id": entry.chain_id,
        "height": standing.height,
        "signed_app_hash": header.app_hash if header else None,
        "nodes": [
            {
                "node": each.node,
                "app_hash": each.roots.app_hash,
                "as_signed": each.roots.app_hash == header.app_hash if header else None,
            }
            for each in told
        ],
        "modules": list(module_rows(told)),
    }
    show_answer(fields, proof, as_json=asked.as_json)
    _judge(standing, told, f"--network {quote(asked.network)} --chain {chain}")


@asking
def entries(  # noqa: PLR0913 -- Typer: one parameter per option
    asked: Asked,
    module: Module,
    *,
    chain: Chain = "currency",
    after: After = "",
    limit: Limit = DEFAULT_LISTED,
    compare: Compare = None,
) -> None:
    """Show a module's entries in order of key: each is proved, that none is left out cannot be."""
    listings = _listings(module, after)
    if compare is None:
        _show_entries(asked, chain, listings, limit)
    else:
        _show_differences(asked, chain, listings, limit, compare)


def _show_entries(asked: Asked, chain: ChainName, listings: Sequence[Listing], limit: int) -> None:
    async def ask(source: Source) -> list[Entry]:
        found = await collect(source, listings, limit + 1)
        if not found:
            raise NotThere("the node lists no such entries")
        return found

    found, proof = read(asked, chain, ask)
    shown = found[:limit]
    end: Fields = {"next_after": shown[-1].key if len(found) > limit else None}
    rows = [_packed("key", entry.key) | _packed("value", entry.value) for entry in shown]
    text = [{"key": _text(entry.key), "value": _text(entry.value)} for entry in shown]
    show_answer(
        {"entries": rows, **end}, proof, as_json=asked.as_json, text={"entries": text, **end}
    )


def _show_differences(
    asked: Asked, chain: ChainName, listings: Sequence[Listing], limit: int, other: str
) -> None:
    entry = entry_of(asked.network, chain)
    urls = [*(named(asked.node) or entry.rpc[:1]), other]

    async def ask(opened: OpenChain) -> tuple[Standing, list[Difference], Checked]:
        async with open_nodes(opened, urls) as nodes:
            standing = await stand(opened, asked, nodes)
            found = await differences(nodes, standing.height, listings, limit)
        return standing, found, standing.checked(opened)

    standing, found, proof = with_chain(entry, ask, Asking((), asked.max_age_s))
    head: Fields = {
        "chain_id": entry.chain_id,
        "height": standing.height,
        "here": urls[0],
        "there": urls[1],
    }
    rows = [
        _packed("key", each.key) | _packed("here", each.here) | _packed("there", each.there)
        for each in found
    ]
    text = [
        {"key": _text(each.key), "here": _text(each.here), "there": _text(each.there)}
        for each in found
    ]
    show_answer(
        {**head, "differences": rows},
        proof,
        as_json=asked.as_json,
        text={**head, "differences": text},
    )
    if found:
        raise StatesDiffer(
            f"{len(found)} entries differ after block {standing.height}",
            "see docs/TROUBLESHOOTING.md, app hash: which node is wrong, and how to mend it",
        )


def _judge(standing: Standing, told: Sequence[Told], again: str) -> None:
    """Return if all is one state, and the one that was signed. Raises: StatesDiffer."""
    here, *others = told
    header, height = standing.header, standing.height
    for there in others:
        judge_pair(here, there, height, again)
    if header and here.roots.app_hash != header.app_hash:
        raise StatesDiffer(
            f"{here.node} has another state after block {height} than was signed: app hash"
            f" {here.roots.app_hash.hex()}, header {header.height} says {header.app_hash.hex()}",
            f"compare it with a node that is right: dchat query roots {again} --height {height}"
            f" --rpc {quote(here.node)} --compare URL",
        )


def judge_pair(here: Told, there: Told, height: int, again: str) -> None:
    """Return if two nodes have one state. Raises: StatesDiffer.

    Its hint is for a shell, so what a node chose is quoted there, a module's name above all.
    """
    differ = [str(row["module"]) for row in module_rows((here, there)) if not row["same"]]
    if differ:
        raise StatesDiffer(
            f"the nodes differ after block {height} in {', '.join(differ)}",
            f"find the entries: dchat query entries {quote(differ[0])} {again} --height {height}"
            f" --rpc {quote(here.node)} --compare {quote(there.node)}",
        )
    if here.roots.app_hash != there.roots.app_hash:
        raise StatesDiffer(
            f"the nodes hold the same entries after block {height} under different app hashes",
            "the tree of one of them is damaged: let that node sync again from an empty directory",
        )


def _listings(module: str, after: str) -> list[Listing]:
    """Return what to list of a module behind a key. Raises: BadListing."""
    try:
        behind = bytes.fromhex(after)
        heads = prefixes(module)
    except (ValueError, codec.CodecError) as fault:
        raise BadListing(f"module {module!r}, after {after!r}: {fault}") from None
    if behind and not behind.startswith(heads):
        raise BadListing(f"{after} is no key of module {module!r}")
    return [Listing(head, behind) for head in heads if head >= behind[: len(head)]]


def _packed(name: str, packed: bytes | None) -> dict[str, Value]:
    """Return packed bytes for a program: as they are, and what they mean."""
    return {name: packed, f"{name}_means": _meaning(packed)}


def _text(packed: bytes | None) -> str | None:
    """Return what packed bytes mean in one line, byte strings in hex."""
    return None if packed is None else json.dumps(plain(_meaning(packed)))


def _meaning(packed: bytes | None) -> Value:
    """Return the value that was packed, None for bytes that are none."""
    try:
        return None if packed is None else codec.unpack(packed)
    except codec.CodecError:
        return None
