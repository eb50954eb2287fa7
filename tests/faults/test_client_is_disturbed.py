"""Every tracked event ends up accepted exactly once, whoever is killed meanwhile: the door, dedup, or the client."""

from __future__ import annotations

import mmap
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from tests.support.door import Door, running_door
from tests.support.eventually import eventually
from tests.support.stores import Stores, create_test_epoch, run_apart
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent, AdmittedEvents
from tributary.event.v1 import verdict_pb2
from tributary_client import Batching, Buffering, Decision, RetryPolicy, TransportKind, Tributary

PATIENT = RetryPolicy(first_delay_seconds=0.02, max_delay_seconds=0.3, attempt_seconds=5)
SMALL = Batching(events=20, linger_seconds=0.01, in_flight=4)
both_ways = pytest.mark.parametrize("way", list(TransportKind), ids=lambda way: way.value)


@dataclass(frozen=True)
class Installation:
    """The door of these tests, its log, and a workspace of the test's own."""

    door: Door
    redis_url: str
    workspace: str

    @property
    def api_key(self) -> str:
        return self.door.keys[self.workspace]

    def accepted(self) -> Counter[str]:
        """Counts, per event id, how often consumers would see the event as accepted."""
        seen: Counter[str] = Counter()
        with redis.Redis.from_url(self.redis_url) as log:
            for stream in log.scan_iter("trb:*:log:*"):
                for _, fields in log.xrange(stream):
                    mask, position = fields[b"mask"].decode(), 0
                    for admission in AdmittedEvents.FromString(fields[b"payload"]).admissions:
                        for event in admission.events:
                            if mask[position] == "A" and admission.workspace == self.door.ids[self.workspace]:
                                seen[AdmittedEvent.FromString(event).event.event_id] += 1
                            position += 1
        return seen


@pytest.fixture(scope="module")
def installations(
    stores: Stores, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Iterator[Installation]]:
    url = stores.empty_redis_url()
    run_apart(create_test_epoch(url))
    names = [f"shop-{number}" for number in range(20)]
    with running_door(tmp_path_factory.mktemp("door"), url, clickhouse_url, {name: {} for name in names}) as door:
        yield (Installation(door, url, name) for name in names)


@pytest.fixture
def installation(installations: Iterator[Installation]) -> Installation:
    return next(installations)


@dataclass
class Traffic:
    """A backend that tracks one event after the other until it is told to stop."""

    client: Tributary
    tracked: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._stop.is_set():
            number = len(self.tracked)
            event_id = self.client.track_conversion("purchase", order_id=f"o-{number}", customer_id=f"c-{number}")
            self.tracked.append(event_id)
            self._stop.wait(0.003)

    def during(self, disturb: Callable[[], None]) -> None:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            disturb()
        finally:
            self._stop.set()
            thread.join(60)


def a_client(installation: Installation, way: TransportKind, told: list[Decision]) -> Tributary:
    return Tributary(
        installation.door.ingestion.address,
        api_key=installation.api_key,
        transport=way,
        batching=SMALL,
        buffering=Buffering(block_seconds=60),
        retry=PATIENT,
        on_verdict=told.append,
    )


def check(traffic: Traffic, told: list[Decision], installation: Installation) -> Counter[str]:
    """Checks that every event was decided once and is there once; returns the verdicts."""
    decided = Counter(decision.verdict.event_id for decision in told)
    assert decided == Counter(traffic.tracked), "each event is told of once"
    assert installation.accepted() == Counter(traffic.tracked), "and accepted once"
    return Counter(verdict_pb2.Verdict.Name(decision.verdict.verdict) for decision in told)


@both_ways
@pytest.mark.parametrize("service", ["ingestion", "dedup"])
def test_a_server_that_is_killed_again_and_again_loses_and_doubles_nothing(
    installation: Installation, way: TransportKind, service: str
) -> None:
    told: list[Decision] = []
    process = getattr(installation.door, service)

    def kill() -> None:
        for _ in range(2):
            before = client.counters.accepted
            eventually(lambda before=before: client.counters.accepted > before + 100)
            process.kill()
            process.start()
            process.wait_until_ready()

    with a_client(installation, way, told) as client:
        traffic = Traffic(client)
        traffic.during(kill)
        assert client.flush(60)
        counters = client.counters
    verdicts = check(traffic, told, installation)
    assert set(verdicts) <= {"VERDICT_ACCEPTED", "VERDICT_DUPLICATE"}
    assert verdicts["VERDICT_DUPLICATE"] <= counters.resent
    assert counters.resent > 0, "nothing was under way when it was killed: the test proved nothing"


