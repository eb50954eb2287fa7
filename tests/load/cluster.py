"""Runs the tests of the door, of dedup and of the storage library on a Redis Cluster of three nodes, module by module.

Run it from a checkout: `python -m tests.load.cluster [MODULE ...]`. Exit status 1 if one fails. The default run of the
tests has a few of them; all of them take some minutes. Beside how long each takes it says what it costs, in seconds of
processor time of all that it starts.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = (
    *("claims", "event_log", "attribution", "conversion_log", "people", "journeys", "delivery_jobs", "rates"),
    *("recorder", "dead_letters", "stream_consumers", "destination_states", "attribution_order"),
    *("dedup", "backfill", "velocity", "ingestion", "stream_events", "quarantine", "fair_shares", "human_checks"),
    *("peppers", "claim_buckets", "data_keys", "batches", "credential_gates", "continuity"),
)


def main(modules: tuple[str, ...]) -> int:
    """Runs modules one after another; returns the exit status."""
    failed = 0
    for module in modules:
        started, used = time.monotonic(), _processor_seconds()
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--redis-cluster", f"tests/integration/test_{module}.py"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        is_good = done.returncode == 0
        failed += not is_good
        took, cost = time.monotonic() - started, _processor_seconds() - used
        print(f"{module:20} {'ok' if is_good else 'FAILED':6} {took:6.1f} s {cost:6.1f} CPU s", flush=True)
        if not is_good:
            print(done.stdout[-4_000:])
    return 1 if failed else 0


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or MODULES))
