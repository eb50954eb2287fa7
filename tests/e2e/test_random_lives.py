"""Hundreds of random worlds in one installation that is killed part by part: each ends as the rules say in words."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.eventually import eventually
from tests.support.inbox import Inbox
from tests.support.lives import Credit, World, a_world
from tests.support.shop import CALL_SECONDS, Shop, code_of, named, open_shop
from tests.support.stack import KeyedWorkspace, running_stack
from tributary.dedup.v1.quarantine_pb2 import (
    QUARANTINE_ACTION_RELEASE,
    QUARANTINE_RESULT_ALREADY_DECIDED,
    QUARANTINE_RESULT_RELEASED,
)
from tributary.event.v1.event_pb2 import Event
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest
from tributary.ingestion.v1.ingestion_service_pb2_grpc import IngestionServiceStub
from tributary.query.v1.query_service_pb2 import DecideQuarantinedEventsRequest
from tributary_cli.demo.warehouse import Warehouse
from tributary_cli.stack.clickhouse_server import DATABASE
from tributary_cli.stack.stack import Stack

WORLDS = 300
KILLED = (
    "attribution",
    "dedup",
    "redis",
    "attribution",
    "ingestion",
    "attribution",
    "clickhouse",
    "dedup",
    "attribution",
)


SENDERS = 16
PATIENCE = 90


class Backends:
    """Sends what happened in all worlds, one call after the other, until every event is decided."""

    def __init__(self, worlds: dict[str, World], keyed: dict[str, KeyedWorkspace], address: str) -> None:
        rng = random.Random(1)
        calls: list[tuple[str, list[Event]]] = []
        for name, world in worlds.items():
            sent = world.messages(rng)
            size = rng.choice([10, 60, 60])
            calls += [(name, sent[start : start + size]) for start in range(0, len(sent), size)]
        rng.shuffle(calls)
        self.verdicts: Counter[str] = Counter()
        self.calls, self.done, self.is_over = len(calls), 0, False
        self._calls, self._keyed, self._address = iter(calls), keyed, address
        self._lock = threading.Lock()

    def run(self) -> None:
        """Sends until nothing is left, or the test is over."""
        with grpc.insecure_channel(self._address, [("grpc.max_reconnect_backoff_ms", 200)]) as channel:
            door = IngestionServiceStub(channel)
            while True:
                with self._lock:
                    call = next(self._calls, None)
                if call is None or self.is_over:
                    return
                name, events = call
                decided = self._send(door, name, events)
                with self._lock:
                    self.verdicts.update(decided)
                    self.done += 1

    def _send(self, door: IngestionServiceStub, name: str, events: list[Event]) -> list[str]:
        metadata = (("authorization", f"Bearer {self._keyed[name].api_key}"),)
        decided: list[str] = []
        while events and not self.is_over:
            try:
                answer = door.IngestEvents(IngestEventsRequest(events=events), timeout=10, metadata=metadata)
            except grpc.RpcError as error:
                if code_of(error) not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise
                time.sleep(0.1)  # as a backend that retries
                continue
            told = [named(verdict) for verdict in answer.verdicts]
            decided += [verdict for verdict in told if verdict != "UNDECIDED"]
            events = [event for event, verdict in zip(events, told, strict=True) if verdict == "UNDECIDED"]
        return decided


@pytest.mark.timeout(240)
def test_worlds_end_as_the_rules_say(tmp_path: Path, inbox: Inbox) -> None:
    worlds = {f"w-{seed}": a_world(seed) for seed in range(WORLDS)}
    with running_stack(tmp_path, {name: world.declared for name, world in worlds.items()}) as (stack, keyed):
        backends = Backends(worlds, keyed, stack.addresses["ingestion"])
        with ThreadPoolExecutor(SENDERS) as pool:
            sending = [pool.submit(backends.run) for _ in range(SENDERS)]
            try:
                for number, name in enumerate(KILLED, start=1):
                    share = backends.calls * number / (len(KILLED) + 1)
                    eventually(lambda share=share: backends.done >= share, timeout_seconds=PATIENCE)
                    stack.kill(name)
                    stack.restart(name)
                for one in sending:
                    one.result()
            finally:
                backends.is_over = True
        with open_shop(stack.addresses, keyed["w-0"], inbox) as shop:
            eventually(shop.wait_until_settled, timeout_seconds=PATIENCE)
            for name, world in worlds.items():
                _release(shop, keyed[name], world)
            eventually(shop.wait_until_settled, timeout_seconds=PATIENCE)
        stored = asyncio.run(_stored(stack))

    bots = sum(fact.is_bot for world in worlds.values() for fact in world.facts)
    assert backends.verdicts.keys() == {"ACCEPTED", "DUPLICATE", "QUARANTINED"}
    assert backends.verdicts["QUARANTINED"] <= bots
    differences = list(itertools.chain.from_iterable(_compare(world, stored[name]) for name, world in worlds.items()))
    assert differences == [], f"{len(differences)} differences"


def _release(shop: Shop, workspace: KeyedWorkspace, world: World) -> None:
    """Says of events that they were no bots' after all."""
    event_ids = [fact.event_id for fact in world.facts if fact.is_released]
    if event_ids:
        request = DecideQuarantinedEventsRequest(action=QUARANTINE_ACTION_RELEASE, event_ids=event_ids)
        metadata = (("authorization", f"Bearer {workspace.api_key}"),)

        def released() -> None:
            try:
                answer = shop.query.DecideQuarantinedEvents(request, timeout=CALL_SECONDS, metadata=metadata)
            except grpc.RpcError as error:
                if code_of(error) is not grpc.StatusCode.UNAVAILABLE:
                    raise
                raise AssertionError("a store was killed a moment ago") from error
            results = {outcome.result for outcome in answer.outcomes}
            assert results <= {QUARANTINE_RESULT_RELEASED, QUARANTINE_RESULT_ALREADY_DECIDED}

        eventually(released, timeout_seconds=PATIENCE)


