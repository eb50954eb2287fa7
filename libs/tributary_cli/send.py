"""`tributary send`: sends the events of a JSON Lines file, and says what became of each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from tributary_cli.console import messages, output, print_json
from tributary_cli.local import resolve_api_key, resolve_target
from tributary_cli.rpc import connection_options, credentials_of, explain

if TYPE_CHECKING:
    from tributary_cli.sending import Tally

_CALL_SECONDS = 30.0
_SHOWN_PROBLEMS = 20
_ORDER = ("accepted", "duplicate", "quarantined", "conflict", "rejected", "undecided", "valid")


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--batch", default=500, show_default=True, type=click.IntRange(1, 1000), help="Events per call.")
@click.option("--in-flight", default=4, show_default=True, type=click.IntRange(1, 64), help="Calls at a time.")
@click.option(
    "--patience", default=60.0, show_default=True, type=click.FloatRange(0.1), help="Seconds a batch is retried."
)
@click.option("--backfill", is_flag=True, help="History: lifts the accept window; needs a key with that scope.")
@click.option("--validate-only", is_flag=True, help="Say what would become of each event; store nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("ingestion")
@click.pass_context
def send(
    ctx: click.Context,
    file: BinaryIO,
    batch: int,
    in_flight: int,
    patience: float,
    backfill: bool,
    validate_only: bool,
    as_json: bool,
    target: str | None,
    api_key: str | None,
    tls: bool,
    data: Path,
) -> None:
    """Send the events of FILE (- is standard input).

    One event per line, in protobuf's JSON mapping of tributary.event.v1.Event. Sending a file again is safe, and so is
    stopping in the middle: what is known is DUPLICATE. An event without an id gets one that only its content decides.
    The exit status is 1 unless every event was taken (accepted, duplicate or quarantined).
    """
    from tributary.event.v1.event_pb2 import Event  # heavy: only who sends pays
    from tributary.event.v1.verdict_pb2 import EventVerdict
    from tributary_cli.event_lines import read_event_lines
    from tributary_cli.sending import Sender
    from tributary_client import CallError, RetryPolicy, Tributary

    address = resolve_target(target, "ingestion", data)
    key = resolve_api_key(api_key, data)
    retry = RetryPolicy(total_seconds=patience, attempt_seconds=_CALL_SECONDS)
    started = time.monotonic()
    with (
        Tributary(address, api_key=key, tls=credentials_of(tls=tls), retry=retry) as tributary,
        _progress(file, hide=as_json) as progressed,
    ):

        def ingest(events: Sequence[Event]) -> list[EventVerdict]:
            return tributary.ingest(events, validate_only=validate_only, backfill=backfill)

        try:
            tally = Sender(ingest, batch, in_flight).send(read_event_lines(file), progressed)
        except CallError as error:
            raise explain(error.code, str(error), address) from error
    _present(tally, time.monotonic() - started, as_json)
    if not tally.is_all_taken:
        ctx.exit(1)


@contextmanager
def _progress(file: BinaryIO, *, hide: bool) -> Iterator[Callable[[int], None]]:
    """Shows a bar of how far the file is read, on standard error; yields what is to be told the lines answered."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = messages()
    bar = Progress(
        TextColumn("Sending"),
        BarColumn(),
        TextColumn("{task.fields[lines]:,} lines"),
        TimeElapsedColumn(),
        console=console,
        disable=hide or not console.is_terminal,
    )
    with bar:
        task = bar.add_task("send", total=_size_of(file), lines=0)

        def progressed(line: int) -> None:
            bar.update(task, completed=file.tell() if file.seekable() else None, lines=line)

        yield progressed


def _size_of(file: BinaryIO) -> int | None:
    return os.fstat(file.fileno()).st_size if file.seekable() else None


def _present(tally: Tally, seconds: float, as_json: bool) -> None:
    verdicts = {name: tally.verdicts[name] for name in _ORDER}
    sent = sum(verdicts.values())
    if as_json:
        print_json(
            {
                "sent": sent,
                "unreadable": tally.unreadable,
                "verdicts": verdicts,
                "problems": [asdict(problem) for problem in tally.problems],
                "seconds": round(seconds, 3),
            }
        )
        return
    from rich.table import Table

    say = messages()
    for problem in tally.problems[:_SHOWN_PROBLEMS]:
        place = f"{problem.field}: " if problem.field else ""
        say.print(f"line {problem.line}: {problem.verdict}: {place}{problem.message}", markup=False, style="yellow")
    unshown = tally.unreadable + sum(verdicts[name] for name in ("conflict", "rejected", "undecided")) - _SHOWN_PROBLEMS
    if unshown > 0:
        say.print(f"... and {unshown} more; --json lists them.")
    table = Table(box=None, pad_edge=False)
    table.add_column("verdict", style="bold")
    table.add_column("events", justify="right")
    for name, count in verdicts.items():
        if count:
            table.add_row(name, f"{count:,}")
    if tally.unreadable:
        table.add_row("unreadable", f"{tally.unreadable:,}")
    console = output()
    console.print(table)
    console.print(f"{sent:,} events in {seconds:.1f} s")
