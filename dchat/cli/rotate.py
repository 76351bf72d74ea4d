"""`dchat identity rotate-key`: another key for an account, in a new file, on both chains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

import typer

from abci_chat.txs import rotate_key as chat
from abci_currency.txs import rotate_key as currency
from dchat.cli.chains import ChainName, Network, entry_of, with_chain
from dchat.cli.show import Json, Value, show
from dchat.cli.unlock import PassphraseFile, unlock_and_keep
from dchat.client.rotation import Rotated, rotate
from dchat.kernel import accounts
from dchat.kernel.errors import OperatorError, ProtocolError
from dchat.kernel.family import Family
from dchat.kernel.rotation import RotateKey
from dchat.node import identity
from dchat.node.identity import Identity
from dchat.node.network import ChainEntry

FAMILIES: Final[Mapping[ChainName, Family[RotateKey]]] = MappingProxyType(
    {"currency": currency.FAMILY, "chat": chat.FAMILY}
)
"""The money first."""


class RotationUnfinished(OperatorError):
    """The account has its new key on one chain at most."""

    exit_code = 14
    hint = "run the same command again; until then each chain takes the key that it has"


class NotItsSuccessor(OperatorError):
    """The new file is there already and does not follow on the old one."""

    exit_code = 3
    hint = "choose another --output, or the file that the last try wrote"


def rotate_key(
    *,
    identity_file: Annotated[
        Path, typer.Option("--identity", help="Identity file that signs for the account now.")
    ],
    output: Annotated[
        Path, typer.Option(help="New identity file; one that an earlier try wrote is gone on with.")
    ],
    network: Network,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Give the account a fresh key on both chains; the old one then signs for nothing.

    The new file is on disk before anything is sent. The old one is left as it is.
    """
    entries: dict[ChainName, ChainEntry] = {name: entry_of(network, name) for name in FAMILIES}
    old, passphrase = unlock_and_keep(identity_file, passphrase_file)
    new = _successor(old, output, passphrase)
    rows = [_on_chain(name, entry, old, new) for name, entry in entries.items()]
    report: dict[str, Value] = {
        "account": accounts.show_account(new.account_id),
        "file": str(output),
        "public_key": new.public_key,
        "chains": rows,
    }
    show(report, as_json=as_json)
    left = [row["chain"] for row in rows if not row["done"]]
    if left:
        raise RotationUnfinished(f"the new key is not in force on: {', '.join(map(str, left))}")


def _successor(old: Identity, path: Path, passphrase: bytes | None) -> Identity:
    """Return the new identity, written unless it is there. Raises: NotItsSuccessor."""
    if not path.exists():
        return identity.renew(old, path, passphrase)
    new = identity.load(path, passphrase)
    if (new.seed, new.key_version) != (old.seed, old.key_version + 1):
        raise NotItsSuccessor(f"{path} is there and is not the next key of this identity")
    return new


def _on_chain(name: ChainName, entry: ChainEntry, old: Identity, new: Identity) -> dict[str, Value]:
    """Return what came of it on one chain; a fault there does not keep the other from it."""
    try:
        done: Rotated = with_chain(entry, lambda chain: rotate(chain, FAMILIES[name], old, new))
    except (OperatorError, ProtocolError) as fault:
        return {"chain": name, "done": False, "key_version": None, "how": str(fault)}
    how = "was done before" if done.height is None else f"in block {done.height}"
    return {"chain": name, "done": True, "key_version": done.key_version, "how": how}
