"""Identity files: one seed per file, readable by its owner only, never overwritten.

File: strict JSON, at most 4096 bytes, mode 0600:
    {"version": 1, "kind": "node"|"user"|"burner", "public_key": HEX32, "seed": HEX32}
A sealed file has, in place of `seed`:
    "sealed": {"kdf": "argon2id13", "ops": INT, "mem": BYTES, "salt": HEX16, "box": HEX72}
where box = nonce 24 | tag 16 | ciphertext 32 of libsodium's secretbox over the seed, under the
Argon2id key of the passphrase. `public_key` is the Ed25519 key of child `account`, so that a
damaged seed shows. Child = HKDF-SHA256(seed, no salt, info "dchat/child/v1/" | label), 32 bytes.

Once the account's key was rotated, version 2 has three fields more:
    "account": HEX32, "key_version": INT, "account_key": HEX32
`account` is the id that child `account` opened, `account_key` the seed of the key that signs for it
now: fresh, so that nobody finds it who has an older file. `public_key` is that key's. A sealed file
has `account_key` behind the seed in its box, which is 32 bytes longer.

What guardians give an account to has a seed of its own, so version 3 has one field more:
    "seed_account": HEX32
the id that child `account` of this seed would open; `account` is whose the identity is.
Source: RFC 5869 (HKDF), RFC 9106 (Argon2).
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, cast, get_args

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl import pwhash
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from dchat.kernel import accounts, signing
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import AccountId

Kind = Literal["node", "user", "burner"]

VERSION: Final = 1
ROTATED: Final = 2
"""The version of a file whose account has another key than its first."""
RECOVERED: Final = 3
"""The version of a file whose account was another seed's at first."""
SEED_BYTES: Final = 32
MAX_FILE_BYTES: Final = 4096
MAX_PASSPHRASE_BYTES: Final = 1024
MAX_KEY_VERSION: Final = 2**32
KDF: Final = "argon2id13"
# What a file may ask of the machine that opens it: files come from backups and other people.
MAX_OPS: Final = 16
MAX_MEM_BYTES: Final = 1 << 30
SEAL_COST: Final = (pwhash.argon2id.OPSLIMIT_MODERATE, pwhash.argon2id.MEMLIMIT_MODERATE)
"""Passes and bytes that a new seal costs, to make and to guess at: half a second, 256 MiB."""
BOX_BYTES: Final = SecretBox.NONCE_SIZE + SecretBox.MACBYTES + SEED_BYTES
ROTATED_BOX_BYTES: Final = BOX_BYTES + SEED_BYTES
CHILD_TAG: Final = b"dchat/child/v1/"

PLAIN_FIELDS: Final = frozenset({"version", "kind", "public_key", "seed"})
SEALED_FIELDS: Final = frozenset({"version", "kind", "public_key", "sealed"})
ROTATED_FIELDS: Final = frozenset({"account", "key_version"})
RECOVERED_FIELDS: Final = ROTATED_FIELDS | {"seed_account"}
BOX_FIELDS: Final = frozenset({"kdf", "ops", "mem", "salt", "box"})


class IdentityExists(OperatorError):
    """The file is there already; a key is never overwritten."""

    exit_code = 3
    hint = "choose another --output, or move the old file away yourself"


class IdentityUnsafe(OperatorError):
    """Someone besides the owner can read or replace the file."""

    exit_code = 4
    hint = "make it yours alone: chmod 600 FILE, chown it to the user that runs dchat"


class IdentityMalformed(OperatorError):
    """The file is not an identity that this release can read."""

    exit_code = 5
    hint = "restore it from your backup, or make a new one with `dchat keygen --output FILE`"


class PassphraseNeeded(OperatorError):
    """The seed is sealed and no passphrase was given."""

    exit_code = 6
    hint = "give --passphrase-file FILE, or run it in a terminal to be asked"


class WrongPassphrase(OperatorError):
    """The passphrase does not open the seal."""

    exit_code = 7
    hint = "try again; there is no way to recover a lost passphrase"


