"""`tributary lookup`: what it refuses before it asks."""

from __future__ import annotations

from click.testing import CliRunner

from tributary_cli.command_line import cli


def test_what_is_no_text_is_told_so() -> None:
    done = CliRunner().invoke(cli, ["lookup", "-", "--target", "127.0.0.1:1", "--api-key", "k"], input=b"a\xff\n")
    assert done.exit_code == 1
    assert "UTF-8" in done.output