async def _stored(stack: Stack) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns workspace -> order id -> what is published."""
    warehouse = Warehouse(stack.addresses["clickhouse_http"], DATABASE, "")
    try:
        found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        for row in await warehouse.rows("SELECT * FROM conversions FINAL"):
            found[row["workspace"]][row["order_id"]] = row
        return found
    finally:
        await warehouse.aclose()


def _compare(world: World, found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Tells what differs from what the rules say, with the seed that makes the world again."""
    answers = world.answers()
    if found.keys() != answers.keys():
        yield f"seed {world.seed}: orders {sorted(found)} instead of {sorted(answers)}"
    for order_id in found.keys() & answers.keys():
        row, answer = found[order_id], answers[order_id]
        if (row["value_micros"], row["retracted"]) != (answer.value_micros, answer.is_retracted):
            yield f"seed {world.seed}, {order_id}: {row['value_micros']}, {row['retracted']} instead of {answer}"
        if not answer.is_retracted:
            for model, expected in answer.credit.items():
                credited = _credited(row, model)
                if not _equal(credited, expected, answer.value_micros if model == "time_decay" else None):
                    yield f"seed {world.seed}, {order_id}, {model}: {credited} instead of {expected}"


def _credited(row: dict[str, Any], model: str) -> dict[str, tuple[int, int]]:
    parts = zip(row["touch_event_ids"], row[f"{model}_credit_micros"], row[f"{model}_value_micros"], strict=True)
    return {event_id: (credit, value) for event_id, credit, value in parts if credit or value}


def _equal(found: Mapping[str, tuple[int, int]], expected: Credit, worth: int | None) -> bool:
    """Compares credit; by fixed point against floating point one unit of rounding and 5e-8 apart."""
    expected = {name: one for name, one in expected.items() if worth is not None or any(one)}
    if worth is None:
        return found == expected
    return (
        all(
            abs(found.get(name, (0, 0))[0] - credit) <= 1 + 0.05
            and abs(found.get(name, (0, 0))[1] - value) <= 2 + worth * 5e-8
            for name, (credit, value) in expected.items()
        )
        and found.keys() <= expected.keys()
    )
