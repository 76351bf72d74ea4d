from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran

Dchat = Callable[..., Ran]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "relay.toml"
    path.write_text('[node]\nidentity_file = "id"\ndata_dir = "d"\n[network]\nmax_peers = 7\n')
    return path


def test_every_setting_is_shown_with_its_source(
    file: Path, dchat: Dchat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCHAT_LOG_LEVEL", "debug")

    rows = json.loads(dchat("config", "show", "relay", "--config", file, "--json").out)

    assert rows["network.max_peers"] == {"value": "7", "source": str(file)}
    assert rows["node.log_level"] == {"value": "debug", "source": "DCHAT_LOG_LEVEL"}
    assert rows["relay.max_queue_size"] == {"value": "10000", "source": "default"}


def test_people_get_a_line_per_setting(file: Path, dchat: Dchat) -> None:
    ran = dchat("config", "show", "relay", "--config", file)

    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert ran.code == 0
    assert "storage.max_message_age: 604800 (default)" in lines
    assert "network.public_address: - (default)" in lines


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("relay",), "node.identity_file is not set"),
        (("validator",), "validator.chain_id is not set"),
        (("user",), "invalid value for 'process'"),
        ((), "missing argument"),
    ],
)
def test_settings_that_do_not_load_are_not_shown(
    dchat: Dchat, words: tuple[str, ...], error: str
) -> None:
    ran = dchat("config", "show", *words)

    assert (ran.code, ran.out) == (2, "")
    assert error in ran.err.lower()
