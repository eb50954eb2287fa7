"""The distribution as others get it: a wheel built from this tree, installed into an environment of its own.

Needs the package index, as the installation of the tests themselves does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _run(*arguments: str | Path) -> str:
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_wheel(directory: Path) -> Path:
    """Builds the wheel of this tree into `directory`, in an isolated build environment."""
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", directory, ROOT)
    (wheel,) = directory.glob("tributary-*.whl")
    return wheel


class Environment:
    """A virtual environment with nothing in it, not even pip, until something is installed."""

    def __init__(self, directory: Path) -> None:
        """Makes the environment in `directory`."""
        venv.create(directory, with_pip=False)
        self.python = directory / "bin" / "python"

    def install(self, *requirements: str) -> None:
        """Installs into this environment, from outside of it."""
        _run(sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--no-compile", *requirements)

    def installed(self) -> set[str]:
        """Names all distributions in this environment."""
        listed = _run(sys.executable, "-m", "pip", "--python", self.python, "list", "--format", "json")
        return {found["name"].lower().replace("_", "-") for found in json.loads(listed)}

    def run(self, code: str) -> str:
        """Runs Python code far from this tree and returns what it printed."""
        return _run(self.python, "-I", "-c", code)
