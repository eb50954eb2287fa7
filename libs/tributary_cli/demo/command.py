"""`tributary demo`: starts everything in a temporary directory, sends traffic with known truth, compares, cleans up."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tributary_cli.console import messages, output
from tributary_cli.errors import CommandError
from tributary_cli.signals import unless_nohup

if TYPE_CHECKING:
    from tributary_cli.demo.fakes.webhook import FakeWebhook
    from tributary_cli.demo.traffic import Tally


@click.command()
@click.option("--events", type=click.IntRange(min=1), default=20_000, show_default=True, help="How many to send.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same world.")
@click.option("--rate", type=click.FloatRange(min=1), default=500, show_default=True, help="Events per second.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Also write the result here; - is standard output, without the tables.",
)
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep data and logs in this directory.")
def demo(events: int, seed: int, rate: float, json_file: Path | None, keep: Path | None) -> None:
    """Show everything with realistic traffic and prove the numbers.

    Starts real Redis, real ClickHouse and all five services, sends journeys over eight channels with duplicates, bots,
    conflicts, late touchpoints and refunds, and compares every number with what the generator knows. Exit status 1 if
    one differs. A world of few events has not everything in it: what is missing is said.
    """
    if json_file is not None and str(json_file) != "-":
        _check_writable(json_file)
    from tributary_cli.demo.render import as_json, show_result
    from tributary_cli.demo.run import run_demo

    with _ended_as_by_ctrl_c(), tempfile.TemporaryDirectory(prefix="tributary-demo-") as scratch, _Live() as live:
        directory = keep or Path(scratch) / "stack"
        result = asyncio.run(run_demo(directory, events=events, seed=seed, events_per_second=rate, show=live))
    document = json.dumps(as_json(result), indent=2)
    if json_file is not None and str(json_file) == "-":
        click.echo(document)
    else:
        show_result(output(), result)
        if json_file is not None:
            json_file.write_text(document + "\n")
    sys.exit(0 if result.ok else 1)


def _check_writable(file: Path) -> None:
    """Refuses a file that cannot be written, before minutes are spent on what should stand in it."""
    if not os.access(file if file.exists() else file.absolute().parent, os.W_OK):
        raise CommandError(f"{file} cannot be written.", "Name a file in a directory that exists and is yours.")


@contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP end the demo as Ctrl-C does: nothing runs on, nothing is left behind.

    Scripts start what runs in their background with Ctrl-C ignored; SIGTERM ends it all the same.
    """

    def interrupt(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    before = {number: signal.signal(number, interrupt) for number in unless_nohup(signal.SIGTERM, signal.SIGHUP)}
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Live:
    """A progress bar on standard error, with the verdicts and deliveries so far."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            console=messages(),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> _Live:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def announce(self, text: str) -> None:
        """Prints what begins now."""
        self._progress.console.print(f"[dim]{text} ...[/dim]")

    def progress(self, done: int, total: int, tally: Tally, received: FakeWebhook) -> None:
        """Moves the bar."""
        if self._task is None:
            self._task = self._progress.add_task("sent", total=total, counts="")
        verdicts = tally.verdicts
        counts = (
            f"new {verdicts['accepted']:,} known {verdicts['duplicate']:,} "
            f"refused {verdicts['rejected'] + verdicts['conflict']:,} "
            f"quarantined {verdicts['quarantined']:,} delivered {len(received.counted):,}"
        )
        self._progress.update(self._task, completed=done, counts=counts)
