"""What a run of reconciliation takes of memory grows with what it reads, not with its square."""

from __future__ import annotations

import random

import pytest

from tests.support.attribution import DAY, NOON
from tributary_domain.event_order import event_hash
from tributary_domain.settings import AttributionSettings
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.reconciliation_comparison import (
    ComparedSettings,
    ReconciliationComparison,
    Settled,
)
from tributary_storage.clickhouse.reconciliation_sources import ReconciliationSources
from tributary_storage.clickhouse.reconciliation_staging import ReconciliationStaging, Scope

_FAR = 2**62
"""A time after all others, in microseconds."""

_CONVERSIONS = """
INSERT INTO reconciliation_conversions
    (reconciliation_id, slice, conversion_id, person, time, hash, name, currency, value_micros, counted)
SELECT %(run)s, 0, concat('c1:', toString(number)), number %% %(people)s, %(noon)s, number, 'purchase', 'EUR', 1, true
FROM numbers(%(conversions)s)
"""

_FAMILY = """
INSERT INTO reconciliation_families (reconciliation_id, conversion_id, slice) VALUES (%(run)s, 'c1:0', 5)
"""

_ENTRIES = """
INSERT INTO reconciliation_entries
    (reconciliation_id, slice, person, time, hash, kind, source, shown, click, name)
SELECT
    %(run)s,
    0,
    intDiv(number, %(entries)s),
    if(
        nth < %(old)s,
        %(noon)s - 17280000000000 + nth,
        %(noon)s + 1000000 - (%(entries)s - 1 - nth) * 60000000
    ),
    1000000 + number,
    if(nth = %(entries)s - 1, 7, 1),
    1 + nth %% 10,
    1 + nth %% 10,
    if(%(old)s > 0, 1 + nth %% (%(entries)s - 1), 0),
    'Paid'
FROM (SELECT number, number %% %(entries)s AS nth FROM numbers(%(people)s * %(entries)s))
"""

_NOT_COUNTED = """
INSERT INTO conversions (workspace, conversion_id, revision, name, conversion_time, counted, not_counted_reason)
SELECT
    %(workspace)s,
    concat('c1:', toString(number)),
    1,
    'purchase',
    fromUnixTimestamp64Micro(%(noon)s, 'UTC'),
    false,
    'ONCE_PER_CLICK'
FROM numbers(%(conversions)s)
"""

_FIRST_CYCLES = """
INSERT INTO conversions
    (workspace, conversion_id, revision, name, order_id, cycle, subscription_id, recurrence_kind, conversion_time,
     counted, touch_event_ids, touch_times, touch_channels, first_touch_credit_micros, last_touch_credit_micros,
     last_non_direct_credit_micros, linear_credit_micros, position_based_credit_micros, time_decay_credit_micros)
WITH if(number < 2, [1000000], []) AS credit
SELECT
    %(workspace)s,
    concat('c1:', toString(number)),
    1,
    'purchase',
    concat('o-', toString(number - (number = 1))),
    toString(number),
    's-1',
    'FIRST',
    fromUnixTimestamp64Micro(%(noon)s - 8640000000000 * (number > 0), 'UTC'),
    number < 2,
    arrayMap(one -> 't-1', credit),
    arrayMap(one -> now64(6), credit),
    arrayMap(one -> 'Direct', credit),
    credit, credit, credit, credit, credit, credit
FROM numbers(%(orders)s)
"""

_ORDERS = """
INSERT INTO conversions
    (workspace, conversion_id, revision, name, order_id, cycle, subscription_id, recurrence_kind, conversion_time,
     counted, touch_event_ids, touch_times, touch_channels, first_touch_credit_micros, last_touch_credit_micros,
     last_non_direct_credit_micros, linear_credit_micros, position_based_credit_micros, time_decay_credit_micros)
WITH [1000000] AS credit
SELECT
    %(workspace)s,
    concat('c1:', toString(number)),
    1,
    'purchase',
    concat(repeat('o', 100), toString(number - (number = 1))),
    if(number = 1, '1', ''),
    if(number = 1, 's-1', ''),
    if(number = 1, 'FIRST', ''),
    fromUnixTimestamp64Micro(%(noon)s, 'UTC'),
    true,
    ['t-1'],
    [now64(6)],
    ['Direct'],
    credit, credit, credit, credit, credit, credit
FROM numbers(%(orders)s)
"""

