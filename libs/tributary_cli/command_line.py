"""The command `tributary`: starts it locally, sends to it, reads from it, looks after it.

A command is imported when it is called, so that `tributary --help` answers at once. A failure the user can mend is one
sentence and the next step; with `--debug` it keeps its traceback.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from keyword import iskeyword
from typing import Any

import click

from tributary_cli.errors import CommandError

_COMMANDS = {
    "classify": ("tributary_cli.classify", "Say which channel visits are, why, and which are bots."),
    "dead-letters": ("tributary_cli.dead_letters", "Look at what no worker could handle, and put it back."),
    "deliveries": ("tributary_cli.deliveries", "Look at what was sent to destinations, and send it again."),
    "demo": ("tributary_cli.demo.command", "Show everything with realistic traffic and prove the numbers."),
    "doctor": ("tributary_cli.doctor", "Say what is reachable, what is misconfigured, and what to do."),
    "erase": ("tributary_cli.erase", "Erase a person, and prove that nothing is left."),
    "explain": ("tributary_cli.explain", "Say why a conversion has the credit it has."),
    "identity": ("tributary_cli.identity", "Show who is one person, and take merges back."),
    "import": ("tributary_cli.imports", "Import spend, deals or exchange rates from a file."),
    "keys": ("tributary_cli.keys", "Make API keys."),
    "lookup": ("tributary_cli.lookup", "Say what became of event ids."),
    "match-keys": ("tributary_cli.match_keys", "Say what a destination is sent of a person's e-mail, phone, name."),
    "models": ("tributary_cli.models", "Say what data_driven learned from people's paths."),
    "migrate": ("tributary_cli.migrate", "Prepare Redis and ClickHouse for this version."),
    "refusals": ("tributary_cli.refusals", "List rejected and conflicting events, and why."),
    "quarantine": ("tributary_cli.quarantine", "Look at quarantined events, let them in or keep them out."),
    "reattribute": ("tributary_cli.reattribute", "Credit the past under the settings of today."),
    "reconcile": ("tributary_cli.reconcile", "Recompute days from raw events, compare, repair."),
    "report": ("tributary_cli.report", "Show conversions and their credit."),
    "send": ("tributary_cli.send", "Send events from a file."),
    "simulate": ("tributary_cli.simulate", "Try other attribution settings on one conversion."),
    "up": ("tributary_cli.up", "Run everything on this machine until Ctrl-C."),
    "warehouse": ("tributary_cli.warehouse", "Print the SQL that fills BigQuery, Snowflake or Redshift."),
}
"""Command -> module that has it, and its line in the help. Its name there: a dash is an underscore, a word of Python's
ends with one."""


def _name_of(command: str) -> str:
    return f"{command}_" if iskeyword(command) else command.replace("-", "_")


class _Failure(click.ClickException):
    """A failure as it is shown."""

    def __init__(self, error: CommandError) -> None:
        super().__init__(error.message)
        self.exit_code = error.exit_status  # type: ignore[misc]  # click asks the instance
        self._error = error

    def show(self, file: Any = None) -> None:
        """Writes the sentence, the next step and the detail to standard error."""
        click.secho(self._error.message, fg="red", err=True)
        for text in (self._error.next_step, self._error.detail):
            if text:
                click.echo(text, err=True)


class _Commands(click.Group):
    """Imports a command when it is called, and turns its failures into sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the commands this installation has."""
        return [name for name, (module, _) in _COMMANDS.items() if _exists(module)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports one command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = getattr(import_module(_COMMANDS[cmd_name][0]), _name_of(cmd_name))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; see the module for what becomes of its failures."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except CommandError as error:
            if ctx.params["debug"]:
                raise
            raise _Failure(error) from error


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even its package is there
        return False


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tributary")
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
def cli(debug: bool) -> None:
    """Tributary: real-time conversion tracking and attribution that finance can trust."""
