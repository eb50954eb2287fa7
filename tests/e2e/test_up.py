"""`tributary up`: a whole installation in one command, kept over restarts, leaving nothing behind."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.processes import is_alive
from tributary_cli.command_line import cli
from tributary_cli.stack.health import SERVICES, Health, check_health


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
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def _up(directory: Path, *arguments: str) -> Iterator[Up]:
    command = [sys.executable, "-m", "tributary_cli", "up", "--data", str(directory), "--json", *arguments]
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


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One for the tests that leave it as it was."""
    with _up(tmp_path_factory.mktemp("up")) as up:
        yield up


def _send(up: Up, file: Path) -> dict[str, int]:
    target = ["--target", up.said["addresses"]["ingestion"], "--api-key", up.said["api_key"]]
    result = CliRunner().invoke(cli, ["send", str(file), "--json", *target])
    verdicts: dict[str, int] = json.loads(result.stdout)["verdicts"]
    return {verdict: count for verdict, count in verdicts.items() if count}


def _an_event(directory: Path, event_id: str) -> Path:
    file = directory / "events.jsonl"
    event = {"eventId": event_id, "eventTime": datetime.now(UTC).isoformat()}  # noqa: TID251
    file.write_text(json.dumps(event | {"identify": {}, "identifiers": {"visitorId": "v"}}))
    return file


def _is_recorded(up: Up, event_id: str) -> bool:
    statement = "SELECT count() FROM tributary.events WHERE event_id = {id:String}"
    query = urllib.parse.urlencode({"query": statement, "param_id": event_id})
    with urllib.request.urlopen(f"http://{up.said['addresses']['clickhouse_http']}/?{query}") as answer:
        return int(answer.read()) > 0


def test_every_service_serves_once_it_is_up(shared: Up) -> None:
    addresses = shared.said["addresses"]
    assert {check_health(addresses[name], name, PATIENCE_SECONDS) for name in SERVICES} == {Health.SERVING}


def test_a_second_one_on_the_same_directory_is_refused(shared: Up) -> None:
    command = [sys.executable, "-m", "tributary_cli", "up", "--data", shared.said["directory"]]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert f"(pid {shared.process.pid})" in refused.stderr


def test_doctor_finds_it_well_without_being_told_where_it_is(shared: Up) -> None:
    result = CliRunner().invoke(cli, ["doctor", "--data", shared.said["directory"]])
    assert "All is well." in result.stdout
    assert result.exit_code == 0


def test_migrate_finds_its_stores_without_being_told_where_they_are(shared: Up) -> None:
    result = CliRunner().invoke(cli, ["migrate", "--data", shared.said["directory"]])
    assert "ClickHouse: up to date." in result.stdout
    assert result.exit_code == 0


def test_a_service_that_is_killed_is_started_again(shared: Up) -> None:
    address = shared.said["addresses"]["query"]
    os.kill(shared.said["pids"]["query"], signal.SIGKILL)
    eventually(lambda: not is_alive(shared.said["pids"]["query"]))
    eventually(lambda: check_health(address, "query") is Health.SERVING)


def test_a_store_that_dies_while_a_service_waits_for_it_is_started_again_too(shared: Up) -> None:
    for name in ("attribution", "redis"):  # attribution cannot become ready without Redis
        os.kill(shared.said["pids"][name], signal.SIGKILL)
    addresses = shared.said["addresses"]
    eventually(lambda: not any(is_alive(shared.said["pids"][name]) for name in ("attribution", "redis")))
    eventually(lambda: check_health(addresses["attribution"], "attribution") is Health.SERVING)
    assert shared.process.poll() is None


def test_two_run_side_by_side_and_what_was_killed_is_there_the_next_time(shared: Up, tmp_path: Path) -> None:
    file = _an_event(tmp_path, "kept")
    with _up(tmp_path / "data") as other:
        assert not set(shared.said["addresses"].values()) & set(other.said["addresses"].values())
        for up in (shared, other):
            eventually(lambda up=up: check_health(up.said["addresses"]["ingestion"], "ingestion") is Health.SERVING)
        assert all(is_alive(pid) for pid in other.pids)
        assert _send(other, file) == {"accepted": 1}
        other.end(signal.SIGKILL)
        eventually(lambda: not any(is_alive(pid) for pid in other.pids))
    assert shared.process.poll() is None
    with _up(tmp_path / "data") as again:
        assert again.said["addresses"] == other.said["addresses"]
        assert again.said["api_key"] == other.said["api_key"]
        assert _send(again, file) == {"duplicate": 1}
        assert again.end(signal.SIGTERM) == 0
    assert not any(is_alive(pid) for pid in again.pids)


def test_ctrl_c_ends_it_in_order_and_a_redis_that_is_then_lost_is_refused_until_that_is_confirmed(
    shared: Up, tmp_path: Path
) -> None:
    """Stands last: the others need it."""
    file = _an_event(tmp_path, "lost")
    assert _send(shared, file) == {"accepted": 1}
    eventually(lambda: _is_recorded(shared, "lost"))
    assert shared.end(signal.SIGINT) == 0
    eventually(lambda: not any(is_alive(pid) for pid in shared.pids))
    directory = Path(shared.said["directory"])
    shutil.rmtree(directory / "redis")
    command = ["up", "--data", str(directory)]
    refused = subprocess.run(
        [sys.executable, "-m", "tributary_cli", *command], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    confirmed = [word for role in ("log", "state", "jobs") for word in ("--confirm-loss", role)]
    assert shlex.join(["tributary", *command, *confirmed]) in refused.stderr
    with _up(directory, *confirmed) as whole:
        assert _send(whole, file) == {"duplicate": 1}
