"""Files, amounts and addresses that are not what they should be: a status, a reason, a hint.

tests/e2e/test_doors*.py have the doors of running processes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.kernel import accounts
from dchat.node import identity, network
from tests.conftest import Ran
from tests.dchat.node.test_network import network as network_of
from tests.fakes.memory import BOB

Dchat = Callable[..., Ran]
Put = Callable[[Path], object]
TO = accounts.show_account(BOB.id)
MIB = 1 << 20


def put_pipe(path: Path) -> None:
    os.mkfifo(path)


def put_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def put_folder(path: Path) -> None:
    path.mkdir()


def put_loop(path: Path) -> None:
    path.symlink_to(path.name)


def put_dangling(path: Path) -> None:
    path.symlink_to("absent")


def holding(content: bytes) -> Put:
    return lambda path: path.write_bytes(content)


NO_FILES: dict[str, tuple[Put, str]] = {
    "pipe": (put_pipe, "not a regular file"),
    "device": (put_device, "not a regular file"),
    "folder": (put_folder, "not a regular file"),
}
LINKS: dict[str, tuple[Put, str]] = {
    "to itself": (put_loop, "Too many levels of symbolic links"),
    "to nowhere": (put_dangling, "No such file"),
}
READERS: dict[str, tuple[tuple[str, ...], int]] = {
    "settings": (("relay", "--validate", "--config"), 2),
    "network": (("query", "balance", TO, "--network"), 2),
    "genesis": (("genesis", "check", "--file"), 1),
    "genesis settings": (("genesis", "build", "--output", "out", "--settings"), 2),
    "identity": (("identity", "verify", "--file"), 5),
}
CONTENTS: dict[str, tuple[str, bytes, str]] = {
    "huge settings": ("settings", b"#" * (MIB + 1), f"larger than {MIB} bytes"),
    "settings in UTF-16": ("settings", "[node]".encode("utf-16"), "not UTF-8"),
    "settings with zeros": ("settings", b"[node]\x00", "settings"),
    "settings that nest deep": ("settings", b"a = " + b"[" * 50_000, "recursion"),
    "settings with a key twice": ("settings", b"[node]\ndata_dir='a'\ndata_dir='b'\n", "overwrite"),
    "settings of no tables": ("settings", b"node = 1\n", "unknown key node"),
    "huge network": ("network", b"#" * (MIB + 1), f"larger than {MIB} bytes"),
    "network of bytes": ("network", b"\xff\xfe", "can't decode"),
    "network that nests deep": ("network", b"a = " + b"[" * 50_000, "recursion"),
    "network of a relay's settings": ("network", b"[node]\n", "node is no known key"),
    "genesis that nests deep": ("genesis", b"[" * 100_000, "recursion"),
    "genesis of bytes": ("genesis", b"\xff", "not a usable genesis file"),
    "genesis with a number of 5,000 digits": ("genesis", b"9" * 5_000, "4300 digits"),
    "genesis without anything": ("genesis", b"{}", "is missing"),
    "genesis settings of bytes": ("genesis settings", b"\xff", "can't decode"),
    "huge identity": ("identity", b" " * 4_097, "longer than 4096 bytes"),
    "identity that nests deep": ("identity", b"[" * 4_000, "recursion"),
    "identity twice": ("identity", b'{"version": 1, "version": 1}', "stands there twice"),
    "identity of a later version": ("identity", b'{"version": 4}', "not an integer from 1 to 3"),
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory is empty."""
    monkeypatch.chdir(tmp_path)


