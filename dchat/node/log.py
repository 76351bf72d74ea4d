"""One structured log stream per process; set up once, read nowhere else.

Levels are those of the operators' guide: error, warn, info, debug, trace. Filters raise or lower
the level of single parts: `DCHAT_LOG=dchat_network=trace,dchat_relay=debug`; a bare level in that
list sets the level of everything else. `RUST_LOG` is read as an alias.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TextIO, cast

import structlog

from dchat.kernel.errors import OperatorError

TRACE: Final = 5
LEVELS: Final[Mapping[str, int]] = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": TRACE,
    "off": logging.CRITICAL + 10,
}
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "dchat_network": ("relay.net", "libp2p"),
    "dchat_relay": ("relay",),
    "dchat_chain": ("abci_chat", "abci_currency", "dchat.node"),
    "dchat_validator": ("dchat.operator",),
    "dchat_client": ("dchat.client",),
}
"""The guide's part names and the loggers behind each; any logger name works as well."""
CHATTY: Final[Mapping[str, int]] = {
    # Its warnings and errors carry peer ids and can be set off by any peer, as often as it likes.
    "libp2p": logging.CRITICAL,
    **dict.fromkeys(("httpx", "httpcore", "multiaddr", "asyncio"), logging.WARNING),
}
"""The least level that libraries log at unless a filter names them."""
MAX_FILTERS: Final = 64


class Logger(structlog.stdlib.BoundLogger):
    """structlog's logger with one level more, below debug."""

    def trace(self, event: str, **values: object) -> None:
        """Log what is of use only to who follows single frames."""
        if self.isEnabledFor(TRACE):
            args, keywords = self._process_event("trace", event, values)
            self._logger.log(TRACE, *args, **keywords)

    def at(self, level: str, event: str, **values: object) -> None:
        """Log at the level of this name, one of `LEVELS`; `off` is not logged."""
        if level == "trace":
            self.trace(event, **values)
        elif level != "off":
            self.log(LEVELS[level], event, **values)


class BadLogFilter(OperatorError):
    """A log level or filter that cannot be read."""

    exit_code = 2
    hint = "write part=level,… with levels error, warn, info, debug or trace"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Level by name, format, and per-logger levels as numbers of the logging module."""

    level: str = "info"
    json_logs: bool = False
    filters: Mapping[str, int] = field(default_factory=dict[str, int])


def settings(level: str, env: Mapping[str, str], *, json_logs: bool) -> LogSettings:
    """Combine a chosen level with the filters of `DCHAT_LOG` (else `RUST_LOG`).

    Raises: BadLogFilter.
    """
    text = env.get("DCHAT_LOG") or env.get("RUST_LOG") or ""
    default, filters = parse_filters(text)
    parse_level(level)
    return LogSettings(default or level, json_logs, filters)


def parse_level(name: str) -> int:
    """Return the logging number of a level name. Raises: BadLogFilter."""
    number = LEVELS.get(name.strip().lower())
    if number is None:
        raise BadLogFilter(f"unknown log level {name[:40]!r}")
    return number


def parse_filters(text: str) -> tuple[str | None, dict[str, int]]:
    """Read `part=level,…` into (level for the rest or None, level by logger name).

    Raises: BadLogFilter.
    """
    default: str | None = None
    filters: dict[str, int] = {}
    words = [word.strip() for word in text.split(",") if word.strip()]
    if len(words) > MAX_FILTERS:
        raise BadLogFilter(f"{len(words)} log filters; at most {MAX_FILTERS}")
    for word in words:
        part, equals, level = word.partition("=")
        if equals:
            number = parse_level(level)
            filters |= dict.fromkeys(PARTS.get(part, (part.replace("::", "."),)), number)
        else:
            parse_level(word)
            default = word.lower()
    return default, filters


def configure(chosen: LogSettings, stream: TextIO | None = None) -> None:
    """Send every log record of this process, ours and libraries', to one stream (stderr)."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(shared, colors=_is_terminal(stream), chosen=chosen))
    _apply_levels(chosen)
    logging.getLogger().handlers[:] = [handler]


def get(name: str) -> Logger:
    """Return the logger of a module; pass `__name__`."""
    return cast("Logger", structlog.wrap_logger(logging.getLogger(name), wrapper_class=Logger))


def _formatter(
    shared: list[structlog.typing.Processor], *, colors: bool, chosen: LogSettings
) -> logging.Formatter:
    renderers: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta
    ]
    if chosen.json_logs:
        # Without locals: they hold keys and plaintext.
        frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        renderers += [
            structlog.processors.ExceptionRenderer(frames),
            structlog.processors.JSONRenderer(),
        ]
    else:
        plain = structlog.dev.plain_traceback
        renderers.append(structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain))
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=renderers)


def _is_terminal(stream: TextIO | None) -> bool:
    return (stream or sys.stderr).isatty()


def _apply_levels(chosen: LogSettings) -> None:
    logging.addLevelName(TRACE, "TRACE")
    logging.getLogger().setLevel(parse_level(chosen.level))
    wanted = parse_level(chosen.level)
    quiet = {name: max(level, wanted) for name, level in CHATTY.items()}
    for name, level in {**quiet, **chosen.filters}.items():
        logging.getLogger(name).setLevel(level)
