"""What the claim scripts counted is what there are rows of; where it is not, the events are named and written again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass

import pytest
import redis.asyncio

from tests.support.attribution import NOON, Admitted, Events, entry
from tests.support.stores import create_test_epoch
from tributary_attribution.arrivals import Arrival
from tributary_attribution.lost_events import LostEvents
from tributary_attribution.lost_refusals import LostRefusals
from tributary_attribution.recording_checks import RecordingChecks
from tributary_attribution.verdict_sums import VerdictSums
from tributary_domain.findings import Finding, FindingCause, FindingKind, FindingState, Severity
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.event_rows import EventBatch, LogPlace
from tributary_storage.clickhouse.reconciliation_sources import ReconciliationSources
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.writer import EventWriter
from tributary_storage.redis import keys
from tributary_storage.redis.client import connect
from tributary_storage.redis.epoch import confirm_loss
from tributary_storage.redis.log_side import LogSide


@dataclass
class Recording:
    """An event log, and the rows of its events."""

    log: redis.asyncio.Redis
    clickhouse: ClickHouse
    workspace: str
    erased: bool = False

    async def accept(self, *events: Admitted, verdicts: str = "ACCEPTED") -> None:
        """Does what the claim script does, and the recorder has not done yet."""
        one = entry(self.workspace, events)
        stream = keys.event_log(0, "live")
        fields = {"schema": one.schema, "payload": one.payload, "mask": one.mask, "accept_time": one.accept_micros}
        await self.log.xadd(stream, fields)
        await self.log.hincrby(keys.verdicts(0), f"{self.workspace}|{verdicts}", len(events))

    async def acknowledge(self) -> None:
        """Lets the recorder say that it has recorded all."""
        await self.log.xgroup_create(keys.event_log(0, "live"), keys.RECORD_GROUP, "$")

    async def record(self, *events: Admitted) -> None:
        batch, one = EventBatch(), entry(self.workspace, events)
        for position, letter, admission, admitted in one.events():
            place = LogPlace.of(one.shard, one.lane, one.entry_id, one.accept_micros)
            batch.add(place, position, letter, admission.workspace, admitted, admission.accept_context)
        await EventWriter(self.clickhouse).write(batch)

    async def lose(self, event_id: str) -> None:
        await self.clickhouse.execute(
            "ALTER TABLE events DELETE WHERE workspace = %(w)s AND event_id = %(e)s SETTINGS mutations_sync = 2",
            {"w": self.workspace, "e": event_id},
        )

    async def check(self, *, repairs: bool = True) -> tuple[dict[str, int], list[Finding]]:
        sources, log = ReconciliationSources(self.clickhouse), LogSide(self.log, 4)
        lost = LostEvents(log, sources, EventWriter(self.clickhouse), self._left_of)
        refusals = LostRefusals(log, sources, EventWriter(self.clickhouse), self._names_erased)
        checks = RecordingChecks(VerdictSums(log, sources), lost, refusals, wait_seconds=0)
        scope = Scope("r1:test", self.workspace, 0, 2**60, 2)
        return await checks.check(scope, NOON, repairs=repairs)

    async def _left_of(self, arrivals: Sequence[Arrival]) -> Sequence[Arrival | None]:
        return [None] * len(arrivals) if self.erased else arrivals

    async def _names_erased(self, workspace: str, tokens: Collection[str], micros: int) -> bool:
        return self.erased


@pytest.fixture
async def recording(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Recording]:
    await create_test_epoch(redis_url)
    async with (
        connect(redis_url, name="tests") as log,
        clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60, connections=1) as clickhouse,
    ):
        yield Recording(log, clickhouse, workspace)


def told(found: Sequence[Finding]) -> list[tuple[str, FindingCause, FindingState]]:
    return [(one.event_id, one.cause, one.state) for one in found]


async def test_what_is_recorded_as_it_was_counted_is_no_finding(recording: Recording) -> None:
    make = Events(recording.workspace)
    events = [make.touch("visitor:a"), make.order("visitor:a")]
    await recording.accept(*events)
    await recording.record(*events)
    await recording.acknowledge()
    counts, found = await recording.check()
    assert (counts["received"], counts["counted_accepted"], counts["stored_accepted"], counts["lost_events"]) == (
        *(2, 2, 2),
        0,
    )
    assert found == []


async def test_what_was_never_recorded_is_named_and_written_from_the_log(recording: Recording) -> None:
    make = Events(recording.workspace)
    kept, lost = make.touch("visitor:a"), make.touch("visitor:a", event_id="lost")
    await recording.accept(kept, lost)
    await recording.record(kept)
    await recording.acknowledge()
    _, found = await recording.check(repairs=False)
    assert told(found)[0] == ("lost", FindingCause.LOST_EVENT, FindingState.OPEN)
    assert (found[1].kind, found[1].expected, found[1].actual.partition(";")[0]) == (FindingKind.SUM_WRONG, "2", "1")
    assert {one.severity for one in found} == {Severity.ERROR}
    counts, found = await recording.check()
    assert told(found) == [("lost", FindingCause.LOST_EVENT, FindingState.RESOLVED)]
    assert (counts["stored_accepted"], counts["lost_events"]) == (2, 1)
    assert (await recording.check())[1] == []


async def test_a_row_that_was_lost_is_named_though_the_log_has_forgotten_it(recording: Recording) -> None:
    lost = Events(recording.workspace).touch("visitor:a", event_id="lost")
    await recording.record(lost)
    await recording.lose("lost")
    _, found = await recording.check()
    assert told(found) == [("lost", FindingCause.LOST_EVENT, FindingState.OPEN)]


async def test_of_who_was_erased_only_that_there_was_an_event_comes_back_from_the_log(recording: Recording) -> None:
    recording.erased = True
    await recording.accept(Events(recording.workspace).touch("visitor:a", event_id="lost"))
    await recording.acknowledge()
    counts, found = await recording.check()
    assert (counts["stored_accepted"], told(found)) == (
        1,
        [("lost", FindingCause.LOST_EVENT, FindingState.RESOLVED)],
    )
    rows = await recording.clickhouse.execute(
        "SELECT event_id, kind, identity_tokens, admitted FROM events WHERE workspace = %(w)s",
        {"w": recording.workspace},
    )
    assert rows == [("lost", "erased", [], "")]
    assert (await recording.check())[1] == []


@pytest.mark.parametrize("erased", [False, True])
async def test_a_refusal_that_was_lost_is_written_from_the_log_of_who_was_erased_without_what_was_sent(
    recording: Recording, erased: bool
) -> None:
    recording.erased = erased
    make = Events(recording.workspace)
    await recording.accept(make.touch("visitor:a", letter="C", event_id="lost"), verdicts="CONFLICT")
    await recording.acknowledge()
    _, found = await recording.check(repairs=False)
    assert told(found)[0] == ("lost", FindingCause.LOST_REFUSAL, FindingState.OPEN)
    _, found = await recording.check()
    assert told(found) == [("lost", FindingCause.LOST_REFUSAL, FindingState.RESOLVED)]
    counts, found = await recording.check()
    assert (counts["stored_conflict"], found) == (1, [])
    asked = "SELECT event_id, reason_codes, admitted = '' FROM refusals WHERE workspace = %(w)s"
    [(event_id, [_], is_stripped)] = await recording.clickhouse.execute(asked, {"w": recording.workspace})
    assert (event_id, bool(is_stripped)) == ("lost", erased)


async def test_more_rows_than_were_counted_are_a_finding(recording: Recording) -> None:
    await recording.record(Events(recording.workspace).touch("visitor:a"))
    _, [found] = await recording.check()
    assert (found.kind, found.expected, found.actual) == (FindingKind.SUM_WRONG, "0", "1")


async def test_what_waits_for_the_recorder_is_no_finding(recording: Recording) -> None:
    await recording.accept(Events(recording.workspace).touch("visitor:a"))
    counts, found = await recording.check()
    assert (counts["verdicts_unsettled"], counts["unrecorded"], found) == (1, 1, [])


async def test_counters_that_were_lost_with_the_log_are_not_compared(recording: Recording) -> None:
    await recording.record(Events(recording.workspace).touch("visitor:a"))
    await confirm_loss(recording.log, "log")
    counts, found = await recording.check()
    assert (counts["verdicts_unsettled"], found) == (1, [])
