"""Each service is asked to leave under constant load: nobody's call fails, and nothing is forgotten."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import grpc
import pytest

from tests.support.eventually import eventually
from tests.support.inbox import running_inbox
from tests.support.shop import Shop, a_visit, an_order, code_of, named, open_shop
from tests.support.stack import running_stack
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary_cli.stack.health import SERVICES
from tributary_cli.stack.stack import Stack
from tributary_client import RetryPolicy, Tributary

LONGEST_STOP_SECONDS = 20.0
"""Less than the 25 that calls in flight may take: who waits for one that never ends takes longer."""
CLIENTS, BARE, READERS = 2, 2, 2
PROBE = "probe"
"""The event of an order that is there from the beginning, to be read."""
PAUSE_SECONDS = 0.15
"""Between two calls of one caller that the leaving service notices: a load, and yet one that two cores get done."""
LONG_PAUSE_SECONDS = 0.5
"""Between two calls of one caller that it does not."""
ENOUGH = 20
"""Calls that make a load."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call without any retry."""

    began: float
    code: str


@dataclass
class Load:
    """Callers that hardly pause. Those with a client retry as it does; the bare ones see every failure."""

    shop: Shop
    target: str
    send_pause_seconds: float
    read_pause_seconds: float
    verdicts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    """What reached a caller in spite of the client's retries, and verdicts that are none."""
    resent: int = 0
    ingested: list[Call] = field(default_factory=list)
    read: list[Call] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def send_with_client(self, name: str) -> None:
        policy = RetryPolicy(total_seconds=40, max_delay_seconds=0.5, attempt_seconds=5)
        with Tributary(self.target, api_key=self.shop.workspace.api_key, retry=policy) as client:
            for events in self._batches(name):
                try:
                    self._take(client.ingest(events))
                except Exception as error:  # whatever it is, the caller was not spared it
                    self.failures.append(repr(error))
                self._stop.wait(self.send_pause_seconds)
            self.resent += client.resent_events

    def send_bare(self, name: str) -> None:
        for events in self._batches(name):
            self.ingested.append(self._called(lambda events=events: self._take(self.shop.send(*events))))
            self._stop.wait(self.send_pause_seconds)

    def read_bare(self, _: str) -> None:
        while not self._stop.is_set():
            self.read.append(self._called(lambda: self.shop.find(event_id=PROBE)))
            self._stop.wait(self.read_pause_seconds)

    def stop(self) -> None:
        self._stop.set()

    def _batches(self, name: str) -> Iterator[list[Event]]:
        number = 0
        while not self._stop.is_set():
            number += 1
            who = {"visitor_id": f"v-{name}-{number}"}
            visit = a_visit(timedelta(hours=2), event_id=f"t-{name}-{number}", **who)
            yield [visit, an_order(f"{name}-{number}", event_id=f"c-{name}-{number}", **who)]

    def _take(self, verdicts: list[EventVerdict]) -> None:
        names = [named(verdict) for verdict in verdicts]
        self.verdicts.update(names)
        self.failures += [name for name in names if name not in ("ACCEPTED", "DUPLICATE", "UNDECIDED")]

    def _called(self, call: Callable[[], object]) -> Call:
        began = time.monotonic()
        try:
            call()
        except grpc.RpcError as error:
            return Call(began, code_of(error).name)
        return Call(began, "OK")


@contextmanager
def constant_load(shop: Shop, target: str, service: str) -> Iterator[Load]:
    """Runs callers that a service notices until the end of the block, then waits for what they have begun."""
    is_read = service == "query"
    pauses = (LONG_PAUSE_SECONDS, PAUSE_SECONDS) if is_read else (PAUSE_SECONDS, LONG_PAUSE_SECONDS)
    load = Load(shop, target, *pauses)
    kinds = [load.send_with_client] * CLIENTS + [load.send_bare] * BARE + [load.read_bare] * READERS
    threads = [
        threading.Thread(target=kind, args=(f"{service}-{place}",), daemon=True) for place, kind in enumerate(kinds)
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop()
        for thread in threads:
            thread.join(60)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Shop]]:
    """An installation of these tests' own."""
    with running_inbox() as inbox:
        settings = {"shop": {"destinations": [inbox.destination("purchase")]}}
        with (
            running_stack(tmp_path_factory.mktemp("shutdown"), settings) as (stack, keyed),
            open_shop(stack.addresses, keyed["shop"], inbox) as shop,
        ):
            shop.accept(an_order("probe", event_id=PROBE))
            shop.wait(lambda: shop.conversion_of_event(PROBE))
            yield stack, shop


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_leaves_under_load_without_failing_a_call(own: tuple[Stack, Shop], service: str) -> None:
    stack, shop = own
    process = stack.services[service]
    with constant_load(shop, stack.addresses["ingestion"], service) as load:
        _wait_for_calls(load)
        asked = time.monotonic()
        process.ask_to_stop()
        eventually(lambda: process.exit_status is not None, LONGEST_STOP_SECONDS)
        stack.restart(service)
        _wait_for_calls(load)

    assert process.exit_status is None, "it runs again"
    assert '"error"' not in process.log_tail(), process.log_tail()
    assert load.failures == []
    if service in ("ingestion", "query"):  # called directly; what has not reached another one may be told to come again
        calls = load.ingested if service == "ingestion" else load.read
        assert [call for call in calls if call.began < asked and call.code != "OK"] == [], "was in flight"
    assert {call.code for call in (*load.ingested, *load.read)} <= {"OK", "UNAVAILABLE", "CANCELLED"}
    assert _cut_off(stack) == []
    shop.wait_until_settled()
    _check_effects(shop)


def test_a_service_that_was_asked_to_leave_ends_with_status_0(own: tuple[Stack, Shop]) -> None:
    stack, _ = own
    for service in reversed(SERVICES):
        stack.services[service].ask_to_stop()
    for service in SERVICES:
        process = stack.services[service]
        eventually(lambda process=process: process.exit_status is not None, LONGEST_STOP_SECONDS)
        assert process.exit_status == 0, process.log_tail()


def _cut_off(stack: Stack) -> list[str]:
    """Returns the causes of failed calls between services that had reached one: it did not finish them."""
    lines = [
        json.loads(line)
        for service in stack.services.values()
        for line in service.log_file.read_text().splitlines()
        if '"rpc_handled"' in line and not ('"OK"' in line or '"NOT_FOUND"' in line)
    ]
    never_reached = "connections to all backends failing"
    return [
        line.get("cause", line["code"])
        for line in lines
        # Who goes on calling a process that leaves is told so, at once: nothing was begun.
        if never_reached not in line.get("cause", "") and line.get("reason") != "LEAVING"
    ]


def _wait_for_calls(load: Load) -> None:
    """Waits until every kind of caller has made calls that went well."""
    begun = load.verdicts.total(), len(load.ingested), len(load.read)

    def made() -> None:
        assert load.verdicts.total() - begun[0] > 2 * ENOUGH
        assert [call for call in load.ingested[begun[1] :] if call.code == "OK"]
        assert [call for call in load.read[begun[2] :] if call.code == "OK"]

    eventually(made)


def _check_effects(shop: Shop) -> None:
    """Checks that every conversion took effect once at the destination."""
    assert set(shop.inbox.effects().values()) == {1}
