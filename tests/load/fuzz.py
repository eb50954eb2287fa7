"""Hostile requests by the hundred thousand against a running door: no crash, no hang, no INTERNAL, memory flat.

Run it from a checkout: `python -m tests.load.fuzz [--requests 100000] [--seed 1] [--json FILE]`. The same seed sends
the same requests; one that is answered as it may not be is named by its number.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.door import running_door
from tests.support.fuzzing import fuzz
from tests.support.stores import create_test_epoch, running_stores
from tributary_storage.clickhouse.migrate import migrate

GOAL_GROWTH = 1.15
GOAL_LET_IN = 0.05
"""Events accepted per request: what is all refused proves nothing of what records it."""


def main() -> None:
    """Sends, tells, and ends with 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, running_stores(Path(scratch)) as stores:
        asyncio.run(create_test_epoch(stores.redis.url, claim_bucket_bits=12))
        asyncio.run(migrate(stores.clickhouse_url))
        workspaces = {"shop": {"default_region": "DE"}}
        with running_door(Path(scratch), stores.redis.url, stores.clickhouse_url, workspaces) as door:
            fuzzed = asyncio.run(fuzz(door, options.requests, options.seed))
            is_alive = door.ingestion.is_running and door.dedup.is_running
            log = door.ingestion.log_file.read_text() + door.dedup.log_file.read_text()
    sent, buried = fuzzed.codes.total(), log.count('"event_buried"')
    let_in = round(fuzzed.verdicts["VERDICT_ACCEPTED"] / sent, 3)
    figures = [
        _figure("requests", sent, "requests", options.requests, sent == options.requests),
        _figure("answers that may not be", len(fuzzed.bad), "answers", 0, not fuzzed.bad),
        _figure("processes that ended", int(not is_alive), "processes", 0, is_alive),
        _figure("events accepted per request", let_in, "events", GOAL_LET_IN, let_in >= GOAL_LET_IN),
        _figure("events let in that could not be recorded", buried, "events", 0, not buried),
    ]
    for name in ("ingestion", "dedup"):
        growth = round(fuzzed.growth(name), 3)
        figures.append(_figure(f"memory of {name}, end over middle", growth, "x", GOAL_GROWTH, growth <= GOAL_GROWTH))
    print(dict(fuzzed.codes), dict(fuzzed.kinds), dict(fuzzed.verdicts))
    for name in ("ingestion", "dedup"):
        print(f"memory of {name} along the way, MiB:", [taken[name] // 2**20 for taken in fuzzed.memory_bytes])
    for line in fuzzed.bad:
        print(line)
    for figure in figures:
        print(f"{figure['name']:<45} {figure['value']:>10} {figure['unit']}  {'ok' if figure['ok'] else 'MISSED'}")
    if options.json:
        machine = {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
        options.json.write_text(json.dumps({"machine": machine, "figures": figures}, indent=2))
    sys.exit(not all(figure["ok"] for figure in figures))


def _figure(name: str, value: float, unit: str, goal: float, is_ok: bool) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "goal": goal, "ok": is_ok}


if __name__ == "__main__":
    main()
