"""While ClickHouse is down, what waits for it costs nothing but the waiting."""

from __future__ import annotations

import pytest

from tributary.dedup.v1.admitted_events_pb2 import Admission, AdmittedEvents
from tributary_dedup.recorder import Recorder
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.clickhouse.event_rows import EventBatch
from tributary_storage.redis.log_entry import LogEntry


class Writer:
    """Stores that do not answer at first."""

    def __init__(self, failures: int) -> None:
        self.seen: list[EventBatch] = []
        self._failures = failures

    async def write(self, batch: EventBatch) -> None:
        self.seen.append(batch)
        if len(self.seen) <= self._failures:
            raise StorageUnavailableError("It does not answer.")


def an_entry() -> LogEntry:
    payload = AdmittedEvents(admissions=[Admission(workspace="shop", events=[b""])]).SerializeToString()
    return LogEntry(0, "live", "1-0", 1, payload, "D", 1_000, 1)


async def test_rows_that_wait_are_made_once() -> None:
    writer = Writer(failures=2)
    recorder = Recorder(writer, SystemClock())
    waiting, next_ones = [an_entry()], [an_entry()]
    for _ in range(2):
        with pytest.raises(StorageUnavailableError):
            await recorder.handle(waiting)
    await recorder.handle(waiting)
    await recorder.handle(next_ones)
    first, second, third, other = writer.seen
    assert first is second is third
    assert other is not third


async def test_rows_that_were_written_are_kept_no_longer() -> None:
    writer = Writer(failures=0)
    recorder = Recorder(writer, SystemClock())
    entries = [an_entry()]
    await recorder.handle(entries)
    await recorder.handle(entries)
    assert writer.seen[0] is not writer.seen[1]
