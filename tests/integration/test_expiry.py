"""What is older than a workspace keeps it goes, and takes no total, no credit and no identity with it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.test_erasure import received, totals
from tests.integration.test_recalling import named
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Attribution, Events, known_workspaces
from tests.support.families import Families
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tests.support.worlds import a_world, people_who_share
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.ended_paths import EndedPaths
from tributary_attribution.expiry import Expiry
from tributary_attribution.runs import exit_status
from tributary_cli.explain_tables import deleted_line
from tributary_domain.retention import Announced, retained_since
from tributary_runtime.clock import SystemClock
from tributary_runtime.privacy_settings import RetentionSettings
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.ended_paths import EndedPathRecords
from tributary_storage.clickhouse.integrity import StoredEvents, StoredIntegrity
from tributary_storage.clickhouse.reconciled_days import GRACE_MICROS, ReconciledDays
from tributary_storage.clickhouse.reconciliation_sources import ReconciliationSources
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.retained_since import RetainedSince
from tributary_storage.clickhouse.retention import RetainedTable, RetentionRecords, RetentionState
from tributary_storage.redis.run_leases import RunLeases

pytestmark = pytest.mark.timeout(120)

HOUR = DAY // 24
NOW = NOON + 5 * DAY
LONG_AGO = NOON - 460 * DAY
"""Fifteen months: a month more than is kept."""
RECENTLY = NOON - 20 * DAY
SINCE = retained_since(NOW, 14)
VISITOR, PHONE, CUSTOMER = "visitor:v", "visitor:p", "customer:c"


class Later(SystemClock):
    """A clock that is told the time."""

    micros = NOW

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.micros / 1e6, UTC)

    def unix_micros(self) -> int:
        return self.micros


@dataclass
class Kept:
    """An attribution, what reconciles it, and what deletes of it."""

    world: Reconciled
    expiry: Expiry
    clock: Later
    paths: EndedPaths

    @property
    def attribution(self) -> Attribution:
        return self.world.attribution

    async def delete(self, months: int | None = 14) -> dict[str, int]:
        """Deletes what was told of for long enough."""
        workspace = self.keeping(months)
        if months is not None:
            await self.tell(workspace.id, months)
        return await self.expiry.delete(workspace)

    def keeping(self, months: int | None) -> Workspace:
        """Returns the workspace as one that keeps events for so many months."""
        retention = RetentionSettings(person_event_months=months)
        return self.attribution.workspace.model_copy(update={"retention": retention})

    async def tell(self, workspace: str, months: int) -> None:
        """Notes that it is told long since what is deleted."""
        records, now = RetentionRecords(self.attribution.clickhouse), self.clock.micros
        state = (await records.states()).get(workspace, RetentionState())
        told = state._replace(announced=Announced(1, retained_since(now, months)))
        await records.write(workspace, told, now - 1, now - 1)

    async def rows(self, table: str, columns: str, where: str = "1") -> list[tuple[Any, ...]]:
        return await self.attribution.clickhouse.execute(
            f"SELECT {columns} FROM {table} WHERE workspace = %(w)s AND {where} ORDER BY ALL",  # noqa: S608 - ours
            {"w": self.attribution.workspace.id},
        )

    async def stored(self) -> StoredEvents:
        return await StoredIntegrity(self.attribution.clickhouse).events(self.attribution.workspace.id)

    async def differences(self) -> int:
        """Returns the exit status of a run over all there ever was; what random people refund oddly is no error."""
        run = await self.world.run(self.world.a_run(begin=LONG_AGO - 40 * DAY, end=NOON + 9 * DAY, repairs=False))
        assert await self.world.differences() == []
        self.counts = run.counts
        return exit_status(run, fails_on="error")


def expiring(records: RetentionRecords, kept: Kept) -> Expiry:
    """Returns what deletes by some records."""
    attribution = kept.attribution
    leases, directory = RunLeases(attribution.state), known_workspaces(attribution.workspace)
    return Expiry(records, kept.paths, leases, directory, kept.clock, told_seconds=0)


def kept_of(world: Reconciled, now: int = NOW) -> Kept:
    """Returns what is deleted of an attribution, at a time."""
    attribution, clock = world.attribution, Later()
    clock.micros = now
    records, leases = RetentionRecords(attribution.clickhouse), RunLeases(attribution.state)
    directory = known_workspaces(attribution.workspace)
    paths = EndedPaths(EndedPathRecords(attribution.clickhouse), attribution.old_people, clock, page=3)
    return Kept(world, Expiry(records, paths, leases, directory, clock, told_seconds=0), clock, paths)


@pytest.fixture
async def kept(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Kept]:
    patience = {"delivery_seconds": PATIENCE_SECONDS}
    async with reconciled(migrated_redis_url, clickhouse_url, workspace, **patience) as world:
        yield kept_of(world)


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


async def lived(kept: Kept, events: Events) -> None:
    """Somebody came to an order fifteen months ago, by two devices, and comes again by both this month."""
    await kept.world.happen(
        events.touch(PHONE, at=LONG_AGO - 4 * DAY, channel="Email", event_id="mail"),
        events.touch(VISITOR, at=LONG_AGO - 3 * DAY, channel="Display", event_id="banner"),
        events.touch(VISITOR, at=LONG_AGO - DAY, letter="Q", event_id="bot"),
        events.identify(CUSTOMER, VISITOR, at=LONG_AGO - 2 * DAY, event_id="login"),
        events.identify(CUSTOMER, VISITOR, at=LONG_AGO - DAY, event_id="login-again"),
        events.identify(CUSTOMER, PHONE, at=LONG_AGO - DAY, event_id="login-phone"),
        events.order(CUSTOMER, at=LONG_AGO, order_id="o-old", event_id="order"),
    )
    await kept.attribution.let_journeys_expire()
    await kept.world.happen(
        events.touch(PHONE, at=RECENTLY - 2 * DAY, channel="Paid Search", event_id="new-phone"),
        events.touch(VISITOR, at=RECENTLY - DAY, channel="Organic Search", event_id="new-visit"),
        events.order(CUSTOMER, at=RECENTLY, order_id="o-new"),
    )


async def chain(kept: Kept, events: Events, order_id: str) -> list[ConversionRevised]:
    found = [
        one for one in await kept.attribution.logged() if one.state.conversion_id == events.conversion_id(order_id)
    ]
    return sorted(found, key=lambda one: one.revision)


async def test_what_is_too_old_goes_and_every_total_stays(kept: Kept, events: Events) -> None:
    await lived(kept, events)
    before = await totals(kept.attribution), await kept.stored()
    assert await kept.delete() == {"events": 2}
    assert await kept.rows("events", "kind, event_id", f"toUnixTimestamp64Micro(event_time) < {SINCE}") == [
        ("conversion", "order"),
        ("sighting", "banner"),
        ("sighting", "login"),
        ("sighting", "login-phone"),
        ("sighting", "mail"),
    ]
    after = await kept.stored()
    assert await totals(kept.attribution) == before[0]
    assert (after.accepted, after.quarantined, after.rows) == (before[1].accepted, before[1].quarantined, 8)
    assert await kept.rows(
        "events_by_identifier", "kind, event_id", f"toUnixTimestamp64Micro(event_time) < {SINCE}"
    ) == [
        ("conversion", "order"),
        ("sighting", "banner"),
        *[("sighting", "login")] * 2,
        *[("sighting", "login-phone")] * 2,
        ("sighting", "mail"),
    ]
    assert await RetainedSince(kept.attribution.clickhouse).of(kept.attribution.workspace.id) == SINCE


async def test_a_sighting_says_which_identifiers_and_when_and_by_which_number_a_click_goes(
    kept: Kept, events: Events
) -> None:
    touch = events.touch(VISITOR, CUSTOMER, at=LONG_AGO, event_id="t-1", clicks={"gclid": "canary"})
    touch[1].event.context.page_url = "https://shop.example/canary"
    touch[1].event.session_id = "canary"
    await kept.world.happen(touch)
    await kept.delete()
    [row] = await kept.attribution.clickhouse.execute(
        "SELECT * FROM events FINAL WHERE workspace = %(w)s", {"w": kept.attribution.workspace.id}
    )
    assert "canary" not in str(row)
    assert await kept.rows("events FINAL", "event_id, identity_tokens") == [("t-1", [VISITOR, CUSTOMER])]


async def test_stream_and_batch_agree_on_what_is_left(kept: Kept, events: Events) -> None:
    await lived(kept, events)
    await kept.delete()
    assert await kept.differences() == 0
    assert (kept.counts["conversions"], kept.counts["too_old"]) == (2, 1)


async def test_a_refund_of_what_is_too_old_leaves_its_credit_where_it_was(kept: Kept, events: Events) -> None:
    await lived(kept, events)
    [before] = await chain(kept, events, "o-old")
    await kept.delete()
    await kept.world.happen(events.refund(45_000_000, order_id="o-old", at=NOON))
    after = (await chain(kept, events, "o-old"))[-1]
    assert after.state.value.amount_micros == 45_000_000
    assert [one.event_id for one in after.state.touches] == [one.event_id for one in before.state.touches]
    assert [[credit.credit_micros for credit in touch.credits] for touch in after.state.touches] == [
        [credit.credit_micros for credit in touch.credits] for touch in before.state.touches
    ]
    assert await kept.differences() == 0


async def test_what_a_run_of_other_days_could_not_compare_for_its_age_is_noted(kept: Kept, events: Events) -> None:
    """The refund is compared, and the credit as it was when its touches were there."""
    await lived(kept, events)
    days, refund = ReconciledDays(kept.attribution.clickhouse), events.refund(1_000_000, order_id="o-old", at=NOON)
    old, looks = events.conversion_id("o-old"), []
    await kept.world.happen(refund)
    for deletes in (False, True):
        if deletes:
            await kept.delete()
        asked = kept.world.a_run(begin=NOON - DAY, end=SystemClock().unix_micros() + DAY, repairs=False)
        run = await kept.world.run(replace(asked, with_changes=True))
        look = await days.look_at(kept.attribution.workspace.id, old)
        assert look is not None
        looks.append((look.verified_micros - run.create_micros, look.credit_micros - look.verified_micros))
    assert looks[0] == (-GRACE_MICROS, 0)
    assert looks[1][0] == -GRACE_MICROS
    assert looks[1][1] < 0, "of the run before"
    [revised] = (await chain(kept, events, "o-old"))[-1:]
    assert await days.credit_stands(kept.attribution.workspace.id, old, revised.revision, revised.revision)
    assert not await days.credit_stands(kept.attribution.workspace.id, old, revised.revision, 0)


async def test_a_touch_of_long_ago_takes_no_credit_from_those_that_are_gone(kept: Kept, events: Events) -> None:
    await lived(kept, events)
    await kept.delete()
    await kept.world.happen(events.touch(VISITOR, at=LONG_AGO - 2 * DAY, channel="Affiliates"))
    assert len(await chain(kept, events, "o-old")) == 1


async def test_a_run_that_stopped_is_gone_on_with_and_counts_nothing_twice(kept: Kept, events: Events) -> None:
    await lived(kept, events)
    before = await kept.stored()
    records, workspace = RetentionRecords(kept.attribution.clickhouse), kept.attribution.workspace
    [month] = await records.months(workspace.id, RetainedTable.EVENTS, SINCE, NOW - 2 * DAY)
    await records.keep_sightings(month, 5, 30)
    await records.count(month, NOW)
    half = await kept.stored()
    assert (half.accepted, half.quarantined) == (before.accepted, before.quarantined)
    kept.clock.micros += DAY
    assert await kept.delete() == {"events": 2}
    assert await kept.delete() == {}
    after = await kept.stored()
    assert (after.accepted, after.quarantined) == (before.accepted, before.quarantined)


async def test_what_was_accepted_just_now_waits_and_is_found_until_it_goes(kept: Kept, events: Events) -> None:
    await lived(kept, events)
    late = events.touch(VISITOR, at=LONG_AGO - 5 * DAY, letter="Q", event_id="late")
    await kept.attribution.record(late, accept_micros=NOW - HOUR)
    await kept.delete()
    assert ("late",) in await kept.rows("events_by_identifier", "event_id")
    kept.clock.micros += 3 * DAY
    assert await kept.delete() == {"events": 1}
    assert ("late",) not in await kept.rows("events_by_identifier", "event_id")


async def test_nothing_goes_where_nobody_said_for_how_long_it_is_kept(kept: Kept, events: Events) -> None:
    await lived(kept, events)
    assert await kept.delete(None) == {}
    assert await kept.rows("retentions", "retained_since", "retained_since > toDateTime64(0, 6)") == []


async def test_where_nobody_said_for_how_long_it_is_told_for_thirty_days_before_anything_goes(
    kept: Kept, events: Events, capsys: pytest.CaptureFixture[str]
) -> None:
    unsaid, never = kept.attribution.workspace, datetime.fromtimestamp(0, UTC)
    kept.clock.micros = NOW - 40 * DAY
    assert await kept.expiry.delete(unsaid) == {}
    assert await kept.rows("retentions FINAL", "retained_since, announce_time") == [(never, never)]
    kept.clock.micros = NOW
    await lived(kept, events)  # history that was imported long after nothing was too old
    for days in (0, 1, 28):
        kept.clock.micros += days * DAY
        assert await kept.expiry.delete(unsaid) == {}
        assert "retention_announced" in capsys.readouterr().out
    assert await kept.rows("retentions FINAL", "retained_since, announce_time") == [
        (never, datetime.fromtimestamp(NOW // 10**6, UTC))
    ]
    kept.clock.micros += DAY
    assert await kept.expiry.delete(unsaid) == {"events": 2}


async def test_nothing_is_said_to_be_gone_where_nothing_was_too_old(kept: Kept, events: Events) -> None:
    await kept.world.happen(events.touch(VISITOR, at=SINCE), events.order(VISITOR, at=SINCE + HOUR))
    assert await kept.delete() == {}
    assert await RetainedSince(kept.attribution.clickhouse).of(kept.attribution.workspace.id) == 0
    assert len(await received(kept.attribution)) == 1


async def test_explaining_says_since_when_there_are_touchpoints(kept: Kept, events: Events) -> None:
    await lived(kept, events)
    workspace, old, new = kept.attribution.workspace.id, *map(events.conversion_id, ("o-old", "o-new"))
    assert not (await kept.attribution.explainer.explain(workspace, old)).message.HasField("retained_since_time")
    await kept.delete()
    told = (await kept.attribution.explainer.explain(workspace, old)).message
    assert told.retained_since_time.ToMicroseconds() == SINCE
    assert told.complete_since_time.ToMicroseconds() == SINCE
    assert told.reproduces_revision
    assert [touch.event_id for touch in told.touchpoints if touch.credited] == named("mail", "banner")
    assert "are deleted" in deleted_line(told)
    told = (await kept.attribution.explainer.explain(workspace, new)).message
    assert not told.HasField("retained_since_time")
    assert told.reproduces_revision


async def test_an_erased_person_is_taken_out_of_sightings(kept: Kept, events: Events) -> None:
    await lived(kept, events)
    await kept.delete()
    erasing = kept.attribution.erasing
    people = await kept.attribution.people.people_of({(kept.attribution.workspace.id, CUSTOMER)})
    tokens = next(iter(people.values())).tokens
    assert set(tokens) == {CUSTOMER, VISITOR, PHONE}
    erasure = await erasing.request(erasing.plan(kept.attribution.workspace.id, tokens))
    async with forgetting(kept.attribution):
        await erasing.go_on(erasure)
        found = await kept.rows("events FINAL", "identity_tokens", "kind = 'sighting'")
        assert found == [([],)] * 4
        assert not any((await erasing.survey(erasure)).values())


@pytest.fixture
async def short_sighted(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Kept]:
    """Looks back a week, and keeps what happened since three weeks before the orders."""
    settings = {"attribution": [{"lookback_days": 7}]}
    async with reconciled(migrated_redis_url, clickhouse_url, workspace, **settings) as world:
        yield kept_of(world, NOON + 420 * DAY)


@pytest.mark.parametrize("seed", [3, 4])
async def test_stream_and_batch_agree_on_random_people_of_whom_half_is_gone(
    short_sighted: Kept, workspace: str, seed: int
) -> None:
    kept, rng = short_sighted, random.Random(seed)
    await kept.world.happen(*a_world(workspace, rng, 40), *people_who_share(workspace, seed))
    before = await totals(kept.attribution)
    deleted = await kept.delete()
    assert deleted["events"] > 30
    assert await totals(kept.attribution) == before
    await kept.attribution.let_journeys_expire()
    orders = [row[0] for row in await kept.rows("conversions FINAL", "order_id", "order_id != ''")]
    events = Events(workspace)
    refunds = [
        events.refund(1_000_000, order_id=order_id, at=NOON + 2 * DAY, event_id=f"late-{order_id}")
        for order_id in orders
    ]
    await kept.world.happen(*refunds)
    assert await kept.differences() == 0
    assert kept.counts["conversions"] > 10
    assert kept.counts["too_old"] > 0


async def test_a_renewal_has_the_credit_of_a_first_payment_whose_touches_are_gone(kept: Kept, events: Events) -> None:
    families = Families(events)
    await kept.world.happen(
        events.touch(VISITOR, CUSTOMER, at=LONG_AGO - DAY, channel="Display", event_id="banner"),
        families.cycle(CUSTOMER, kind="FIRST", cycle="1", at=LONG_AGO),
    )
    await kept.delete()
    await kept.attribution.lose_state()
    await kept.world.happen(families.cycle(CUSTOMER, kind="RENEWAL", cycle="2", at=RECENTLY))
    [renewed] = [one for one in await kept.attribution.logged() if one.state.recurrence.cycle == "2"]
    assert [touch.event_id for touch in renewed.state.touches] == named("banner")
    assert await kept.differences() == 0
    assert (kept.counts["conversions"], kept.counts["too_old"]) == (2, 1)


async def test_what_was_refused_goes_by_when_it_was_and_stays_counted(kept: Kept, events: Events) -> None:
    for letter, accept_micros in (("R", LONG_AGO), ("C", LONG_AGO + HOUR), ("R", NOON)):
        await kept.attribution.record(events.touch(VISITOR, at=LONG_AGO, letter=letter), accept_micros=accept_micros)
    await kept.world.happen(events.touch(VISITOR, at=LONG_AGO))
    assert await kept.delete() == {"events": 1, "refusals": 2}
    assert await kept.rows("refusals", "verdict") == [("REJECTED",)]
    stored = await kept.stored()
    assert (stored.accepted, stored.conflicts, stored.rejected) == (1, 1, 2)
    scope = Scope("r", kept.attribution.workspace.id, 0, 1, 1)
    rows = await ReconciliationSources(kept.attribution.clickhouse).verdict_rows(scope)
    assert rows.by_verdict() == {"ACCEPTED": 1, "QUARANTINED": 0, "DUPLICATE": 0, "CONFLICT": 1, "REJECTED": 2}
    assert (
        await ReconciliationSources(kept.attribution.clickhouse).lost_events(
            replace(scope, retained_since_micros=SINCE), 9
        )
        == []
    )