@dataclass(frozen=True, slots=True)
class Identity:
    """An opened identity. `public_key` is the Ed25519 key that signs for its account."""

    kind: Kind
    public_key: bytes
    seed: bytes = field(repr=False)
    key_version: int = 0
    """How often the account's key was rotated."""
    account_key: bytes = field(default=b"", repr=False)
    """Seed of the key that signs since it was rotated."""
    taken_over: AccountId | None = None
    """The account, where guardians gave it to this seed."""

    @property
    def account_id(self) -> AccountId:
        """The account on both chains, named after its first key."""
        if self.taken_over is not None:
            return self.taken_over
        if not self.key_version:
            return accounts.account_id(self.public_key)
        return _first_account(self.seed)

    @property
    def account_seed(self) -> bytes:
        """The 32-byte seed of the key that signs for the account."""
        return self.account_key or self.child("account")

    def child(self, label: str) -> bytes:
        """A 32-byte seed of its own for `label`; no child reveals the parent or another child."""
        return _child(self.seed, label)


@dataclass(frozen=True, slots=True)
class Seal:
    """What Argon2id and secretbox need to give the seed back, but for the passphrase."""

    ops: int
    mem: int
    salt: bytes
    box: bytes


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file's contents, checked for form; exactly one of `secret` and `seal` is there."""

    kind: Kind
    public_key: bytes
    secret: bytes | None = field(repr=False)
    """The seed, and the seed of the account's key behind it where that was rotated."""
    seal: Seal | None
    account: AccountId
    key_version: int = 0
    seed_account: AccountId | None = None
    """What child `account` would open, where that is not the account."""


def create(path: Path, kind: Kind, passphrase: bytes | None = None) -> Identity:
    """Write a fresh identity to `path`, whole or not at all, and return it.

    Missing parent folders are made for the owner only.
    Raises: IdentityExists, IdentityUnsafe, PassphraseNeeded (a user file is always sealed).
    """
    if kind == "user" and not passphrase:
        raise PassphraseNeeded("a user identity is sealed with a passphrase")
    if kind == "node" and passphrase:
        raise PassphraseNeeded("a node identity is opened unattended and takes no passphrase")
    seed = secrets.token_bytes(SEED_BYTES)
    made = Identity(kind, signing.public_key(_child(seed, "account")), seed)
    write_new(path, _encode(_sheet(made, passphrase)))
    return made


def renew(old: Identity, path: Path, passphrase: bytes | None = None) -> Identity:
    """Write to `path` the same identity with a fresh key for its account, and return it.

    The old file stays as it is. A chain knows nothing of the new key yet. Raises: as `create`.
    """
    if old.kind == "user" and not passphrase:
        raise PassphraseNeeded("a user identity is sealed with a passphrase")
    fresh = secrets.token_bytes(SEED_BYTES)
    new = replace(
        old,
        public_key=signing.public_key(fresh),
        key_version=old.key_version + 1,
        account_key=fresh,
    )
    write_new(path, _encode(_sheet(new, passphrase)))
    return new


def take_over(
    account: AccountId, key_version: int, path: Path, passphrase: bytes | None = None
) -> Identity:
    """Write to `path` a fresh identity for an account whose keys are lost, and return it.

    It is good for nothing before guardians gave the account its key. A user identity where there is
    a passphrase, else a node's. Raises: as `create`.
    """
    seed, fresh = secrets.token_bytes(SEED_BYTES), secrets.token_bytes(SEED_BYTES)
    kind: Kind = "user" if passphrase else "node"
    made = Identity(kind, signing.public_key(fresh), seed, key_version, fresh, account)
    write_new(path, _encode(_sheet(made, passphrase)))
    return made


def load(path: Path, passphrase: bytes | None = None) -> Identity:
    """Open the identity at `path`.

    Raises: IdentityUnsafe, IdentityMalformed, PassphraseNeeded, WrongPassphrase.
    """
    return open_sheet(path, read(path), passphrase)


def read(path: Path) -> Sheet:
    """The file's checked contents, sealed or not. Raises: IdentityUnsafe, IdentityMalformed."""
    try:
        return _decode(read_private(path, MAX_FILE_BYTES))
    except (ValueError, RecursionError) as fault:
        raise IdentityMalformed(f"{path}: {fault}") from fault


def open_sheet(path: Path, sheet: Sheet, passphrase: bytes | None = None) -> Identity:
    """The identity of a sheet read from `path`. Raises: as `load`."""
    secret = sheet.secret or b""
    if sheet.seal is not None:
        if passphrase is None:
            raise PassphraseNeeded(f"{path} is sealed with a passphrase")
        secret = _unseal(path, sheet.seal, passphrase)
    seed, account_key = secret[:SEED_BYTES], secret[SEED_BYTES:]
    named = None if sheet.seed_account is None else sheet.account
    opened = Identity(sheet.kind, sheet.public_key, seed, sheet.key_version, account_key, named)
    if signing.public_key(opened.account_seed) != sheet.public_key:
        raise IdentityMalformed(f"{path}: the seed and the public key do not belong together")
    if _first_account(seed) != (sheet.seed_account or sheet.account):
        raise IdentityMalformed(f"{path}: the seed and the account do not belong together")
    return opened