_LOGGED_IN = """
INSERT INTO events (workspace, event_id, event_time, kind, verdict, identity_tokens)
SELECT
    %(workspace)s,
    concat('k-', toString(number)),
    fromUnixTimestamp64Micro(%(noon)s + number, 'UTC'),
    'touchpoint',
    'ACCEPTED',
    ['device:kiosk', concat('customer:', toString(number %% 6))]
FROM numbers(20000)
"""

_SEEN = """
INSERT INTO events (workspace, event_id, event_time, kind, verdict, identity_tokens)
SELECT
    %(workspace)s,
    one.1,
    fromUnixTimestamp64Micro(one.2, 'UTC'),
    'touchpoint',
    'ACCEPTED',
    one.3
FROM (SELECT arrayJoin(arrayZip(%(ids)s, %(times)s, %(tokens)s)) AS one)
"""


@pytest.mark.parametrize(
    ("people", "conversions", "entries", "old"),
    [
        pytest.param(300, 300, 100, 0, id="orders-after-a-hundred-page-views"),
        pytest.param(12, 12, 500, 0, id="kiosk"),
        pytest.param(1, 40, 600, 300, id="clicks-that-are-old"),
    ],
)
async def test_long_journeys_are_credited_again_in_a_quarter_of_the_memory_there_is(
    clickhouse_url: str,
    workspace: str,
    monkeypatch: pytest.MonkeyPatch,
    people: int,
    conversions: int,
    entries: int,
    old: int,
) -> None:
    monkeypatch.setattr("tributary_storage.clickhouse.reconciliation_staging.MAX_MEMORY", 150_000_000)
    scope = Scope(f"r-{workspace}", workspace, NOON - DAY, NOON + DAY, 1)
    staged = {"people": people, "conversions": conversions, "entries": entries, "old": old, "noon": NOON}
    async with clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60, connections=1) as clickhouse:
        for statement in (_CONVERSIONS, _ENTRIES):
            await clickhouse.execute(statement, {**scope.values, **staged})
        compared = ComparedSettings(AttributionSettings(), ("none",), 0, _FAR, ("none",))
        comparison = ReconciliationComparison(clickhouse)
        found = await comparison.differences(scope, 0, Settled(_FAR, _FAR), compared)
        await ReconciliationStaging(clickhouse).drop(scope)
    assert len(found) == conversions


async def test_who_shares_a_device_is_known_however_often_they_were_seen(
    clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tributary_storage.clickhouse.reconciliation_staging.MAX_MEMORY", 150_000_000)
    scope = Scope(f"r-{workspace}", workspace, NOON - DAY, NOON + DAY, 1)
    async with clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60, connections=1) as clickhouse:
        await clickhouse.execute(_LOGGED_IN, {**scope.values, "noon": NOON})
        shared = await ReconciliationStaging(clickhouse).shared_devices(scope, ["device:kiosk"], 5, 30)
        assert shared == {"device:kiosk": (NOON + 5, event_hash("k-5"))}


async def test_a_device_is_shared_from_the_first_event_that_saw_too_many_within_the_days(
    clickhouse_url: str, workspace: str
) -> None:
    draw = random.Random(7)
    seen: dict[str, list[tuple[int, int, str]]] = {}
    rows: list[list[object]] = [[], [], []]
    for number in range(1200):
        device, customer = f"device:{draw.randrange(40)}", f"customer:{draw.randrange(8)}"
        time = NOON + draw.randrange(40) * DAY
        seen.setdefault(device, []).append((time, event_hash(f"e-{number}"), customer))
        for column, value in zip(rows, (f"e-{number}", time, [device, customer]), strict=True):
            column.append(value)
    scope = Scope(f"r-{workspace}", workspace, NOON - DAY, NOON + DAY, 1)
    async with clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60, connections=1) as clickhouse:
        await clickhouse.execute(_SEEN, {**scope.values, "ids": rows[0], "times": rows[1], "tokens": rows[2]})
        staging = ReconciliationStaging(clickhouse)
        for customers, days in ((2, 0), (2, 1), (3, 3), (5, 7), (7, 9)):
            expected = {}
            for device, events in seen.items():
                for time, hashed, _ in sorted(events):
                    near = {e[2] for e in events if e[0] >= time - days * DAY and e[:2] <= (time, hashed)}
                    if len(near) > customers:
                        expected[device] = (time, hashed)
                        break
            assert len(expected) > 0
            assert await staging.shared_devices(scope, seen, customers, days) == expected


