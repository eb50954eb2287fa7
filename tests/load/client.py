"""What the client costs: CPU per event of its own process and of ingestion, by calls and by stream, in turns.

`python -m tests.load.client`, `--json FILE`. The rounds alternate, so that a busy machine disturbs all alike; medians
are told. The mix is that of DESIGN section 12; tracking by keyword arguments and the spool are measured beside it.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.load import mix
from tests.load.figures import figure, machine, write
from tests.load.serving import WORKSPACE, Installation, cpu_seconds, running_installation
from tributary.event.v1.event_pb2 import Event
from tributary_client import Batching, Buffering, Spooling, TransportKind, Tributary

SERVERS = ("ingestion", "dedup")


class Bench:
    """Measures one way of sending after the other."""

    def __init__(self, installation: Installation, events: int) -> None:
        self._installation = installation
        self._events = events
        self._seeds = itertools.count()
        self.costs: defaultdict[str, list[float]] = defaultdict(list)

    def round(self, name: str, **options: Any) -> None:
        """Sends the mix with a client of its own."""
        stream = mix.events(f"{name}-{next(self._seeds)}-{time.time_ns()}", time.time_ns() // 1000)
        events = list(itertools.islice(stream, self._events))
        with self._measured(name), self._client(**options) as client:
            for event in events:
                client.track(event)
            if not client.flush(120):
                raise RuntimeError("not decided in time")

    def _client(self, **options: Any) -> Tributary:
        door = self._installation.door
        buffering = Buffering(max_events=10_000, block_seconds=120)
        options = {"buffering": buffering, "on_verdict": lambda _: None, **options}
        return Tributary(door.ingestion.address, api_key=door.keys[WORKSPACE], **options)

    @contextmanager
    def _measured(self, name: str) -> Iterator[None]:
        before = {server: cpu_seconds(self._installation.pids[server]) for server in SERVERS}
        own, wall = time.process_time(), time.perf_counter()
        yield
        self.costs[f"{name}: client"].append(1e6 * (time.process_time() - own) / self._events)
        self.costs[f"{name}: wall"].append(1e6 * (time.perf_counter() - wall) / self._events)
        for server in SERVERS:
            spent = cpu_seconds(self._installation.pids[server]) - before[server]
            self.costs[f"{name}: {server}"].append(1e6 * spent / self._events)


def micros_per(work: Callable[[], object], times: int) -> float:
    """Returns the CPU of one run of `work`."""
    began = time.process_time()
    for _ in range(times):
        work()
    return 1e6 * (time.process_time() - began) / times


def tracking(rounds: int) -> list[dict[str, Any]]:
    """Returns what handing an event over costs its caller, with nobody to send it to."""

    def an_event(client: Tributary) -> Callable[[], object]:
        return lambda: client.track_conversion(
            "purchase",
            order_id="1001",
            value="49.90",
            currency="EUR",
            customer_id="c-17",
            page_url="https://s.example/",
        )

    costs: defaultdict[str, list[float]] = defaultdict(list)
    made = Event(event_id="e", properties={"text": "x" * 500})
    for _ in range(rounds):
        for name in ("memory", "spool"):
            with tempfile.TemporaryDirectory() as directory:
                spool = Spooling(directory) if name == "spool" else None
                quiet = Batching(linger_seconds=60)
                client = Tributary("127.0.0.1:1", api_key="k", spool=spool, batching=quiet, on_drop=lambda _: None)
                costs[f"track_conversion, {name}"].append(micros_per(an_event(client), 400))
                costs[f"track, {name}"].append(micros_per(lambda client=client: client.track(made), 90))  # type: ignore[misc]
                client.close(0)
    return [figure(name, statistics.median(values), "µs/event") for name, values in costs.items()]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000, help="per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of it: to see that it runs")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    events, rounds = (2_000, 2) if options.quick else (options.events, options.rounds)
    told = {"machine": machine(), "figures": tracking(max(rounds, 5))}
    with tempfile.TemporaryDirectory() as directory:
        volume = events * rounds * 8
        with running_installation(Path(directory) / "installation", volume) as installation:
            bench = Bench(installation, events)
            for number in range(rounds):
                ways = list(TransportKind) if number % 2 else list(TransportKind)[::-1]
                for size in (10, 100, 500):
                    for way in ways:
                        bench.round(f"{way.value}, batches of {size}", transport=way, batching=Batching(size))
                with tempfile.TemporaryDirectory() as spool:
                    bench.round("calls, batches of 500, spool", spool=Spooling(spool))
    told["figures"] += [figure(name, statistics.median(values), "µs/event") for name, values in bench.costs.items()]
    write(told, options.json)


if __name__ == "__main__":
    main()
