from __future__ import annotations

import sys
from pathlib import Path

import pytest

from relay.__main__ import main


def run(monkeypatch: pytest.MonkeyPatch, file: Path) -> int:
    monkeypatch.setattr(sys, "argv", ["relay", "--config", str(file)])
    return main()


def test_a_setting_nobody_knows_is_told_in_a_line_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("[relay]\nmax_queue_sise = 1\n")

    code = run(monkeypatch, file)

    lines = capsys.readouterr().err.splitlines()
    assert (code, [line.split(":")[1] for line in lines]) == (2, [" error", " hint"])
    assert "max_queue_size" in lines[0]


def test_an_identity_that_is_not_there_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(f'[node]\nidentity_file = "{tmp_path}/no.json"\ndata_dir = "{tmp_path}"\n')

    code = run(monkeypatch, file)

    assert code == 1
    assert "no.json" in capsys.readouterr().err
