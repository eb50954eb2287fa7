"""`tributary up`: everything on this machine, kept running until Ctrl-C, its data kept for the next time."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tributary_cli.console import messages, output, print_json
from tributary_cli.errors import StackError
from tributary_cli.local import confirm_loss_option, data_option, default_directory
from tributary_cli.signals import unless_nohup

if TYPE_CHECKING:
    from tributary_cli.stack.stack import Stack

_LOOK_SECONDS = 0.5
_MOST_RESTARTS = 5
_RESTARTS_WITHIN_SECONDS = 60


class _StopAsked(BaseException):
    """A signal asked the command to end; no `except Exception` on the way may swallow that."""


@click.command()
@data_option
@click.option("--port", "ports", multiple=True, metavar="PART=PORT", help="A port of your choice, such as query=7305.")
@click.option(
    "--workspaces",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A workspaces.yaml, used where it lies and read again when it changes; remembered for the next time.",
)
@confirm_loss_option
@click.option("--json", "as_json", is_flag=True, help="Print addresses and key as one JSON document when ready.")
def up(data: Path, ports: tuple[str, ...], workspaces: Path | None, lost: tuple[str, ...], as_json: bool) -> None:
    """Run everything on this machine until Ctrl-C.

    Real Redis, real ClickHouse, migrations and the five services, each its own process. What they keep lies in one
    directory (--data; by default in your data directory) and is there again the next time, with the same ports and the
    same API key. No process is left behind.

    --confirm-loss ROLE is for a Redis in that directory that was emptied or restored from an older copy, and whose data
    cannot be brought back: the services refuse to work on it until this is said, once. It is what `tributary migrate`
    takes, whose help says what follows from it. One Redis plays all roles here: say it of log, state and jobs. Never
    say it while the right data may still be found.
    """
    from tributary_cli.stack.stack import Stack  # heavy: only who starts it pays

    say = messages()
    stack = Stack(
        data,
        ports=parse_ports(ports),
        workspaces=workspaces,
        announce=lambda text: say.print(f"[dim]{text} ...[/dim]"),
    )
    with _signals_end_it():
        try:
            with ExitStack() as closing:
                closing.callback(stack.stop)
                stack.start(lost)
                _present(stack, as_json)
                keep_running(stack, lambda text: say.print(text, style="yellow"))
        except _StopAsked:
            say.print(f"Stopped. Everything is kept in {data}.")


def parse_ports(choices: tuple[str, ...]) -> dict[str, int]:
    """Reads `PART=PORT` choices.

    Raises:
        click.BadParameter: One is neither.
    """
    from tributary_cli.stack.stack import PARTS

    chosen = {}
    for choice in choices:
        part, _, port = choice.partition("=")
        if part not in PARTS or not port.isdigit() or not 0 < int(port) < 2**16:
            raise click.BadParameter(f"{choice!r} is not PART=PORT; parts are {', '.join(PARTS)}.", param_hint="--port")
        chosen[part] = int(port)
    return chosen


def keep_running(stack: Stack, warn: Callable[[str], None]) -> None:
    """Watches the processes for ever, and starts again what ended.

    Raises:
        StackError: One part ends again and again; with the end of its log.
    """
    restarts: dict[str, deque[float]] = {}
    while True:
        for name, process in stack.processes().items():
            if process.is_running:
                continue
            recent = restarts.setdefault(name, deque(maxlen=_MOST_RESTARTS))
            if len(recent) == _MOST_RESTARTS and time.monotonic() - recent[0] < _RESTARTS_WITHIN_SECONDS:
                what = f"{name} ended {_MOST_RESTARTS + 1} times within {_RESTARTS_WITHIN_SECONDS} seconds."
                raise StackError(what, f"Its log is {process.log_file}; it ends with:", process.log_tail())
            recent.append(time.monotonic())
            warn(f"{name} ended unexpectedly; starting it again. Its log is {process.log_file}.")
            stack.start_again(name)
        time.sleep(_LOOK_SECONDS)


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """Turns the first Ctrl-C, SIGTERM or SIGHUP into `_StopAsked`; further ones do not disturb the orderly end."""
    numbers = unless_nohup(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def ask(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise _StopAsked

    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _present(stack: Stack, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "addresses": stack.addresses,
                "workspace": stack.installation.workspace,
                "api_key": stack.api_key,
                "directory": str(stack.directory.path),
                "pids": {name: process.pid for name, process in stack.processes().items()},
            }
        )
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("part", style="bold")
    table.add_column("address")
    for part, address in stack.addresses.items():
        table.add_row(part, address)
    console = output()
    console.print("[bold green]Tributary is up.[/bold green]")
    console.print(table)
    if stack.api_key:
        console.print(f"[bold]API key[/bold]  {stack.api_key}  (workspace {stack.installation.workspace})")
    console.print(f"[bold]Data[/bold]     {stack.directory.path}")
    if stack.installation.workspaces_file:
        console.print(f"[bold]Workspaces[/bold]  {stack.installation.workspaces_file}, read again when it changes")
    where = "" if stack.directory.path == default_directory().absolute() else f" --data {stack.directory.path}"
    console.print(f"Try `tributary send FILE{where}` and `tributary report{where}` in another terminal.", markup=False)
    console.print("Ctrl-C stops everything.")