def read_passphrase(path: Path) -> bytes:
    """The passphrase in an owner-only file, without its last line end.

    Raises: IdentityUnsafe, IdentityMalformed (empty, or over 1024 bytes).
    """
    try:
        passphrase = read_private(path, MAX_PASSPHRASE_BYTES).removesuffix(b"\n")
    except ValueError as fault:
        raise IdentityMalformed(f"{path}: {fault}") from fault
    if not passphrase:
        raise IdentityMalformed(f"{path}: the passphrase is empty")
    return passphrase


def _sheet(identity: Identity, passphrase: bytes | None) -> Sheet:
    secret = identity.seed + identity.account_key
    seal = _seal(secret, passphrase) if passphrase else None
    return Sheet(
        identity.kind,
        identity.public_key,
        None if seal else secret,
        seal,
        identity.account_id,
        identity.key_version,
        None if identity.taken_over is None else _first_account(identity.seed),
    )


def _first_account(seed: bytes) -> AccountId:
    """The account that child `account` opened, whoever signs for it by now."""
    return accounts.account_id(signing.public_key(_child(seed, "account")))


def _child(seed: bytes, label: str) -> bytes:
    info = CHILD_TAG + label.encode()
    return HKDF(algorithm=hashes.SHA256(), length=SEED_BYTES, salt=None, info=info).derive(seed)


def _seal(secret: bytes, passphrase: bytes) -> Seal:
    ops, mem = SEAL_COST
    salt = secrets.token_bytes(pwhash.argon2id.SALTBYTES)
    box = SecretBox(_stretch(passphrase, ops, mem, salt)).encrypt(secret)
    return Seal(ops, mem, salt, bytes(box))


def _unseal(path: Path, seal: Seal, passphrase: bytes) -> bytes:
    try:
        return SecretBox(_stretch(passphrase, seal.ops, seal.mem, seal.salt)).decrypt(seal.box)
    except CryptoError as fault:
        raise WrongPassphrase(f"the passphrase does not open {path}") from fault


def _stretch(passphrase: bytes, ops: int, mem: int, salt: bytes) -> bytes:
    return pwhash.argon2id.kdf(SecretBox.KEY_SIZE, passphrase, salt, opslimit=ops, memlimit=mem)


def _encode(sheet: Sheet) -> bytes:
    fields: dict[str, object] = {
        "version": _version(sheet),
        "kind": sheet.kind,
        "public_key": sheet.public_key.hex(),
    }
    if sheet.key_version:
        fields |= {"account": sheet.account.hex(), "key_version": sheet.key_version}
    if sheet.seed_account is not None:
        fields["seed_account"] = sheet.seed_account.hex()
    if sheet.seal is not None:
        seal = sheet.seal
        shown = {"salt": seal.salt.hex(), "box": seal.box.hex()}
        fields["sealed"] = {"kdf": KDF, "ops": seal.ops, "mem": seal.mem, **shown}
    elif sheet.secret is not None:
        fields["seed"] = sheet.secret[:SEED_BYTES].hex()
        if sheet.key_version:
            fields["account_key"] = sheet.secret[SEED_BYTES:].hex()
    return json.dumps(fields, indent=2).encode() + b"\n"


def _version(sheet: Sheet) -> int:
    if sheet.seed_account is not None:
        return RECOVERED
    return ROTATED if sheet.key_version else VERSION


def _decode(text: bytes) -> Sheet:
    fields = _object(json.loads(text.decode(), object_pairs_hook=_unique), "the file")
    version = _integer(fields, "version", VERSION, RECOVERED)
    rotated = version != VERSION
    _same_names(fields, _names(version, "sealed" in fields), "the file")
    kind = fields["kind"]
    if kind not in get_args(Kind):
        raise ValueError(f"kind is none of {', '.join(get_args(Kind))}")
    public_key = _hex(fields, "public_key", SEED_BYTES)
    account, key_version = accounts.account_id(public_key), 0
    if rotated:
        account = AccountId(_hex(fields, "account", accounts.ACCOUNT_ID_BYTES))
        key_version = _integer(fields, "key_version", 1, MAX_KEY_VERSION)
    first = None
    if version == RECOVERED:
        first = AccountId(_hex(fields, "seed_account", accounts.ACCOUNT_ID_BYTES))
    secret, seal = _decode_secret(fields, rotated)
    return Sheet(cast("Kind", kind), public_key, secret, seal, account, key_version, first)


