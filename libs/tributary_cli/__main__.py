"""`tributary`, or `python -m tributary_cli`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line; says what to install where only the client is."""
    try:
        from tributary_cli.command_line import cli
    except ModuleNotFoundError as error:
        sys.exit(f"The command line needs {error.name}, which the client does without: pip install 'tributary[local]'")
    cli(prog_name="tributary")


if __name__ == "__main__":
    main()
