"""`tributary up`: a whole installation in one command, kept over restarts, leaving nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.processes import is_alive
from tributary_cli.stack.health import SERVICES, Health, check_health

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True, slots=True)
class Up:
    """A running `tributary up` and what it said when it was ready."""

    process: subprocess.Popen[str]
    said: dict[str, Any]

    @property
    def pids(self) -> list[int]:
        return list(self.said["pids"].values())

    def end(self, number: int) -> int:
        """Sends a signal and returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def _up(directory: Path) -> Iterator[Up]:
    command = [sys.executable, "-m", "tributary_cli", "up", "--data", str(directory), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            text = ""
            while not text.endswith("\n}\n"):
                line = process.stdout.readline()
                assert line, "it ended before it was up"
                text += line
            yield Up(process, json.loads(text))
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_it_in_order_and_no_process_is_left(tmp_path: Path, number: signal.Signals) -> None:
    with _up(tmp_path) as up:
        assert all(is_alive(pid) for pid in up.pids)
        assert up.end(number) == 0
    assert not any(is_alive(pid) for pid in up.pids)


def test_no_process_outlives_it_when_it_is_killed(tmp_path: Path) -> None:
    with _up(tmp_path) as up:
        up.end(signal.SIGKILL)
        eventually(lambda: not any(is_alive(pid) for pid in up.pids))


def test_ports_and_api_key_are_the_same_the_next_time(tmp_path: Path) -> None:
    with _up(tmp_path) as first:
        first.end(signal.SIGTERM)
    with _up(tmp_path) as second:
        assert second.said["addresses"] == first.said["addresses"]
        assert second.said["api_key"] == first.said["api_key"]


def test_two_run_side_by_side_and_none_on_the_directory_of_another(tmp_path: Path) -> None:
    with _up(tmp_path / "one") as one, _up(tmp_path / "other") as other:
        assert not set(one.said["addresses"].values()) & set(other.said["addresses"].values())
        command = [sys.executable, "-m", "tributary_cli", "up", "--data", str(tmp_path / "one")]
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert refused.returncode == 1
        assert f"(pid {one.process.pid})" in refused.stderr


def test_a_service_that_is_killed_is_started_again(tmp_path: Path) -> None:
    with _up(tmp_path) as up:
        os.kill(up.said["pids"]["query"], signal.SIGKILL)
        eventually(lambda: check_health(up.said["addresses"]["query"], "query") is not Health.SERVING)
        eventually(lambda: check_health(up.said["addresses"]["query"], "query") is Health.SERVING, 30)


def test_every_service_serves_once_it_is_up(tmp_path: Path) -> None:
    with _up(tmp_path) as up:
        assert {check_health(up.said["addresses"][name], name) for name in SERVICES} == {Health.SERVING}
