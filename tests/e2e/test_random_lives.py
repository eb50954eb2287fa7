"""Hundreds of random worlds in one installation that is killed part by part: each ends as the rules say in words.

Which worlds, the end of a run says; `WORLDS_SEED` makes them again.
"""

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

from tests.support.core_lives import agree
from tests.support.eventually import eventually
from tests.support.inbox import Inbox
from tests.support.life_facts import Place, message_of
from tests.support.lives import Answer, World, a_world, an_erasure
from tests.support.seeds import seeds
from tests.support.shop import CALL_SECONDS, Shop, code_of, named, open_shop
from tests.support.stack import KeyedWorkspace, running_stack
from tributary.attribution.v1.erasure_pb2 import ERASURE_STATE_REQUESTED
from tributary.dedup.v1.decision_pb2 import ERASURE_MODE_REMOVE, ERASURE_MODE_SEVER
from tributary.dedup.v1.quarantine_pb2 import (
    QUARANTINE_ACTION_RELEASE,
    QUARANTINE_RESULT_ALREADY_DECIDED,
    QUARANTINE_RESULT_RELEASED,
)
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest
from tributary.ingestion.v1.ingestion_service_pb2_grpc import IngestionServiceStub
from tributary.query.v1.query_service_pb2 import (
    DecideQuarantinedEventsRequest,
    ErasePersonRequest,
    GetErasureRequest,
)
from tributary_cli.demo.warehouse import Warehouse
from tributary_cli.stack.clickhouse_server import DATABASE
from tributary_cli.stack.stack import Stack

ERASED = 4
"""Of how many worlds somebody is erased: it rewrites tables."""
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
PATIENCE = 240


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
                answer = door.IngestEvents(IngestEventsRequest(events=events), timeout=30, metadata=metadata)
            except grpc.RpcError as error:
                if code_of(error) not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise
                time.sleep(0.1)  # as a backend that retries
                continue
            told = [named(verdict) for verdict in answer.verdicts]
            decided += [verdict for verdict in told if verdict != "UNDECIDED"]
            events = [event for event, verdict in zip(events, told, strict=True) if verdict == "UNDECIDED"]
        return decided


def test_worlds_end_as_the_rules_say(tmp_path: Path, inbox: Inbox) -> None:
    worlds = {f"w-{seed}": a_world(seed) for seed in seeds()}
    for name, world in worlds.items():
        erased = sum(one.erasure is not None for one in worlds.values())
        worlds[name] = (an_erasure(world, removes=erased % 2 == 1) if erased < ERASED else None) or world
    assert sum(world.erasure is not None for world in worlds.values()) == ERASED
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
        with open_shop(stack.addresses, keyed[next(iter(worlds))], inbox) as shop:
            eventually(shop.wait_until_settled, timeout_seconds=PATIENCE)
            for name, world in worlds.items():
                _release(shop, keyed[name], world)
            eventually(shop.wait_until_settled, timeout_seconds=PATIENCE)
            stored = asyncio.run(_stored(stack))
            for name, world in worlds.items():
                if world.erasure is not None:
                    _erase(shop, keyed[name], world)
            eventually(shop.wait_until_settled, timeout_seconds=PATIENCE)
        left = asyncio.run(_stored(stack))

    bots = sum(fact.is_bot for world in worlds.values() for fact in world.facts)
    assert backends.verdicts.keys() == {"ACCEPTED", "DUPLICATE", "QUARANTINED"}
    assert backends.verdicts["QUARANTINED"] <= bots
    differences = list(itertools.chain.from_iterable(_compare(world, stored[name]) for name, world in worlds.items()))
    for name, world in worlds.items():
        differences += _compare_after(world, left[name]) if world.erasure is not None else ()
    assert differences == [], "\n".join([f"{len(differences)} differences", *differences])


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


def _erase(shop: Shop, workspace: KeyedWorkspace, world: World) -> None:
    """Erases somebody, and lets the others go on."""
    assert world.erasure is not None
    mode = ERASURE_MODE_REMOVE if world.erasure.removes else ERASURE_MODE_SEVER
    customer = Identifiers(customer_id=world.erasure.customer.partition(":")[2])
    metadata = (("authorization", f"Bearer {workspace.api_key}"),)
    request = ErasePersonRequest(identifiers=customer, mode=mode)
    erasure = shop.query.ErasePerson(request, timeout=PATIENCE, metadata=metadata).erasure

    def destroyed() -> None:
        known = GetErasureRequest(erasure_id=erasure.erasure_id)
        answer = shop.query.GetErasure(known, timeout=CALL_SECONDS, metadata=metadata).erasure
        assert answer.state != ERASURE_STATE_REQUESTED
        assert not any(answer.remaining.values())

    eventually(destroyed, timeout_seconds=PATIENCE)
    sent = IngestEventsRequest(events=[message_of(fact) for fact in world.later])
    verdicts = shop.ingestion.IngestEvents(sent, timeout=CALL_SECONDS, metadata=metadata).verdicts
    assert {named(verdict) for verdict in verdicts} == {"ACCEPTED"}


