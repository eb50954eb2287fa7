"""Looking at processes that are not ours to wait for."""

from __future__ import annotations

from pathlib import Path


def is_alive(pid: int) -> bool:
    """Says whether a process runs; one that has ended and waits for its parent to look does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
