"""`tributary dead-letters`: what no worker could handle, why, and back into the log with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from tributary_cli.console import logs_on_stderr, output, print_json
from tributary_cli.errors import CommandError
from tributary_cli.local import data_option, running_installation
from tributary_cli.stack.directory import StackDirectory
from tributary_cli.stack.environment import settings_of
from tributary_runtime.errors import TributaryError
from tributary_storage.redis.client import connect
from tributary_storage.redis.dead_letters import GROUPS, DeadLetter, DeadLetters
from tributary_storage.redis.epoch import require_epoch

_TIMEOUT_SECONDS = 5.0

T = TypeVar("T")
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _filters(command: _Command) -> _Command:
    """Adds the options that choose dead letters."""
    for option in (
        click.option("--reason", help="Only of this reason, such as EVENT_UNREADABLE."),
        click.option("--workspace", help="Only of this workspace."),
        click.option("--group", type=click.Choice(GROUPS), help="Only of this group of workers."),
    ):
        command = option(command)
    return command


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at what no worker could handle, and put it back.

    A dead letter is one event, or one revision of a conversion, without its neighbours; it is kept for 30 days. The
    stores are those of TRIBUTARY_LOG_URL and TRIBUTARY_STATE_URL, else those of the local installation in --data.
    """


@dead_letters.command("list")
@_filters
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most this many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@data_option
def list_(group: str | None, workspace: str | None, reason: str | None, limit: int, as_json: bool, data: Path) -> None:
    """List dead letters: id, when, workspace, reason."""

    async def work(letters: DeadLetters) -> list[DeadLetter]:
        is_chosen = _choice(workspace, reason)
        found: list[DeadLetter] = []
        async for letter in letters.all(_groups(group)):
            if is_chosen(letter):
                found.append(letter)
            if len(found) >= limit:
                break
        return found

    found = _run(data, work)
    if as_json:
        print_json([_summary(letter) for letter in found])
        return
    console = output()
    for letter in found:
        told = _summary(letter)
        line = f"{told['id']}  {told['time']}  {told['workspace'] or '-'}  {told['reason']}  {told['message']}"
        console.print(line, markup=False)
    if not found:
        console.print("No dead letters.")


@dead_letters.command()
@click.argument("letter_id", metavar="ID")
@click.option("--json", "_", is_flag=True, help="No effect: it is a JSON document anyway.")
@data_option
def show(letter_id: str, data: Path, _: bool) -> None:
    """Show one dead letter with what it holds, as JSON."""

    async def work(letters: DeadLetters) -> DeadLetter:
        return await letters.get(letter_id)

    letter = _run(data, work)
    print_json({**_summary(letter), "version": letter.text("version"), "payload": _readable(letter)})


@dead_letters.command()
@click.argument("letter_ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "is_all", is_flag=True, help="All that the options choose, instead of IDs.")
@_filters
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@data_option
def replay(
    letter_ids: tuple[str, ...],
    is_all: bool,
    group: str | None,
    workspace: str | None,
    reason: str | None,
    as_json: bool,
    data: Path,
) -> None:
    """Put dead letters back into their log, once what made them fail is mended.

    Every group reads them again; what it had before it knows. So what several groups put aside goes back once, with all
    its dead letters, whichever are chosen. One that fails again is a dead letter again. Asking twice replays once.
    """
    if bool(letter_ids) == is_all:
        raise click.UsageError("Name dead letters, or give --all.")

    async def work(letters: DeadLetters) -> int:
        if is_all:
            return await letters.replay(_choice(workspace, reason), _groups(group))
        chosen = [await letters.get(letter_id) for letter_id in letter_ids]
        named = {letter.letter_id for letter in chosen}
        return await letters.replay(lambda letter: letter.letter_id in named, {letter.group for letter in chosen})

    count = _run(data, work)
    if as_json:
        print_json({"put_back": count})
        return
    output().print(f"{count} put back." if count else "Nothing to put back.")


def _choice(workspace: str | None, reason: str | None) -> Callable[[DeadLetter], bool]:
    return lambda letter: workspace in (None, letter.text("workspace")) and reason in (None, letter.text("reason"))


def _groups(group: str | None) -> Sequence[str]:
    return [group] if group else GROUPS


def _run(data: Path, work: Callable[[DeadLetters], Awaitable[T]]) -> T:
    """Opens the stores and does the work in them."""

    async def opened() -> T:
        async with _letters(data) as letters:
            return await work(letters)

    try:
        with logs_on_stderr():
            return asyncio.run(opened())
    except TributaryError as error:
        raise CommandError(error.message) from error
    except ValueError as error:  # its message may repeat a password
        raise CommandError("The URL of a Redis cannot be read.") from error


@asynccontextmanager
async def _letters(data: Path) -> AsyncIterator[DeadLetters]:
    log_url, state_url = _urls(data)
    async with (
        connect(log_url, name="dead-letters", timeout_seconds=_TIMEOUT_SECONDS, connections=2) as log,
        connect(state_url, name="dead-letters", timeout_seconds=_TIMEOUT_SECONDS, connections=2) as state,
    ):
        yield DeadLetters(log, state, (await require_epoch(log, "log")).shards)


def _urls(data: Path) -> tuple[str, str]:
    """Returns where the roles *log* and *state* are."""
    environ: dict[str, str] = dict(os.environ)
    if "TRIBUTARY_LOG_URL" not in environ:
        installation = running_installation(data)
        if installation is None:
            raise CommandError(
                f"TRIBUTARY_LOG_URL is not set, and no local installation runs in {data}.",
                "Start one with `tributary up`, or set TRIBUTARY_LOG_URL and TRIBUTARY_STATE_URL.",
            )
        environ = settings_of(installation, StackDirectory(data))
    log_url = environ["TRIBUTARY_LOG_URL"]
    return log_url, environ.get("TRIBUTARY_STATE_URL", log_url)


def _summary(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.letter_id,
        "time": datetime.fromtimestamp(letter.dead_micros / 1e6, UTC).isoformat(timespec="milliseconds"),
        "group": letter.group,
        "workspace": letter.text("workspace"),
        "reason": letter.text("reason"),
        "message": letter.text("message"),
    }


def _readable(letter: DeadLetter) -> Any:
    """Returns what a dead letter holds as JSON; in hexadecimal digits if it cannot be read, which may be why."""
    from google.protobuf import json_format
    from google.protobuf.message import DecodeError

    from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
    from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent, AdmittedEvents
    from tributary_storage.redis.keys import EVENT_LOG_GROUPS

    kind: Any = ConversionRevised
    if letter.group in EVENT_LOG_GROUPS:
        kind = AdmittedEvents if letter.is_whole_entry else AdmittedEvent
    try:
        return json_format.MessageToDict(kind.FromString(letter.payload), preserving_proto_field_name=True)
    except (DecodeError, ValueError):
        return {"unreadable": letter.payload.hex()}
