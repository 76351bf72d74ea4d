from __future__ import annotations

import io
import json
import logging
from collections.abc import Generator, Mapping

import pytest
import structlog

from dchat.node import log
from dchat.node.log import BadLogFilter, LogSettings


@pytest.fixture(autouse=True)
def _untouched() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in (*log.CHATTY, "relay", "relay.net"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def written(settings: LogSettings) -> io.StringIO:
    stream = io.StringIO()
    log.configure(settings, stream)
    return stream


def test_a_json_line_has_event_level_time_and_fields() -> None:
    stream = written(LogSettings(json_logs=True))

    log.get("relay.net").info("peer_met", height=3)

    record = json.loads(stream.getvalue())
    assert (record["event"], record["level"], record["height"]) == ("peer_met", "info", 3)
    assert record["logger"] == "relay.net"
    assert record["timestamp"].endswith("Z")


def test_libraries_write_to_the_same_stream() -> None:
    stream = written(LogSettings(json_logs=True))

    logging.getLogger("multiaddr.codecs").warning("odd %s", "peer")

    assert json.loads(stream.getvalue())["event"] == "odd peer"


def test_chatty_libraries_are_held_at_warnings() -> None:
    stream = written(LogSettings(level="debug"))

    logging.getLogger("httpx").info("GET")

    assert stream.getvalue() == ""


def test_text_without_a_terminal_has_no_colours() -> None:
    stream = written(LogSettings())

    log.get("x").warning("peer_lost", peer="a")

    assert "\x1b" not in stream.getvalue()
    assert "peer_lost" in stream.getvalue()


def test_a_fault_is_one_json_line() -> None:
    stream = written(LogSettings(json_logs=True))

    log.get("x").error("failed", exc_info=ValueError("why"))

    assert json.loads(stream.getvalue())["exception"][0]["exc_value"] == "why"


@pytest.mark.parametrize("json_logs", [True, False])
def test_a_fault_does_not_show_the_values_it_met(json_logs: bool) -> None:
    stream = written(LogSettings(json_logs=json_logs))

    def fail(passphrase: str) -> None:
        raise ValueError(f"{len(passphrase)} characters")

    try:
        fail("hunter2" * 2)
    except ValueError:
        log.get("relay.net").exception("peer_task_failed")

    assert "14 characters" in stream.getvalue()
    assert "hunter2hunter2" not in stream.getvalue()


def test_what_peers_can_set_off_in_libp2p_is_not_logged() -> None:
    stream = written(LogSettings())

    logging.getLogger("libp2p.host").error("bad peer 12D3KooW")

    assert stream.getvalue() == ""


def test_a_filter_lowers_the_level_of_its_part_only() -> None:
    stream = written(log.settings("warn", {"DCHAT_LOG": "dchat_relay=debug"}, json_logs=True))

    log.get("relay.node").debug("heard")
    log.get("dchat.operator").info("not_heard")

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["heard"]


def test_trace_is_below_debug() -> None:
    stream = written(log.settings("info", {"DCHAT_LOG": "dchat_network=trace"}, json_logs=True))

    log.get("relay.net.host").trace("frame_read", size=3)
    log.get("relay.node").trace("not_heard")

    record = json.loads(stream.getvalue())
    assert (record["event"], record["level"], record["size"]) == ("frame_read", "trace", 3)


@pytest.mark.parametrize("level", ["error", "warn", "info", "debug", "trace"])
def test_a_level_can_be_given_by_name(level: str) -> None:
    stream = written(LogSettings(level="trace", json_logs=True))

    log.get("x").at(level, "happened")

    assert json.loads(stream.getvalue())["event"] == "happened"


def test_off_is_not_logged() -> None:
    stream = written(LogSettings(level="trace"))

    log.get("x").at("off", "happened")

    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("env", "level", "filters"),
    [
        ({}, "info", {}),
        ({"DCHAT_LOG": "debug"}, "debug", {}),
        ({"DCHAT_LOG": "relay.net=error"}, "info", {"relay.net": logging.ERROR}),
        ({"RUST_LOG": "dchat_client=off"}, "info", {"dchat.client": 60}),
        ({"DCHAT_LOG": "warn", "RUST_LOG": "trace"}, "warn", {}),
        ({"DCHAT_LOG": "my::part=warn"}, "info", {"my.part": logging.WARNING}),
    ],
)
def test_the_environment_sets_filters(
    env: Mapping[str, str], level: str, filters: Mapping[str, int]
) -> None:
    settings = log.settings("info", env, json_logs=False)

    assert (settings.level, settings.filters) == (level, filters)


@pytest.mark.parametrize(
    "text", ["loud", "a=loud", "a=", "=", "a=debug=x", ",".join(["a=warn"] * 65)]
)
def test_a_bad_filter_is_refused(text: str) -> None:
    with pytest.raises(BadLogFilter):
        log.parse_filters(text)


def test_a_bad_level_is_refused() -> None:
    with pytest.raises(BadLogFilter, match="unknown log level 'loud'"):
        log.settings("loud", {}, json_logs=False)
