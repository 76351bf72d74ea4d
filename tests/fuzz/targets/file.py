"""Files that others wrote: networks, settings, identities, genesis, what users keep."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from dchat.kernel import accounts, signing
from dchat.kernel.errors import OperatorError
from dchat.node import config, identity, network
from dchat.node.config import RelayConfig, ValidatorConfig
from genesis import build, check, entry, settings
from tests.fakes.memory import ALICE
from tests.fuzz import kept
from tests.fuzz.mutate import change_bytes, change_json, change_text
from tests.fuzz.target import Target, named
from tests.genesis.test_entry import ENTRY
from tests.house.rooms import HOUSE

FOLDER: Final = Path(tempfile.mkdtemp(prefix="dchat-fuzz-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
PLACE: Final = FOLDER / "file"
SEED: Final = b"\x07" * 32


KEYS: Final = tuple(signing.public_key(bytes([n]) * 32).hex() for n in (1, 2))
GENESIS: Final = f"""chain_id = "devnet"
genesis_time = "2026-11-23T05:00:00Z"
max_block_size = "1MiB"
evidence_max_age = "2d"
[staking]
min_validator_stake = 10
unbonding_time = "14d"
[[vesting]]
account = "{accounts.show_account(ALICE.id)}"
amount = 5
kind = "cliff"
cliff = "2027-11-23T05:00:00Z"
[[validators]]
moniker = "v"
account = "{accounts.show_account(ALICE.id)}"
stake = 10
commission = 0.05
chat_key = "{KEYS[0]}"
currency_key = "{KEYS[1]}"
[[accounts]]
account = "{accounts.show_account(ALICE.id)}"
balance = "1000"
credits = "5.5"
[currency]
rpc = ["http://127.0.0.1:26667", "https://node.example.org"]
[chat]
fee_per_1000_cost = 0
rpc = ["http://127.0.0.1:26657"]
seeds = ["{"a" * 40}@127.0.0.1:26656"]
[network]
name = "mainnet"
relays = ["/ip4/127.0.0.1/tcp/7070/p2p/x"]
trusting_period = "1d"
""".encode()


def block_of(page: str, first: str) -> bytes:
    """The settings file of the docs that begins with these words."""
    text = (HOUSE / "docs" / page).read_text()
    blocks = re.findall(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return next(found for found in blocks if found.startswith(first)).encode()


def _network(content: bytes) -> None:
    PLACE.write_bytes(content)
    read = network.load(PLACE)
    network.save(PLACE, read)
    assert network.load(PLACE) == read, "written as another network"


def _settings(model: type[config.M]) -> Callable[[bytes], None]:
    def load(content: bytes) -> None:
        PLACE.write_bytes(content)
        loaded = config.load(model, PLACE, {}, {})
        assert config.show(loaded)

    return load


def _genesis_settings(content: bytes) -> None:
    PLACE.write_bytes(content)
    settings.load(PLACE)


def _genesis(content: bytes) -> None:
    check.check(content)


def _entry(content: bytes) -> None:
    folder = FOLDER / "entries"
    folder.mkdir(exist_ok=True)
    (folder / "entry.json").write_bytes(content)
    entry.load_all(folder, "mynet-1")


def _identity(content: bytes) -> None:
    PLACE.write_bytes(content)
    PLACE.chmod(0o600)
    sheet = identity.read(PLACE)
    assert identity._decode(identity._encode(sheet)) == sheet, "written as another identity"


def _sheets() -> tuple[identity.Sheet, ...]:
    """Identities in the clear and sealed, with their first key and with a later one."""
    key, fresh = signing.public_key(identity._child(SEED, "account")), b"\x08" * 32
    account, later = accounts.account_id(key), signing.public_key(fresh)
    sealed, longer = (
        identity.Seal(1, 8192, b"s" * 16, b"b" * size)
        for size in (identity.BOX_BYTES, identity.ROTATED_BOX_BYTES)
    )
    return (
        identity.Sheet("node", key, SEED, None, account),
        identity.Sheet("user", key, None, sealed, account),
        identity.Sheet("node", later, SEED + fresh, None, account, 2),
        identity.Sheet("user", later, None, longer, account, 1),
    )


def _seed_files() -> tuple[tuple[Callable[[bytes], None], bytes], ...]:
    PLACE.write_bytes(GENESIS)
    read = settings.load(PLACE)
    build.write(read, FOLDER / "network")
    return (
        (_network, (FOLDER / "network" / "network.toml").read_bytes()),
        (_settings(RelayConfig), block_of("relays.md", "# relay-config")),
        (_settings(ValidatorConfig), block_of("validators.md", "# validator-config")),
        (_genesis_settings, GENESIS),
        (_genesis, (FOLDER / "network" / "genesis-chat.json").read_bytes()),
        (_genesis, (FOLDER / "network" / "genesis-currency.json").read_bytes()),
        (_entry, ENTRY),
        *((_identity, identity._encode(sheet)) for sheet in _sheets()),
        *kept.readers(PLACE),
    )


FILES: Final = _seed_files()
READERS: Final = tuple(read for read, _ in FILES)


def judge(data: bytes) -> str:
    """The first byte chooses the kind of file; it is read, or refused with a hint."""
    read = READERS[int.from_bytes(data[:1], "big") % len(READERS)]
    try:
        read(data[1:])
    except OperatorError as fault:
        return _checked(fault)
    return f"read: {read.__qualname__}"


def _checked(fault: OperatorError) -> str:
    assert fault.hint
    assert "Traceback" not in str(fault)
    return named(OperatorError(str(fault).replace(str(PLACE), "FILE")))


def _change_inside(rng: Random, data: bytes) -> bytes:
    """A word, a number or a line of the text exchanged; JSON by its values."""
    body = data[1:]
    if body.lstrip().startswith(b"{"):
        return data[:1] + change_json(rng, body)
    lines = body.splitlines(keepends=True) or [b""]
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            lines[at] = b""
        case 1:
            lines[at] = lines[other]
        case _:
            name, equals, value = lines[at].partition(b"=")
            changed = change_text(rng, value.rstrip(b"\n"))
            lines[at] = (
                name + equals + (rng.choice(TOML) if rng.randrange(3) == 0 else changed) + b"\n"
            )
    return data[:1] + b"".join(lines)


TOML: Final = (
    *(b'""', b"-1", b"1e6", b"true", b"[]", b"{}", b"inf", b"nan", b"0x10", b'"\\u0661"'),
    *(b"9" * 5000, b"[" * 2000, b"18446744073709551616", b"1979-05-27", b'"~nobody/x"'),
)


TARGET: Final = Target(
    "file",
    "a file that others wrote, or users keep, is read, or refused with an error and a hint",
    judge,
    tuple(bytes([n]) + content for n, (_, content) in enumerate(FILES)),
    (_change_inside, _change_inside, change_bytes),
    max_bytes=16_384,
)
