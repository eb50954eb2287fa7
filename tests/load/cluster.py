"""Runs the tests of the storage library on a Redis Cluster of three nodes, module by module.

Run it from a checkout: `python -m tests.load.cluster [MODULE ...]`. Exit status 1 if one fails. The default run of the
tests has a few of them; all of them take some minutes.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = (
    *("claims", "event_log", "attribution", "conversion_log", "people", "journeys", "delivery_jobs", "rates"),
    *("recorder", "dead_letters", "stream_consumers", "destination_states", "attribution_order"),
)


def main(modules: tuple[str, ...]) -> int:
    """Runs modules one after another; returns the exit status."""
    failed = 0
    for module in modules:
        started = time.monotonic()
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--redis-cluster", f"tests/integration/test_{module}.py"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        is_good = done.returncode == 0
        failed += not is_good
        print(f"{module:20} {'ok' if is_good else 'FAILED':6} {time.monotonic() - started:6.1f} s", flush=True)
        if not is_good:
            print(done.stdout[-4_000:])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or MODULES))