@both_ways
def test_a_server_that_leaves_answers_everything_it_took(installation: Installation, way: TransportKind) -> None:
    told: list[Decision] = []
    process = installation.door.ingestion

    def replace() -> None:
        eventually(lambda: client.counters.accepted > 100)
        process.ask_to_stop()
        eventually(lambda: process.exit_status is not None)
        assert process.exit_status == 0
        process.start()
        process.wait_until_ready()

    with a_client(installation, way, told) as client:
        traffic = Traffic(client)
        traffic.during(replace)
        assert client.flush(60)
    verdicts = check(traffic, told, installation)
    assert set(verdicts) == {"VERDICT_ACCEPTED"}, "an answer was lost although nobody was killed"


def a_backend(installation: Installation, way: TransportKind, spool: Path, prefix: str, count: int) -> list[str]:
    door = installation.door
    names = (door.ingestion.address, installation.api_key, str(spool), way.value, prefix, str(count))
    return [sys.executable, "-m", "tests.support.tracking_process", *names]


@pytest.mark.parametrize(
    ("way", "is_server_there"),
    [
        pytest.param(TransportKind.STREAM, True, id="while sending by stream"),
        pytest.param(TransportKind.CALLS, True, id="while sending by calls"),
        pytest.param(TransportKind.CALLS, False, id="while the server is down"),
    ],
)
def test_a_client_that_is_killed_has_forgotten_nothing_when_it_comes_back(
    installation: Installation, way: TransportKind, is_server_there: bool, tmp_path: Path
) -> None:
    spool, chance = tmp_path / "spool", random.Random(1)
    tracked: list[str] = []
    if not is_server_there:
        installation.door.ingestion.kill()
    for life in range(2):
        with subprocess.Popen(
            a_backend(installation, way, spool, f"life{life}", 1_000_000),
            stdout=subprocess.PIPE,
            pipesize=mmap.PAGESIZE,  # it is never far ahead of who reads
        ) as process:
            assert process.stdout is not None
            wanted = chance.randrange(200, 1_000)
            seen = [process.stdout.readline() for _ in range(wanted)]
            process.kill()
            seen += process.stdout.readlines()
        tracked += [line.decode().strip() for line in seen if line.endswith(b"\n")]
    if not is_server_there:
        installation.door.ingestion.start()
        installation.door.ingestion.wait_until_ready()
    done = subprocess.run(
        a_backend(installation, way, spool, "last", 10), capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    tracked += done.stdout.split()
    accepted = installation.accepted()
    assert set(accepted.values()) == {1}
    # What was being tracked when the process was killed may be there, too: nobody was told either way.
    assert set(tracked) <= set(accepted)
    assert len(accepted) <= len(tracked) + 3
    assert list(spool.glob("lane-*/*.events")) == [], "all is decided"


def test_without_a_spool_the_same_loses_events(installation: Installation, tmp_path: Path) -> None:
    """The test above can fail: without what it tests, it does."""
    door = installation.door
    lost: list[str] = []
    code = (
        "import os, sys; from tributary_client import *\n"
        "client = Tributary(sys.argv[1], api_key=sys.argv[2])\n"
        "for number in range(1000):\n"
        "    name = client.track_conversion('purchase', customer_id=f'c-{os.getpid()}-{number}')\n"
        "    os.write(1, (name + '\\n').encode())\n"
        "os.kill(os.getpid(), 9)\n"
    )
    begun = time.monotonic()
    while not lost and time.monotonic() - begun < 60:
        done = subprocess.run(
            [sys.executable, "-c", code, door.ingestion.address, installation.api_key],
            capture_output=True,
            text=True,
            check=False,
        )
        tracked = done.stdout.split()
        assert len(tracked) == 1000
        lost = sorted(set(tracked) - set(installation.accepted()))
    assert lost
