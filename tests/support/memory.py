"""Where the files of tests lie: in memory, if the machine has plenty of it.

Dozens of stores that sync each write to one disk wait for one another, and a disk that is busy for some seconds looks
like an outage to who must answer in time. What a process that is killed had written is there afterwards either way: the
tests kill processes, never machines.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - pytest makes a directory of its own in it
_NEEDED_BYTES: Final = 8 << 30
"""A whole run on three processes leaves a quarter of it there, and its stores need as much again to run in."""


def keep_in_memory() -> None:
    """Lets temporary directories of this test run be made in memory; `PYTEST_DEBUG_TEMPROOT` says where else."""
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ and _has_room():
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(_MEMORY)


def _has_room() -> bool:
    if not os.access(_MEMORY, os.W_OK | os.X_OK):
        return False
    free = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return min(shutil.disk_usage(_MEMORY).free, 1024 * int(free[1]) if free else 0) >= _NEEDED_BYTES