async def _stored(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    """Returns workspace -> what is published of each conversion."""
    warehouse = Warehouse(stack.addresses["clickhouse_http"], DATABASE, "")
    try:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in await warehouse.rows("SELECT * FROM conversions FINAL"):
            found[row["workspace"]].append(row)
        return found
    finally:
        await warehouse.aclose()


def _compare(world: World, rows: list[dict[str, Any]]) -> Iterator[str]:
    """Tells what differs from what the rules say, with the seed that makes the world again."""
    answers = world.answers()
    found = {_place(row): row for row in rows}
    if found.keys() != answers.keys():
        yield f"seed {world.seed}: {sorted(found)} instead of {sorted(answers)}"
    for place in found.keys() & answers.keys():
        row, answer = found[place], answers[place]
        if _facts(row) != _facts_of(answer):
            yield f"seed {world.seed}, {place}: {_facts(row)} instead of {_facts_of(answer)}"
        for model, expected in answer.credit.items():
            credited = _credited(row, model)
            if not agree(credited, expected, answer.value_micros if model == "time_decay" else None):
                yield f"seed {world.seed}, {place}, {model}: {credited} instead of {expected}"


def _compare_after(world: World, rows: list[dict[str, Any]]) -> Iterator[str]:
    """Tells the same of what is left when somebody was erased, of whom neither name nor touches are."""
    answers, nameless = world.answers_after()
    found = {_place(row): row for row in rows if not row["conversion_id"].startswith("s1:")}
    if found.keys() != answers.keys():
        yield f"seed {world.seed} after: {sorted(found)} instead of {sorted(answers)}"
    pairs = [(found[place], answers[place]) for place in found.keys() & answers.keys()]
    severed = [row for row in rows if row["conversion_id"].startswith("s1:")]
    if len(severed) != len(nameless):
        yield f"seed {world.seed} after: {len(severed)} without a name instead of {len(nameless)}"
    severed.sort(key=lambda row: (_facts(row), *(_parts(_credited(row, model)) for model in _MODELS)))
    nameless.sort(key=lambda one: (_facts_of(one), *(_parts(one.credit.get(model, {})) for model in _MODELS)))
    for row, answer in (*pairs, *zip(severed, nameless, strict=False)):
        if _facts(row) != _facts_of(answer):
            yield f"seed {world.seed} after, {_place(row)}: {_facts(row)} instead of {_facts_of(answer)}"
        for model, expected in answer.credit.items():
            credited, wanted = _parts(_credited(row, model)), _parts(expected)
            most = max(len(credited), len(wanted))  # what is less than one may be one, or nothing
            both = ([(0.0, 0.0)] * (most - len(parts)) + parts for parts in (credited, wanted))
            near = [
                abs(one[0] - other[0]) <= 1.05 and abs(one[1] - other[1]) <= 2 + answer.value_micros * 1e-6
                for one, other in zip(*both, strict=True)
            ]
            if not all(near):
                yield f"seed {world.seed} after, {_place(row)}, {model}: {credited} instead of {wanted}"


_MODELS = ("first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay")


def _place(row: dict[str, Any]) -> Place:
    return row["order_id"], row["cycle"]


def _facts(row: dict[str, Any]) -> tuple[int, bool, bool]:
    return row["value_micros"], row["counted"], row["retracted"]


def _facts_of(answer: Answer) -> tuple[int, bool, bool]:
    return answer.value_micros, answer.is_counted, answer.is_retracted


def _parts(credit: Mapping[str, tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns shares whoever earned them."""
    return sorted(one for one in credit.values() if one[0] >= 1)


def _credited(row: dict[str, Any], model: str) -> dict[str, tuple[int, int]]:
    parts = zip(row["touch_event_ids"], row[f"{model}_credit_micros"], row[f"{model}_value_micros"], strict=True)
    return {event_id: (credit, value) for event_id, credit, value in parts if credit or value}
