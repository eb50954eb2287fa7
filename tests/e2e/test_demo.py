"""The demo's numbers agree with the generator's truth, and its JSON has the keys that programs read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MODELS = {"first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay"}


@pytest.mark.timeout(120)
def test_the_demo_holds_every_check_and_says_so_in_json(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    command = [sys.executable, "-m", "tributary_cli", "demo", "--events", "1500", "--seed", "5", "--json", str(target)]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)

    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    result = json.loads(target.read_text())
    assert result["sent"] == 1500
    assert sum(result["verdicts"].values()) == 1500
    assert set(result["verdicts"]) == {"accepted", "duplicate", "conflict", "rejected", "quarantined"}
    assert result["deliveries"]["unique_received"] == result["conversions"]
    assert result["deliveries"]["sent"] >= result["deliveries"]["unique_received"]
    assert set(result["models"]) >= MODELS
    for channels in result["models"].values():
        assert all(set(row) == {"conversions", "value_micros"} for row in channels.values())
    assert set(result["latency_ms"]) == {"ack", "event_to_report"}
    assert all(set(cuts) == {"p50", "p95", "p99"} for cuts in result["latency_ms"].values())
    assert all(set(check) == {"name", "ok", "expected", "actual"} for check in result["integrity"])
    assert all(check["ok"] for check in result["integrity"])
