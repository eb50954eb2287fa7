"""Where commands write: results to standard output, everything said on the way to standard error.

So `tributary report --json | jq` works while progress stays visible.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def output() -> Console:
    """Returns the console for results; as wide as it must be when it is no terminal."""
    from tributary_cli.harmless_console import HarmlessConsole  # heavy: `--help` does without

    console = HarmlessConsole(file=sys.stdout, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 200
    return console


def messages() -> Console:
    """Returns the console for what is said on the way."""
    from tributary_cli.harmless_console import HarmlessConsole

    return HarmlessConsole(file=sys.stderr, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Writes one JSON document to standard output; what JSON does not know (a date, a path) as text.

    JSON is UTF-8, whatever the terminal's encoding is.
    """
    sys.stdout.flush()
    sys.stdout.buffer.write(json.dumps(value, indent=2, ensure_ascii=False, default=str).encode() + b"\n")
    sys.stdout.buffer.flush()


@contextmanager
def logs_on_stderr() -> Iterator[None]:
    """Sends the log lines of libraries to standard error, from warnings on: standard output is for results."""
    import logging

    import structlog

    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