async def test_repeats_are_looked_for_among_few_people_at_once(
    clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tributary_storage.clickhouse.reconciliation_staging.MAX_MEMORY", 300_000_000)
    scope = Scope(f"r-{workspace}", workspace, NOON - DAY, NOON + DAY, 1)
    staged = {"people": 3000, "conversions": 6000, "entries": 100, "old": 0, "noon": NOON}
    async with clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60, connections=1) as clickhouse:
        for statement in (_CONVERSIONS, _ENTRIES, _NOT_COUNTED):
            await clickhouse.execute(statement, {**scope.values, **staged})
        compared = ComparedSettings(AttributionSettings(), ("none",), 0, _FAR, ("none",))
        comparison = ReconciliationComparison(clickhouse)
        rules = {"purchase": "once_per_click"}
        found = await comparison.miscounted(scope, 0, Settled(_FAR, _FAR), compared, rules)
        await ReconciliationStaging(clickhouse).drop(scope)
    assert len(found) == 5998  # all but those of 0, which is nobody; each should count, for nothing says it repeats


async def test_orders_of_several_first_cycles_are_found_however_many_there_ever_were(
    clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tributary_storage.clickhouse.reconciliation_staging.MAX_MEMORY", 60_000_000)
    scope = Scope(f"r-{workspace}", workspace, NOON - DAY, NOON + DAY, 1)
    async with clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60, connections=1) as clickhouse:
        await clickhouse.execute(_FIRST_CYCLES, {**scope.values, "noon": NOON, "orders": 200_000})
        found = await ReconciliationSources(clickhouse).several_first_cycles(scope)
    assert [[one.conversion_id for one in told.cycles] for told in found] == [["c1:1", "c1:0"]]


async def test_an_order_that_is_told_twice_is_found_among_however_many(
    clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tributary_storage.clickhouse.reconciliation_staging.MAX_MEMORY", 60_000_000)
    monkeypatch.setattr("tributary_storage.clickhouse.reconciliation_staging.SPILL", 10_000_000)
    scope = Scope(f"r-{workspace}", workspace, NOON - DAY, NOON + DAY, 1)
    async with clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60, connections=1) as clickhouse:
        await clickhouse.execute(_ORDERS, {**scope.values, "noon": NOON, "orders": 200_000})
        [found] = await ReconciliationSources(clickhouse).split_orders(scope)
    assert (found.conversion_id, found.plain_id, found.order_id) == ("c1:1", "c1:0", "o" * 100 + "0")
    assert (found.cycle, found.is_first) == ("1", True)


async def test_only_slices_that_hold_anything_are_compared(clickhouse_url: str, workspace: str) -> None:
    scope = Scope(f"r-{workspace}", workspace, NOON - DAY, NOON + DAY, 8)
    async with clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60, connections=1) as clickhouse:
        comparison = ReconciliationComparison(clickhouse)
        assert await comparison.staged_slices(scope) == set()
        await clickhouse.execute(_CONVERSIONS, {**scope.values, "people": 1, "conversions": 1, "noon": NOON})
        assert await comparison.staged_slices(scope) == {0}
        await clickhouse.execute(_FAMILY, scope.values)
        assert await comparison.staged_slices(scope) == {0, 5}
        await ReconciliationStaging(clickhouse).drop(scope)
