"""What one busy person costs everybody: a kiosk that visits and buys all day, in batches of its own.

Run it from a checkout: `python -m tests.load.kiosk [--batches 4] [--touches 800] [--orders 200] [--shuffled]
[--json FILE]`. Real stores; CPU of this process only. `handling` is what a batch holds up everybody for; `working off`
is what is left for later and done beside the batches of others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.load.worlds import CHANNELS
from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, running_attribution
from tests.support.stores import running_stores
from tributary_storage.clickhouse.migrate import migrate


def a_kiosk(options: argparse.Namespace) -> list[list[Admitted]]:
    """Returns the batches of one visitor within ten days: in order of time, or shuffled."""
    rng = random.Random(1)
    make = Events("w")
    size = options.touches + options.orders
    count, every = options.batches * size, size // options.orders
    events: list[Admitted] = []
    for number in range(count):
        at = NOON - 10 * DAY + number * (10 * DAY // count)
        if number % every == every - 1:
            events.append(make.order("visitor:kiosk", at=at, order_id=f"o-{number}", event_id=f"order-{number}"))
        else:
            channel, campaign = rng.choice(CHANNELS), f"campaign {rng.randrange(200)}"
            event_id = f"touch-{number}"
            events.append(make.touch("visitor:kiosk", at=at, channel=channel, campaign=campaign, event_id=event_id))
    if options.shuffled:
        rng.shuffle(events)
    return [events[at : at + size] for at in range(0, count, size)]


async def run(attribution: Attribution, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measures all batches and returns the figures."""
    handling, later = [], []
    for batch in a_kiosk(options):
        before = time.process_time()
        await attribution.handle(*batch)
        handling.append(time.process_time() - before)
        before = time.process_time()
        await attribution.work_off()
        later.append(time.process_time() - before)
    figures = []
    for name, values in (("handling a batch", handling), ("working off what it left", later)):
        figures.append({"name": f"{name}, median", "value": round(statistics.median(values), 3), "unit": "s"})
        figures.append({"name": f"{name}, worst", "value": round(max(values), 3), "unit": "s"})
    return figures


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as directory, running_stores(Path(directory)) as stores:
        await migrate(stores.clickhouse_url)
        async with running_attribution(stores.empty_redis_url(), stores.clickhouse_url, "w") as attribution:
            figures = await run(attribution, options)
    for figure in figures:
        print(f"{figure['name']:40} {figure['value']:10.3f} {figure['unit']}")
    if options.json:
        machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
        options.json.write_text(json.dumps({"machine": machine, "figures": figures}, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--touches", type=int, default=800)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--shuffled", action="store_true", help="not in the order of time")
    parser.add_argument("--json", type=Path)
    asyncio.run(main(parser.parse_args()))
