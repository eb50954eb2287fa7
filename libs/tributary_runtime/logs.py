"""Logs: one JSON object per line on standard output, coloured text on a terminal.

The one rule: the event is a constant snake_case phrase in the past tense (`credit_revised`), all else are fields. Lines
of libraries come out the same way, as `library_logged`.
"""

import json
import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

import structlog

from tributary_runtime.clock import SystemClock
from tributary_runtime.redaction import redact
from tributary_runtime.settings import LogLevel
from tributary_runtime.traces import trace_ids

_LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}


def add_trace_ids(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Adds the ids of the trace and span being worked on; a structlog processor."""
    trace_id, span_id = trace_ids()
    if trace_id:
        fields.setdefault("trace_id", trace_id)
        fields.setdefault("span_id", span_id)
    return fields


def _timestamp(micros: int) -> str:
    """Writes a moment in ISO 8601.

    >>> _timestamp(1_700_000_000_000_005)
    '2023-11-14T22:13:20.000005Z'
    """
    return f"{_second(micros // 1_000_000)}.{micros % 1_000_000:06}Z"


@lru_cache(1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def configure_logs(service: str, level: LogLevel = LogLevel.INFO, output: TextIO | None = None) -> None:
    """Sets up logging for the process; called once, before anything logs.

    Args:
        service: On every line; `ingestion`, `dedup`, ...
        level: Less severe lines cost almost nothing.
        output: Standard output unless given.
    """
    clock = SystemClock()
    output = output or sys.stdout
    is_terminal = output.isatty()
    render: list[structlog.typing.Processor]
    if is_terminal:
        # Never with what local variables hold: match keys, tokens.
        render = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        render = [structlog.processors.format_exc_info, redact, structlog.processors.JSONRenderer(_to_json)]

    def complete(logger: Any, method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Adds what every line has; one step, for a line is written per call."""
        fields = structlog.contextvars.merge_contextvars(logger, method, fields)
        fields = structlog.processors.add_log_level(logger, method, fields)
        fields["timestamp"] = _timestamp(clock.unix_micros())
        fields["service"] = service
        return add_trace_ids(logger, method, fields)

    structlog.configure(
        processors=[
            complete,
            *([redact] if is_terminal else []),
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=output),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=max(_LEVELS[level], logging.WARNING), force=True)
    logging.captureWarnings(capture=True)


_encode = json.JSONEncoder(default=str, separators=(",", ":")).encode  # made once: `json.dumps` makes one per line


def _to_json(fields: Any, **_options: Any) -> str:
    return _encode(fields)


class _ToStructlog(logging.Handler):
    """Writes what libraries log through the same processors."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record."""
        try:
            message = record.getMessage()
        except Exception:
            message = str(record.msg)
        logger = structlog.get_logger("library").bind(logger=record.name, message=message)
        logger.log(max(record.levelno, logging.DEBUG), "library_logged", exc_info=record.exc_info or None)
