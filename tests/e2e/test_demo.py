"""The demo's numbers agree with the generator's truth, and its JSON has the keys that programs read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.eventually import eventually

MODELS = {"first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay"}


def test_the_demo_holds_every_check_and_says_so_in_json(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    command = [sys.executable, "-m", "tributary_cli", "demo", "--events", "1500", "--seed", "5", "--json", str(target)]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)

    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    result = json.loads(target.read_text())
    assert result["sent"] == 1500
    assert sum(result["verdicts"].values()) == 1500
    assert set(result["verdicts"]) == {"accepted", "duplicate", "conflict", "rejected", "quarantined"}
    assert result["deliveries"]["unique_received"] == result["conversions"]
    assert result["deliveries"]["sent"] >= result["deliveries"]["unique_received"]
    assert set(result["destinations"]) == {"google", "meta", "linkedin", "tiktok"}
    assert all(one["accepted"] >= one["expected"] > 0 for one in result["destinations"].values())
    assert set(result["models"]) >= MODELS
    for channels in result["models"].values():
        assert all(set(row) == {"conversions", "value_micros"} for row in channels.values())
    assert set(result["latency_ms"]) == {"ack", "event_to_report"}
    assert all(set(cuts) == {"p50", "p95", "p99"} for cuts in result["latency_ms"].values())
    assert all(set(check) == {"name", "ok", "expected", "actual"} for check in result["integrity"])
    assert all(check["ok"] for check in result["integrity"])
    for check in result["integrity"]:
        least, most = _range(check["expected"])
        assert least <= check["actual"] <= most
    assert {name: _actual(result, name) for name in result["verdicts"]} == result["verdicts"]
    assert _actual(result, "received is what was sent") == result["sent"]
    assert result["samples"]["event_to_report"] >= 30
    assert result["probes"] >= result["samples"]["event_to_report"]
    assert result["missing"] == []


def _range(expected: int | dict[str, int]) -> tuple[int, int]:
    return (expected["min"], expected["max"]) if isinstance(expected, dict) else (expected, expected)


def _actual(result: dict[str, Any], name: str) -> int:
    [check] = [check for check in result["integrity"] if check["name"] == name]
    return int(check["actual"])


def test_the_smallest_demo_holds_too_and_says_what_it_has_none_of() -> None:
    command = [sys.executable, "-m", "tributary_cli", "demo", "--events", "1", "--json", "-"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    result = json.loads(ended.stdout)
    assert result["sent"] == 1
    assert {"bots", "refunds"} <= set(result["missing"])


def test_a_demo_that_is_told_to_end_while_it_starts_stops_what_it_started_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    scratch, kept = tmp_path / "scratch", tmp_path / "kept"
    scratch.mkdir()
    command = [sys.executable, "-m", "tributary_cli", "demo", "--events", "1000", "--keep", str(kept)]
    environ = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ) as demo:
        try:
            eventually(lambda: (kept / "logs" / "query.log").exists())
            demo.send_signal(signal.SIGTERM)
            assert demo.wait(60) != 0
        finally:
            demo.kill()
    assert list(scratch.iterdir()) == []
    assert "bye bye" in (kept / "redis" / "redis.log").read_text()
