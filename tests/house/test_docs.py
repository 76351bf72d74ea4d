"""Docs begin with something to type, links lead somewhere, and nothing names one machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from dchat.node.config import RelayConfig, Settings, ValidatorConfig, load
from tests.house.rooms import HOUSE, offenders, shown

READERS = (
    "README.md",
    "docs/users.md",
    "docs/relays.md",
    "docs/validators.md",
    "docs/economy.md",
    "docs/cli.md",
)
# Hosts that a file of ours may name: this machine, names for examples, our own, a placeholder ...
HERE = r"localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\]|[^a-zA-Z0-9].*|HOST.*"
OURS = r"([a-z0-9-]+\.)*(example\.(com|org|net)|dchat\.org)"
# ... and where a standard or a paper that we follow is read. Never where packages come from.
CITED = (
    r"docs\.cometbft\.com|docs\.pytest\.org|github\.com|hdevalence\.ca"
    r"|www\.rfc-editor\.org|www\.w3\.org|zips\.z\.cash"
)
HOSTS = re.compile(rf"^({HERE}|{OURS}|{CITED})(:\S*)?$")
MACHINE = re.compile(r"(?<![\w.])/(?:root|work|opt/wheels)/|(?<![\w.])/home/\w|(?<![\w.])/tmp/w/")
BESIDE = re.compile(r"\.\./shared\b|(?<![\w-])shared/(?:vectors|notes|proto)")
DEV_LOCK = "requirements-dev.lock"
SELF = ("tests/house/test_docs.py",)
# Texts of others that must stay word for word.
FOREIGN = ("LICENSE.cometbft", "NOTICE.cometbft")


def tracked() -> list[Path]:
    """Every text file of the tree that git holds, or would if it were added."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=HOUSE,
        check=True,
        capture_output=True,
        text=True,
    )
    return [HOUSE / name for name in listed.stdout.splitlines() if (HOUSE / name).is_file()]


FILES = [file for file in tracked() if shown(file) not in SELF and file.name not in FOREIGN]
PAGES = [file for file in FILES if file.suffix == ".md"]
SHIPPED = [file for file in FILES if file.relative_to(HOUSE).parts[0] != "tests"]
LOCKS = [file for file in FILES if file.suffix == ".lock"]


def read(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "replace")


def foreign_hosts(text: str) -> list[str]:
    found = re.findall(r"\b(?:https?|git\+\w+)://([^/\s\"'`)>,]+)", text)
    return [host for host in found if not HOSTS.match(host)]


@pytest.mark.parametrize("name", READERS)
def test_a_page_begins_with_something_to_type(name: str) -> None:
    lines = (HOUSE / name).read_text().splitlines()
    fences = [number for number, line in enumerate(lines) if line.startswith("```")]

    assert fences
    assert fences[0] <= 12
    assert re.match(r"(\$ )?(dchat|\./scripts/)", lines[fences[0] + 1])


@pytest.mark.parametrize(
    ("page", "model"),
    [("docs/relays.md", RelayConfig), ("docs/validators.md", ValidatorConfig)],
)
def test_a_settings_file_of_the_docs_is_accepted(
    tmp_path: Path, page: str, model: type[Settings]
) -> None:
    blocks = re.findall(
        r"^```toml\n(.*?)^```", (HOUSE / page).read_text(), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "config.toml").write_text(next(b for b in blocks if "--config" in b))

    assert load(model, tmp_path / "config.toml", {}, {})


def broken_links(page: Path) -> list[str]:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    inner = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    return [link for link in inner if not (page.parent / link).exists()]


def test_a_link_within_the_tree_leads_somewhere() -> None:
    assert offenders(PAGES, broken_links) == {}


def test_no_file_names_a_machine_of_ours() -> None:
    assert offenders(FILES, lambda file: MACHINE.findall(read(file))) == {}


def test_nothing_shipped_leans_on_what_lies_beside_the_tree() -> None:
    assert offenders(SHIPPED, lambda file: BESIDE.findall(read(file))) == {}


def test_no_file_names_a_download_host() -> None:
    assert offenders(FILES, lambda file: foreign_hosts(read(file))) == {}


@pytest.mark.parametrize("lock", LOCKS, ids=shown)
def test_a_lock_pins_by_hash_and_names_no_source(lock: Path) -> None:
    text = lock.read_text()
    pins = re.findall(r"^[a-z0-9][^\s]*==\S+.*?(?=^[a-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)

    assert pins
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []
    assert "://" not in text
    assert not re.search(r"^--?(index|extra-index|find-links|i|f)\b", text, re.MULTILINE)


def test_the_development_lock_holds_all_of_the_other_one() -> None:
    """So that `scripts/devnet` finds nothing to do after `scripts/test`."""
    run, dev = ((HOUSE / name).read_text() for name in ("requirements.lock", DEV_LOCK))
    pins = re.compile(r"^[a-z0-9][^ ]*==\S+", re.MULTILINE)

    assert set(pins.findall(run)) <= set(pins.findall(dev))


def test_the_host_rule_bites() -> None:
    text = "see https://files.example.net/x, http://localhost:80/ and https://registry.invalid/x"

    assert foreign_hosts(text) == ["registry.invalid"]
