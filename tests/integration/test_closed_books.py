"""A closed month never changes: whatever is learned later posts to the first open day, under every model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from tests.support.attribution import DAY, NOON, SHARDS, Attribution, Events, running_attribution
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tributary_attribution.arrivals import Replayed
from tributary_runtime.clock import SystemClock
from tributary_runtime.privacy_settings import ErasureMode
from tributary_runtime.workspaces import Reporting
from tributary_storage.clickhouse.credit_columns import MODELS
from tributary_storage.clickhouse.integrity import StoredIntegrity
from tributary_storage.clickhouse.published_conversions import Wanted
from tributary_storage.clickhouse.report_query import Basis, Dimension, Metric, ReportQuery
from tributary_storage.clickhouse.reports import read_report
from tributary_storage.clickhouse.role_marks import PublishedMarks
from tributary_storage.redis.conversions import Conversions

_FIRST, _LAST = "2020-01-01", "2200-01-01"
SOLD = SystemClock().unix_micros() - 2 * DAY
"""Journeys are whole for as long as they live: nothing is kept because it may be forgotten."""
_LATER = {"late_touchpoint", "identity_merge", "refund", "retraction", "settings_change"}


async def _report(
    world: Attribution,
    end: str = _LAST,
    *,
    basis: Basis = Basis.POSTING,
    by_day: bool = True,
    as_of: int | None = None,
) -> bytes:
    """Returns the report of what was posted before a day, or of what is or was known, under every model."""
    query = ReportQuery(
        workspace=world.workspace.id,
        metrics=(Metric.CONVERSIONS, Metric.VALUE),
        dimensions=(Dimension.MODEL, Dimension.CHANNEL, *([Dimension.DAY] if by_day else [])),
        basis=basis,
        start_date=_FIRST,
        end_date=end,
        end_micros=2 * NOON,
        as_of_micros=as_of,
    )
    lines = await read_report(world.clickhouse, query)
    assert {line.key[0] for line in lines} == set(MODELS)
    return "\n".join(f"{line.key} {line.values}" for line in lines if any(line.values)).encode()


async def _posted(world: Attribution) -> dict[tuple[str, ...], list[date]]:
    """Returns the days that revisions are posted on, by cause."""
    rows = await world.clickhouse.execute(
        "SELECT causes, posting_date FROM conversion_revisions FINAL WHERE workspace = %(w)s ORDER BY posting_date",
        {"w": world.workspace.id},
    )
    days: dict[tuple[str, ...], list[date]] = {}
    for causes, day in rows:
        days.setdefault(tuple(causes), []).append(day)
    return days


def _a_month(make: Events) -> Sequence[Any]:
    """Returns what happened before the books were closed: five customers, each with an own story ahead."""
    events = []
    for number in range(5):
        visitor, customer = f"visitor:{number:022d}", f"customer:{number:022d}"
        events += [
            make.touch(visitor, at=SOLD - 3 * DAY, channel="Email"),
            make.touch(visitor, at=SOLD - 2 * DAY, channel="Paid Search"),
            make.order(visitor, customer, order_id=f"o-{number}", at=SOLD, micros=33_333_333 + number),
        ]
    return events


async def _learn_later(world: Attribution, make: Events) -> None:
    """Lets everything happen that changes conversions of a month that is closed."""
    await world.handle(make.touch(f"visitor:{0:022d}", at=SOLD - DAY, channel="Display"))  # late
    await world.handle(make.touch("visitor:before", at=SOLD - 5 * DAY, channel="Affiliates"))
    await world.handle(make.identify("visitor:before", f"customer:{1:022d}", at=SOLD - 4 * DAY))  # people become one
    at = SOLD + DAY
    await world.handle(make.refund(10_000_000, at=at, order_id="o-2"), make.retraction(at=at, order_id="o-3"))
    await world.work_off()


async def test_a_closed_month_is_the_same_to_the_byte_whatever_is_learned_later(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with running_attribution(redis_url, clickhouse_url, workspace) as world:
        await world.handle(*_a_month(make))
        closed = max((await _posted(world))[("initial",)])
        first_open = closed + timedelta(days=1)
        before = await _report(world, str(first_open))
    books = {"reporting": {"books_closed_through": closed}, "attribution": [{"lookback_days": 2}]}
    async with running_attribution(redis_url, clickhouse_url, workspace, **books) as world:
        await _learn_later(world, make)
        wanted = Wanted(workspace=workspace, start_micros=SOLD - DAY, end_micros=SOLD + DAY)
        assert (await world.reattribution.apply(wanted))[0].conversions == 5
        posted = await _posted(world)
        initial = posted.pop(("initial",))
        assert {cause for causes in posted for cause in causes} >= _LATER
        assert ({day for days in posted.values() for day in days}, set(initial)) == ({first_open}, {closed})
        assert await _report(world, str(first_open)) == before
        everything = await _report(world, by_day=False)
        assert everything == await _report(world, basis=Basis.CONVERSION, by_day=False)
        assert everything != await _report(world, str(first_open), by_day=False)


async def test_a_repair_that_began_before_books_were_closed_posts_to_no_day_that_is(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make, closed = Events(workspace), SystemClock().now().date() + timedelta(days=1)
    async with running_attribution(
        redis_url, clickhouse_url, workspace, reporting={"books_closed_through": closed}
    ) as world:
        of_then = world.workspace.model_copy(update={"reporting": Reporting()})
        letter, order = make.order("visitor:a", at=SOLD)
        replayed = Replayed(letter, order.SerializeToString(), SOLD, "")
        assert await world.attributor.replay(of_then, [replayed], ())
        assert await _posted(world) == {("initial", "reconciliation"): [closed + timedelta(days=1)]}


async def test_books_that_are_closed_further_keep_what_was_posted_since(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make, reports = Events(workspace), dict[str, bytes]()
    closed: date | None = None
    for number in range(3):
        settings = {} if closed is None else {"reporting": {"books_closed_through": closed}}
        async with running_attribution(redis_url, clickhouse_url, workspace, **settings) as world:
            touch = make.touch("visitor:a", at=SOLD - (number + 1) * DAY, channel=f"Channel {number}")
            await world.handle(touch, *([] if number else [make.order("visitor:a", at=SOLD)]))
            newest = max(day for days in (await _posted(world)).values() for day in days)
            assert closed is None or newest == closed + timedelta(days=1)
            for end, report in reports.items():
                assert await _report(world, end) == report
            closed = newest
            end = str(closed + timedelta(days=1))
            reports[end] = await _report(world, end)
    assert len(set(reports.values())) == 3


async def test_a_conversion_that_is_removed_stays_in_closed_books_and_is_taken_back_on_the_first_open_day(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with running_attribution(redis_url, clickhouse_url, workspace) as world:
        await world.handle(*_a_month(make))
        closed = max((await _posted(world))[("initial",)])
        first_open = closed + timedelta(days=1)
        before, whole = await _report(world, str(first_open)), await _report(world, by_day=False)
    books = {"reporting": {"books_closed_through": closed}, "delivery_seconds": PATIENCE_SECONDS}
    async with running_attribution(redis_url, clickhouse_url, workspace, **books) as world, forgetting(world):
        await world.handle(make.refund(10_000_000, at=SOLD + DAY, order_id="o-2"))
        late = make.order(f"visitor:{2:022d}", order_id="o-late", at=SOLD + DAY, micros=7_000_000)
        await world.handle(late)
        tokens = [f"visitor:{2:022d}", f"customer:{2:022d}"]
        moment = SystemClock().unix_micros()
        planned = world.erasing.plan(workspace, tokens, ErasureMode.REMOVE)
        assert await world.erasing.kept(planned) == 1
        erasure = await world.erasing.request(planned)
        for _ in range(2):
            erasure = await world.erasing.go_on(erasure)
            assert not any(erasure.remaining.values()), erasure.remaining
            assert await world.erasing.kept(erasure) == 0
            assert await _report(world, str(first_open)) == before
            everything = await _report(world, by_day=False)
            assert everything == await _report(world, basis=Basis.CONVERSION, by_day=False)
            assert everything != whole
            for basis in Basis:
                now, then = [await _report(world, basis=basis, as_of=as_of) for as_of in (None, moment)]
                assert then == now, "the order is in no report of what was known before, either"
        assert (await _posted(world))[("erasure",)] == [first_open]
        names = await world.stored("conversion_id")
        assert sorted(names) == sorted((make.conversion_id(f"o-{number}"),) for number in (0, 1, 3, 4))
        revisions = await StoredIntegrity(world.clickhouse).revisions(workspace)
        assert (revisions.rows, revisions.conversions, revisions.firsts) == (revisions.linked, 4, 4)
        recorded = await PublishedMarks(world.clickhouse, SHARDS).marks()
        own = {
            revision
            for (revision,) in await world.clickhouse.execute(
                "SELECT revision FROM conversion_revisions FINAL WHERE workspace = %(w)s", {"w": workspace}
            )
        }
        there = await Conversions(world.state, SHARDS).marks(recorded)
        assert [place for place, mark in recorded.items() if mark in own and there[place] < mark] == []
