from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.node import identity
from tests.conftest import Ran

Dchat = Callable[..., Ran]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A relay's TOML file on free ports in this test's directory, with its identity."""
    identity.create(tmp_path / "id.json", "node")
    file = tmp_path / "relay.toml"
    file.write_text(
        f'[node]\nidentity_file = "{tmp_path}/id.json"\ndata_dir = "{tmp_path}/data"\n'
        '[network]\nlisten_address = "127.0.0.1:0"\n'
        "[observability]\nhealth_port = 0\nmetrics_port = 0\n"
    )
    return file


def test_validate_checks_the_settings_and_opens_nothing(
    dchat: Dchat, settings: Path, tmp_path: Path
) -> None:
    ran = dchat("relay", "--config", settings, "--validate")

    assert ran == Ran(0, "the settings are valid\n", "")
    assert not (tmp_path / "data").exists()


def test_dry_run_opens_everything_and_exits(dchat: Dchat, settings: Path, tmp_path: Path) -> None:
    ran = dchat("relay", "--config", settings, "--dry-run")

    assert (ran.code, ran.out) == (0, "everything opened; the relay would run\n")
    assert (tmp_path / "data" / "relay.db").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--listen", "127.0.0.1:99999"), "listen"),
        (("--listen", "nowhere"), "listen"),
        (("--bootstrap", "/ip4/127.0.0.1/tcp/7070"), "no peer id"),
        (("--bootstrap", "seed1.dchat.org"), "bootstrap"),
        (("--public-address", "127.0.0.1"), "public_address"),
        (("--health-port", "70000"), "health_port"),
        (("--log-level", "loud"), "log_level"),
    ],
)
def test_a_bad_flag_is_refused_by_name_with_a_hint(
    dchat: Dchat, settings: Path, flags: tuple[str, str], said: str
) -> None:
    ran = dchat("relay", "--config", settings, *flags, "--validate")

    assert ran.code != 0
    assert ran.out == ""
    assert ran.err.startswith("dchat: error: ")
    assert "dchat: hint: " in ran.err
    assert said in ran.err


def test_a_flag_wins_over_the_file(dchat: Dchat, settings: Path, tmp_path: Path) -> None:
    ran = dchat("relay", "--config", settings, "--data-dir", tmp_path / "other", "--dry-run")

    assert ran.code == 0
    assert (tmp_path / "other" / "relay.db").exists()
    assert not (tmp_path / "data").exists()


def test_without_an_identity_it_says_how_to_give_one(dchat: Dchat, tmp_path: Path) -> None:
    ran = dchat("relay", "--data-dir", tmp_path, "--validate")

    assert ran.code == 2
    assert "--identity" in ran.err


def test_a_sealed_identity_is_not_for_relays(dchat: Dchat, settings: Path, tmp_path: Path) -> None:
    (tmp_path / "id.json").unlink()
    identity.create(tmp_path / "id.json", "user", b"passphrase")

    ran = dchat("relay", "--config", settings, "--dry-run")

    assert (ran.code, ran.out) == (6, "")
    assert "sealed" in ran.err
