"""What an insert costs ClickHouse, however few rows it brings: the price of a table's columns.

Run it from a checkout: `python -m tests.load.inserts [--rows 10] [--inserts 40] [--json FILE]`. Starts a ClickHouse of
its own and measures, in turns, the CPU time of its process per insert into `conversion_revisions` (which fills
`conversions`) and `events`, beside the floor of the same minute: an insert into a table of one column. Merges are
stopped, they have their own price.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from tests.support.attribution import DAY, NOON, Events
from tests.support.revisions import Revision, Touch
from tests.support.stores import running_clickhouse
from tributary.dedup.v1.admitted_events_pb2 import AcceptContext
from tributary_storage.clickhouse.client import ClickHouse, connect
from tributary_storage.clickhouse.event_rows import EventBatch, LogPlace
from tributary_storage.clickhouse.migrate import migrate
from tributary_storage.clickhouse.writer import ConversionWriter, EventWriter

ROUNDS = 5
TOUCHES = [Touch(channel, source=channel.lower()) for channel in ("Paid Search", "Email", "Direct", "Display")]

Insert = Callable[[], Awaitable[None]]


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of a process and of those that ended under it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def inserts_into(clickhouse: ClickHouse, rows: int) -> dict[str, Insert]:
    """Returns what is measured, by name."""

    async def revisions() -> None:
        made = [
            Revision(workspace="load", conversion_id=f"c1:{uuid.uuid4().hex}", touches=TOUCHES).then(
                published=Revision(workspace="load").published + timedelta(microseconds=number)
            )
            for number in range(rows)
        ]
        await ConversionWriter(clickhouse).write([one.packed() for one in made])

    async def events() -> None:
        batch, make = EventBatch(), Events("load")
        place = LogPlace(0, "live", NOON // 1000, 0, NOON)
        for number in range(rows):
            _, admitted = make.touch(f"visitor:{uuid.uuid4().hex}", at=NOON - DAY, event_id=uuid.uuid4().hex)
            batch.add(place, number, "A", "load", admitted.SerializeToString(), AcceptContext())
        await EventWriter(clickhouse).write(batch)

    async def floor() -> None:
        await clickhouse.insert("floor", ("number",), (list(range(rows)),))

    return {"conversion_revisions": revisions, "events": events, "floor": floor}


async def measure(url: str, pid: int, rows: int, number: int) -> dict[str, float]:
    """Returns CPU milliseconds per insert, the median of rounds that take turns."""
    await migrate(url)
    async with connect(url, name="load", connections=1, timeout_seconds=60) as clickhouse:
        await clickhouse.execute("CREATE TABLE floor (number UInt64) ENGINE = MergeTree ORDER BY number")
        await clickhouse.execute("SYSTEM STOP MERGES")
        inserts = inserts_into(clickhouse, rows)
        found: dict[str, list[float]] = {name: [] for name in inserts}
        for turn in range(ROUNDS + 1):
            for name, insert in inserts.items():
                before = cpu_seconds(pid)
                for _ in range(max(1, number // ROUNDS)):
                    await insert()
                if turn:  # the first warms up
                    found[name].append((cpu_seconds(pid) - before) / max(1, number // ROUNDS) * 1000)
    return {name: statistics.median(figures) for name, figures in found.items()}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--inserts", type=int, default=40)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, running_clickhouse(Path(directory)) as server:
        found = asyncio.run(measure(server.url, server.pid, asked.rows, asked.inserts))
    figures = []
    for name, milliseconds in found.items():
        print(f"{name:24} {milliseconds:6.1f} ms CPU per insert of {asked.rows} rows")
        figure = {"name": f"insert_{name}", "value": round(milliseconds, 2), "unit": "ms"}
        figures.append({**figure, "goal": None, "ok": True})
    if asked.json:
        machine = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
        asked.json.write_text(json.dumps({"machine": machine, "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
