"""The command line as a whole: quick help, and failures that say what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tributary_cli.command_line import cli
from tributary_cli.errors import CommandError

HEAVY = {"grpc", "google.protobuf", "rich", "pydantic", "redis", "clickhouse_driver", "yaml"}


def test_help_imports_nothing_heavy() -> None:
    program = "import sys; sys.argv = ['tributary', '--help']\nfrom tributary_cli.command_line import cli\n"
    program += "cli(standalone_mode=False)\nprint('loaded', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("loaded ")[2].split())
    assert not HEAVY & loaded


@pytest.mark.parametrize("command", cli.list_commands(click.Context(cli)))
def test_every_listed_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(cli, [command, "--help"])
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage:")


def _takes_no_json(command: click.Command, name: str, ctx: click.Context) -> list[str]:
    if isinstance(command, click.Group):
        parts = [(part, command.get_command(ctx, part)) for part in command.list_commands(ctx)]
        return [one for part, own in parts if own for one in _takes_no_json(own, f"{name} {part}".strip(), ctx)]
    return [] if any("--json" in option.opts for option in command.params) else [name]


def test_every_command_takes_json_but_the_one_that_prints_sql() -> None:
    assert _takes_no_json(cli, "", click.Context(cli)) == ["warehouse sql"]


def test_a_failure_is_a_sentence_and_the_next_step_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    result = CliRunner().invoke(cli, ["up", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "stack.json cannot be read.\nDelete it" in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_keeps_the_failure_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    result = CliRunner().invoke(cli, ["--debug", "up", "--data", str(tmp_path)])
    assert isinstance(result.exception, CommandError)


@pytest.mark.parametrize("choice", ["query", "query=", "query=0", "query=70000", "nobody=7000"])
def test_a_port_choice_that_is_none_is_refused(choice: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["up", "--data", str(tmp_path), "--port", choice])
    assert result.exit_code == 2
    assert "is not PART=PORT" in result.stderr


def test_the_demo_refuses_a_file_it_could_not_write_before_it_begins(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["demo", "--json", str(tmp_path / "missing" / "result.json")])
    assert result.exit_code == 1
    assert "cannot be written" in result.output