def _names(version: int, sealed: bool) -> frozenset[str]:  # noqa: FBT001 -- what a file says
    names = SEALED_FIELDS if sealed else PLAIN_FIELDS
    if version == VERSION:
        return names
    more = ROTATED_FIELDS if version == ROTATED else RECOVERED_FIELDS
    return names | more | frozenset(() if sealed else ("account_key",))


def _decode_secret(
    fields: Mapping[str, object],
    rotated: bool,  # noqa: FBT001 -- what a file says
) -> tuple[bytes | None, Seal | None]:
    """The secret or its seal, whichever is there."""
    if "sealed" in fields:
        sealed = _object(fields["sealed"], "sealed")
        return None, _decode_seal(sealed, ROTATED_BOX_BYTES if rotated else BOX_BYTES)
    secret = _hex(fields, "seed", SEED_BYTES)
    return secret + (_hex(fields, "account_key", SEED_BYTES) if rotated else b""), None


def _decode_seal(fields: Mapping[str, object], box_bytes: int) -> Seal:
    _same_names(fields, BOX_FIELDS, "sealed")
    if fields["kdf"] != KDF:
        raise ValueError(f"sealed.kdf is not {KDF}")
    ops = _integer(fields, "ops", pwhash.argon2id.OPSLIMIT_MIN, MAX_OPS)
    mem = _integer(fields, "mem", pwhash.argon2id.MEMLIMIT_MIN, MAX_MEM_BYTES)
    salt = _hex(fields, "salt", pwhash.argon2id.SALTBYTES)
    return Seal(ops, mem, salt, _hex(fields, "box", box_bytes))


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field stands there twice")
    return fields


def _object(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not a JSON object")  # noqa: TRY004 -- one class for bad files
    return cast("dict[str, object]", value)


def _same_names(fields: Mapping[str, object], names: frozenset[str], where: str) -> None:
    odd = sorted(names.symmetric_difference(fields))
    if odd:
        raise ValueError(f"{where} lacks or should not have: {', '.join(odd)}")


def _hex(fields: Mapping[str, object], name: str, size: int) -> bytes:
    text = fields[name]
    # fromhex alone would also take blanks and capitals: two spellings of one key
    if isinstance(text, str) and len(text) == 2 * size and set(text) <= set("0123456789abcdef"):
        return bytes.fromhex(text)
    raise ValueError(f"{name} is not {size} bytes in lower-case hex")


def _integer(fields: Mapping[str, object], name: str, low: int, high: int) -> int:
    value = fields.get(name)
    # True and 1.0 also equal 1: two more spellings
    if type(value) is int and low <= value <= high:
        return value
    raise ValueError(f"{name} is not an integer from {low} to {high}")


def read_private(path: Path, limit: int) -> bytes:
    """The bytes of a regular file that only its owner can read. Raises: ValueError if longer."""
    # O_NONBLOCK: a pipe in the file's place must not hang the node
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _check_private(path, os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise ValueError(f"it is longer than {limit} bytes")
    return content


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise IdentityMalformed(f"{path} is not a regular file")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise IdentityUnsafe(f"others can read or write {path} (mode {mode:04o})")
    if status.st_uid not in (0, os.geteuid()):
        raise IdentityUnsafe(f"{path} belongs to another user (uid {status.st_uid})")


def write_new(path: Path, content: bytes) -> None:
    """`path` holds `content`, on disk, for its owner only; an older file there is left alone.

    Raises: IdentityExists, IdentityUnsafe, OSError.
    """
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_folder(folder)
    draft = folder / f".{path.name}.{secrets.token_hex(8)}"
    try:
        _write_synced(draft, content)
        os.link(draft, path)  # unlike rename, refuses to replace a file, or a link to nowhere
    except FileExistsError as fault:
        raise IdentityExists(f"{path} exists already and is left as it is") from fault
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(folder)


def _check_folder(folder: Path) -> None:
    status = folder.stat()
    shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if shared and not status.st_mode & stat.S_ISVTX:
        raise IdentityUnsafe(f"others can replace files in {folder}")


def _write_synced(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
