from __future__ import annotations

import dchat
from dchat.node import metrics


def test_every_process_reports_version_memory_and_uptime() -> None:
    text = metrics.render(metrics.new_registry("relay")).decode()

    assert f'dchat_build_info{{process="relay",version="{dchat.__version__}"}} 1.0' in text
    assert "\ndchat_uptime_seconds 0." in text
    memory = next(line for line in text.splitlines() if line.startswith("dchat_memory_usage_bytes"))
    assert float(memory.split()[1]) > 1_000_000


def test_two_registries_share_nothing() -> None:
    assert metrics.new_registry("a") is not metrics.new_registry("a")
