"""Zero acknowledged events lost, zero accepted twice, over many rounds of `kill -9`; and proof that this could fail.

Run it from a checkout: `python -m tests.load.survive [--rounds 20] [--json FILE]`. Each round kills ingestion, dedup or
Redis in turn, under concurrent callers that retry. Two runs that must fail follow: one whose Redis loses the end of its
log when it dies (`appendfsync everysec`), one whose callers take silence for consent.
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

from tests.faults.survival import Careless, Survival, survive
from tests.support.stores import running_clickhouse, running_redis
from tributary_storage.clickhouse.migrate import migrate

ROUNDS_OF_PROOF = 3


def run(directory: Path, clickhouse_url: str, name: str, fsync: str, **options: Any) -> Survival:
    """Runs once, on a Redis of its own."""
    with running_redis(directory / name / "redis", {"appendfsync": fsync}) as redis:
        survived = asyncio.run(survive(directory / name, redis, clickhouse_url, **options))
    print(
        f"{name}: {dict(survived.kills)} killed, {survived.unanswered} answers lost, {survived.findings or 'no loss'}"
    )
    return survived


def main() -> None:
    """Runs, tells, and ends with 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, running_clickhouse(Path(scratch) / "clickhouse") as clickhouse:
        asyncio.run(migrate(clickhouse.url))
        directory, url = Path(scratch), clickhouse.url
        true = run(directory, url, "fsync always", "always", rounds=options.rounds)
        lazy = run(
            directory,
            url,
            "everysec, end lost",
            "everysec",
            rounds=ROUNDS_OF_PROOF,
            lose_tail=True,
            settings={"TRIBUTARY_DURABILITY": "none"},
        )
        careless = run(directory, url, "careless callers", "always", rounds=ROUNDS_OF_PROOF, kind=Careless, callers=1)
    figures = [
        _figure(f"findings over {options.rounds} kills", len(true.findings), 0, not true.findings),
        _figure("findings where the end of the log was lost", len(lazy.findings), 1, bool(lazy.findings)),
        _figure("findings where callers take silence for consent", len(careless.findings), 1, bool(careless.findings)),
    ]
    if options.json:
        machine = {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
        options.json.write_text(json.dumps({"machine": machine, "figures": figures}, indent=2))
    sys.exit(not all(figure["ok"] for figure in figures))


def _figure(name: str, value: int, goal: int, is_ok: bool) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": "findings", "goal": goal, "ok": is_ok}


if __name__ == "__main__":
    main()
