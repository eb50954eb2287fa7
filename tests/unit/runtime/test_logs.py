"""One JSON object per line, whoever logs."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tributary_runtime.logs import configure_logs
from tributary_runtime.settings import LogLevel
from tributary_runtime.traces import linked_span

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    before = logging.root.handlers[:], logging.root.level
    output = io.StringIO()
    configure_logs("dedup", LogLevel.INFO, output)
    yield output
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.root.handlers[:], logging.root.level = before


def lines(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_line_is_an_object_with_its_fields(output: io.StringIO) -> None:
    structlog.get_logger().info("credit_revised", revision=3)
    (line,) = lines(output)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "credit_revised", "level": "info", "service": "dedup", "revision": 3}


def test_a_line_carries_the_trace_it_belongs_to(output: io.StringIO) -> None:
    with linked_span("record batch", [TRACEPARENT]):
        structlog.get_logger().info("batch_handled")
    (line,) = lines(output)
    assert (line["trace_id"], line["span_id"]) == (TRACEPARENT[3:35], TRACEPARENT[36:52])


def test_less_severe_lines_are_not_written(output: io.StringIO) -> None:
    structlog.get_logger().debug("looked_closely")
    assert lines(output) == []


def test_an_exception_is_told_without_what_must_not_be_told(output: io.StringIO) -> None:
    try:
        raise ValueError("no account for ann@example.com")
    except ValueError:
        structlog.get_logger().exception("call_failed")
    (line,) = lines(output)
    assert "ValueError: no account for [email]" in line["exception"]


def test_what_a_library_logs_comes_out_the_same_way(output: io.StringIO) -> None:
    logging.getLogger("some.library").warning("cannot reach %s", "redis://:hunter2@host")
    (line,) = lines(output)
    assert (line["event"], line["logger"], line["level"]) == ("library_logged", "some.library", "warning")
    assert line["message"] == "cannot reach redis://[masked]@host"


def test_a_librarys_broken_message_is_still_told(output: io.StringIO) -> None:
    ours = next(handler for handler in logging.root.handlers if type(handler).__module__ == configure_logs.__module__)
    ours.handle(logging.makeLogRecord({"msg": "%s and %s", "args": ("one",), "levelno": logging.WARNING}))
    assert lines(output)[0]["message"] == "%s and %s"


def test_a_warning_is_a_line(output: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "DeprecationWarning" in lines(output)[0]["message"]


def test_a_chatty_library_is_not_heard(output: io.StringIO) -> None:
    logging.getLogger("some.library").info("connecting")
    assert lines(output) == []
