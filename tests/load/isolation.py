"""What a dead destination and a throttled one cost the others: an order's way to them, with and without, in turns.

Run it from a checkout: `python -m tests.load.isolation [--pairs 5] [--seconds 15] [--rate 40] [--json FILE]`. A whole
installation; orders of consented buyers at a steady rate, through the door. Three destinations are well. Every other
time the workspace has two more, by `workspaces.yaml` alone: one that takes connections and never answers, and one that
may be called 60 times a minute with one conversion each, so that its backlog grows. Measured is, at those that are
well, the time from an order's send until the destination has accepted it; their fakes run in a process of their own.
What is compared are the two turns of a pair, by their p95; all processes share this machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import yaml

from tests.load.figures import figure, machine, write
from tests.load.serving import sent as again
from tests.support.all_destinations import open_row
from tests.support.door import METHOD
from tests.support.shop import an_order
from tests.support.stack import render_workspaces
from tributary.event.v1.consent_pb2 import CONSENT_STATE_GRANTED
from tributary.event.v1.context_pb2 import OBSERVER_BROWSER
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest
from tributary_cli.demo.fakes.fake import Ask, Reply
from tributary_cli.demo.fakes.http import Cut
from tributary_cli.demo.fakes.server import Disturbed
from tributary_cli.stack.stack import Stack
from tributary_runtime.clock import SystemClock

GOAL = 1.2
WORKSPACE = "load"
WELL = ("meta", "tiktok", "hubspot")
DEAD, THROTTLED = "google", "snap"
PER_MINUTE = 60
RELOAD_SECONDS = 12.0
"""Longer than a process takes to see that the file has changed, and to act on it."""
CLOCK = SystemClock()
_ADDRESSES = (f"81.2.{number // 250}.{number % 250 + 1}" for number in range(50_000))
"""Of buyers, each of whom buys once."""


class Noting(Disturbed):
    """Notes when each conversion was accepted first; the dead one never answers."""

    noted: dict[str, float]

    def respond(self, ask: Ask) -> Reply | Cut:
        """Answers, or tells what it noted to who asks."""
        noted = self.__dict__.setdefault("noted", {})
        if ask.path == "/noted":
            return Reply(200, dict(noted))
        while self.fake.name == DEAD:
            time.sleep(60)
        reply = super().respond(ask)
        self.asks.clear()
        now = CLOCK.unix_micros() / 1e6
        for visible_id in itertools.islice(list(self.fake.counted), len(noted), None):
            noted[visible_id] = now
        return reply


def _serve(told: Any, over: Any) -> None:
    with open_row(WORKSPACE, kinds=(*WELL, DEAD, THROTTLED), front=Noting) as row:
        told.put({stand.kind: stand.declared for stand in row})
        over.wait()
        os._exit(0)  # the dead one's connections wait for ever


@contextmanager
def elsewhere() -> Iterator[dict[str, dict[str, Any]]]:
    """Runs the fakes in a process of their own; gives what the file says of them."""
    spawn = multiprocessing.get_context("spawn")
    told, over = spawn.Queue(), spawn.Event()
    process = spawn.Process(target=_serve, args=(told, over))
    process.start()
    try:
        yield told.get(timeout=60)
    finally:
        over.set()
        process.join()


def orders(turn: str, count: int) -> list[tuple[str, bytes]]:
    """Returns orders of consented buyers: the id that destinations know each by, and the request that sends it."""
    made = []
    for number in range(count):
        name = f"{turn}-{number}"
        event = an_order(name, by=OBSERVER_BROWSER, event_id=name, customer_id=name, email=f"{name}@mail.example")
        event.context.client_ip, event.conversion.pixel_event_id = next(_ADDRESSES), name
        event.consent.ad_user_data = CONSENT_STATE_GRANTED
        made.append((name, event))
    now = CLOCK.now()
    for _, event in made:
        event.event_time.FromDatetime(now)
    return [(name, IngestEventsRequest(events=[event]).SerializeToString()) for name, event in made]


async def one_turn(stack: Stack, api_key: str, declared: dict[str, Any], turn: str, options: Any) -> float:
    """Sends orders at a steady rate; returns the p95 of their ways to those that are well, in seconds."""
    metadata = (("authorization", f"Bearer {api_key}"),)
    sent: dict[str, float] = {}
    async with grpc.aio.insecure_channel(stack.addresses["ingestion"]) as channel, httpx.AsyncClient() as client:
        call = channel.unary_unary(METHOD)

        async def send(name: str, body: bytes) -> None:
            sent[name] = CLOCK.unix_micros() / 1e6
            await again(call, body, metadata)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, (name, body) in enumerate(orders(turn, int(options.rate * options.seconds))):
                await asyncio.sleep(max(0.0, began + number / options.rate - time.perf_counter()))
                group.create_task(send(name, body))
        waits: list[float] = []
        for kind in WELL:
            url = declared[kind]["base_url"]
            noted = await _noted(client, url, set(sent))
            waits += [noted[name] - at for name, at in sent.items()]
    waits.sort()
    return waits[len(waits) * 95 // 100]


async def _noted(client: httpx.AsyncClient, url: str, names: set[str]) -> dict[str, float]:
    """Returns when each was accepted, once all are."""
    deadline = time.monotonic() + 120
    while True:
        noted: dict[str, float] = (await client.post(f"{url}/noted")).json()
        if names <= noted.keys():
            return noted
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(names - noted.keys())} of {len(names)} orders did not arrive at {url}")
        await asyncio.sleep(0.5)


def render(path: Path, content: dict[str, Any], destinations: Sequence[dict[str, Any]]) -> None:
    """Writes the file anew, with these destinations."""
    [workspace] = content["workspaces"]
    aside = path.with_suffix(".new")
    aside.write_text(yaml.safe_dump({"workspaces": [{**workspace, "destinations": list(destinations)}]}))
    aside.replace(path)


async def measure(options: argparse.Namespace, directory: Path) -> list[dict[str, Any]]:
    """Returns the figures."""
    own = {"data_key": {"value": base64.b64encode(os.urandom(32)).decode()}, "default_region": "DE"}
    text, keyed = render_workspaces({WORKSPACE: own})
    content, path = yaml.safe_load(text), directory / "workspaces.yaml"
    found: dict[str, list[float]] = {"calm": [], "disturbed": []}
    with elsewhere() as declared:
        declared[THROTTLED] |= {"batch_size": 1, "quota": {"requests_per_minute": PER_MINUTE}}
        well = [declared[kind] for kind in WELL]
        settings = {"calm": well, "disturbed": [*well, declared[DEAD], declared[THROTTLED]]}
        render(path, content, well)
        with Stack(directory / "stack", workspaces=path) as stack:
            await one_turn(stack, keyed[WORKSPACE].api_key, declared, "warm", options)
            for number in range(options.pairs):
                for name in ("calm", "disturbed") if number % 2 == 0 else ("disturbed", "calm"):
                    render(path, content, settings[name])
                    await asyncio.sleep(RELOAD_SECONDS)
                    turn = f"{name}-{number}"
                    found[name].append(await one_turn(stack, keyed[WORKSPACE].api_key, declared, turn, options))
    pairs = zip(found["disturbed"], found["calm"], strict=True)
    return [
        *(
            figure(f"send to accepted, {name}: p95", 1000 * statistics.median(all_), "ms")
            for name, all_ in found.items()
        ),
        figure("p95, disturbed over calm", statistics.median(one / other for one, other in pairs), "x", GOAL),
    ]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rate", type=float, default=40.0, help="orders per second")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    told = {"machine": machine(), "figures": list[dict[str, Any]]()}
    with tempfile.TemporaryDirectory() as directory:
        told["figures"] += asyncio.run(measure(options, Path(directory)))
    write(told, options.json)


if __name__ == "__main__":
    main()
