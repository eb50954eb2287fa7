"""Figures as every benchmark tells them: `{machine, figures: [{name, value, unit, goal, ok}]}`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def figure(name: str, value: float, unit: str, goal: float | None = None, *, at_least: bool = False) -> dict[str, Any]:
    """Returns one figure in the form of all benchmarks."""
    ok = None if goal is None else (value >= goal if at_least else value <= goal)
    return {"name": name, "value": round(value, 2), "unit": unit, "goal": goal, "ok": ok}


def machine() -> dict[str, Any]:
    """Returns where it was measured, and how busy that was."""
    busy = round(os.getloadavg()[0], 1)
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load": busy,
    }


def write(told: Mapping[str, Any], file: Path | None) -> None:
    """Prints the figures, and writes them to a file."""
    for one in told["figures"]:
        goal = "" if one["goal"] is None else f"  (goal {one['goal']:g}: {'ok' if one['ok'] else 'missed'})"
        print(f"{one['name']:<60} {one['value']:>10,.2f} {one['unit']}{goal}")
    if file is not None:
        file.write_text(json.dumps(told, indent=2) + "\n")