def refuses(ran: Ran, status: int, reason: str) -> None:
    assert (ran.code, ran.out) == (status, "")
    assert ran.err.startswith("dchat: error: ")
    assert reason.lower() in ran.err.lower()
    assert "dchat: hint: " in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("odd", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_is_refused_and_not_waited_for(
    dchat: Dchat, reader: tuple[tuple[str, ...], int], odd: tuple[Put, str]
) -> None:
    (words, status), (put, reason) = reader, odd
    put(Path("odd"))

    refuses(dchat(*words, "odd"), status, reason)


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
@pytest.mark.parametrize(
    ("reader", "status"),
    [("settings", 2), ("genesis", 1), ("genesis settings", 2), ("identity", 1)],
)
def test_a_link_that_leads_to_no_file_is_refused(
    dchat: Dchat, link: tuple[Put, str], reader: str, status: int
) -> None:
    (put, reason), (words, _) = link, READERS[reader]
    put(Path("odd"))

    refuses(dchat(*words, "odd"), status, reason)


@pytest.mark.parametrize("put", [put_loop, put_dangling])
def test_a_link_that_leads_nowhere_names_no_network(dchat: Dchat, put: Put) -> None:
    put(Path("odd"))

    refuses(dchat("query", "balance", TO, "--network", "odd"), 2, "is no network file")


@pytest.mark.parametrize(("reader", "content", "reason"), CONTENTS.values(), ids=CONTENTS)
def test_a_file_of_other_content_is_refused(
    dchat: Dchat, reader: str, content: bytes, reason: str
) -> None:
    Path("odd").write_bytes(content)
    Path("odd").chmod(0o600)
    words, status = READERS[reader]

    refuses(dchat(*words, "odd"), status, reason)


SEALS = {
    "all the memory": {"mem": 1 << 60},
    "no memory": {"mem": 1},
    "a million passes": {"ops": 1_000_000},
    "another function": {"kdf": "none"},
    "a short box": {"box": "00"},
    "capitals": {"salt": "AA" * 16},
    "one number more": {"extra": 1},
}


@pytest.mark.parametrize("change", SEALS.values(), ids=SEALS)
def test_a_seal_cannot_ask_for_more_than_its_bounds(
    dchat: Dchat, change: dict[str, object]
) -> None:
    path = Path("user.json")
    identity.create(path, "user", b"passphrase")
    written = json.loads(path.read_bytes())
    written["sealed"].update(change)
    path.write_text(json.dumps(written))

    refuses(dchat("identity", "verify", "--file", path), 5, "sealed" if "kdf" in change else "")


def test_a_link_to_a_key_that_others_can_read_is_refused(dchat: Dchat) -> None:
    identity.create(Path("id.json"), "node")
    Path("id.json").chmod(0o640)
    Path("link.json").symlink_to("id.json")

    refuses(dchat("identity", "verify", "--file", "link.json"), 4, "others can read")


@pytest.mark.parametrize(
    "amount",
    [
        *(
            "",
            " ",
            "-1",
            "-0",
            "+5",
            "5 ",
            "1e6",
            "1E6",
            "0x10",
            "1_000",
            "1,5",
            "1.",
            ".5",
            "1.2.3",
        ),
        *("NaN", "inf", "\u0661", "\uff15", "5\u00a0", "5\n", "0.0000001", "18446744073709.551616"),
        *("18446744073709551616udchat", "9" * 100, "-1udchat", "1.5udchat", "5dchat", "5 DCHAT"),
    ],
)
def test_an_amount_is_not_guessed_at(dchat: Dchat, amount: str) -> None:
    said = dchat(*paying(), f"--amount={amount}")

    refuses(said, 1, "is more than there can be" if "18446744" in amount else "is not an amount")


@pytest.mark.parametrize(
    "account",
    [
        *("", "dchat1", TO[:-1], TO + "q", TO[:-1] + "!", TO.replace("dchat", "cosmos"), TO[6:]),
        *(
            TO[:20].upper() + TO[20:],
            TO[:-2] + TO[-1] + TO[-2],
            " " + TO,
            TO + "\n",
            "0x" + "00" * 32,
        ),
        *("dchat1" + "q" * 200, "d\u0441hat1" + TO[6:]),
    ],
)
def test_an_account_is_not_guessed_at(dchat: Dchat, account: str) -> None:
    refuses(dchat(*paying(to=account), "--amount", "5"), 1, "is not an account id")


def paying(to: str = TO) -> tuple[str, ...]:
    """The words of a payment, all well but for the amount that is missing."""
    identity.create(Path("id.json"), "node")
    network.save(Path("net.toml"), network_of(Path.cwd()))
    return ("tx", "send", "--identity", "id.json", "--network", "net.toml", f"--to={to}")


LISTENERS = {
    "no port": ("x", "has no port"),
    "too high": ("127.0.0.1:65536", "port"),
    "negative": ("127.0.0.1:-1", "port"),
    "other digits": ("127.0.0.1:\u0668\u0660", "port"),
    "five parts": ("1.2.3.4.5:80", "not an IPv4 address"),
    "no brackets": ("::1:80", "brackets"),
    "a path": ("../x:80", "neither an IPv4 address nor a host name"),
    "a long name": ("a" * 300 + ":80", "neither an IPv4 address nor a host name"),
    "octal": ("0177.0.0.1:80", "not an IPv4 address"),
}


@pytest.mark.parametrize(("address", "reason"), LISTENERS.values(), ids=LISTENERS)
def test_an_address_is_not_guessed_at(dchat: Dchat, address: str, reason: str) -> None:
    said = dchat("relay", "--identity", "id.json", "--data-dir", "d", f"--listen={address}")

    refuses(said, 2, reason)
    assert not Path("d").exists()


LIMITS = {
    "no peers": ("network", "max_peers", "0"),
    "peers without end": ("network", "max_peers", "99999999999999999999"),
    "a truth value": ("network", "max_peers", "true"),
    "a fraction": ("network", "max_peers", "1.5"),
    "infinity": ("network", "max_peers", "inf"),
    "a negative time": ("storage", "max_message_age", "-60"),
    "an endless time": ("storage", "max_message_age", '"999999999999999999w"'),
    "a time in words": ("storage", "max_message_age", '"a week"'),
    "a path of a zero byte": ("node", "data_dir", '"a\\u0000b"'),
    "an empty path": ("node", "data_dir", '""'),
    "nobody's home": ("node", "data_dir", '"~nobody-there/x"'),
    "a level of no name": ("node", "log_level", '"loud"'),
    "a list": ("node", "identity_file", "[]"),
}


@pytest.mark.parametrize(("table", "key", "value"), LIMITS.values(), ids=LIMITS)
def test_a_setting_is_not_guessed_at(dchat: Dchat, table: str, key: str, value: str) -> None:
    tables = {"node": {"identity_file": "'id.json'", "data_dir": "'d'"}, table: {}}
    tables[table] |= {"identity_file": "'id.json'", "data_dir": "'d'"} if table == "node" else {}
    tables[table][key] = value
    text = [
        f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in held.items())
        for name, held in tables.items()
    ]
    Path("relay.toml").write_text("".join(text))

    refuses(dchat("relay", "--validate", "--config", "relay.toml"), 2, f"{table}.{key}: ")
