"""Stream and batch agree, and where somebody has harmed what is stored, it is found, named and repaired."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.support.attribution import DAY, NOON, SHARDS, Admitted, Attribution, Events, leaving, running_attribution
from tests.support.stores import Stores
from tests.support.worlds import a_world, people_who_share
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1.adjustment_pb2 import AdjustmentReason
from tributary.event.v1.event_pb2 import Traffic
from tributary_attribution import reconciliation
from tributary_attribution.reconcile import reconciliation_of
from tributary_attribution.reconciliation import Reconciliation
from tributary_attribution.runs import begun, exit_status
from tributary_domain import ids
from tributary_domain.event_order import event_hash
from tributary_domain.findings import DIFFERENCE_KINDS, Finding, FindingCause, FindingKind, FindingState, finding
from tributary_domain.shards import shard_of_key
from tributary_runtime.clock import SystemClock
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse import reconciliation_comparison
from tributary_storage.clickhouse.identity_changes import IdentityChanges
from tributary_storage.clickhouse.reconciled_days import ReconciledDays
from tributary_storage.clickhouse.reconciliation_runs import ReconciliationRuns, Run
from tributary_storage.redis import keys
from tributary_storage.redis.conversions import conversion_key
from tributary_storage.redis.journey_layout import EVENT_BYTES
from tributary_storage.redis.ties import person_key

_NO_GRACE = -1e9
"""Nothing is too young to be compared: events of tests are accepted whenever the test says."""


@pytest.fixture(scope="module")
def clickhouse_url(stores: Stores) -> Iterator[str]:
    """A database of this module's own: to harm a row takes as long as the table is large."""
    with stores.a_database("reconciled") as url:
        yield url


@dataclass
class Reconciled:
    """An attribution, and what reconciles it."""

    attribution: Attribution
    reconciliation: Reconciliation
    runs: ReconciliationRuns

    async def happen(self, *events: Any) -> None:
        await self.attribution.handle(*events)
        await self.attribution.record(*events)

    def a_run(
        self, *, repairs: bool = True, slices: int = 1, begin: int = NOON - 60 * DAY, end: int = NOON + 60 * DAY
    ) -> Run:
        now = SystemClock().unix_micros()
        return begun(self.attribution.workspace.id, begin, end, now, repairs=repairs, slices=slices)

    async def run(self, run: Run | None = None) -> Run:
        workspace = self.attribution.workspace
        return await self.reconciliation.run(run or self.a_run(), workspace, grace_seconds=_NO_GRACE)

    async def differences(self) -> list[Finding]:
        found = await self.runs.findings(self.attribution.workspace.id)
        kinds = (*DIFFERENCE_KINDS, FindingKind.EXTRA)
        return [finding for finding in found if finding.kind in kinds]

    async def execute(self, statement: str, **values: Any) -> None:
        parameters = {"w": self.attribution.workspace.id, **values}
        await self.attribution.clickhouse.execute(f"{statement} SETTINGS mutations_sync = 2", parameters)


@asynccontextmanager
async def reconciled(redis_url: str, clickhouse_url: str, workspace: str, **settings: Any) -> AsyncIterator[Reconciled]:
    async with (
        running_attribution(redis_url, clickhouse_url, workspace, **settings) as attribution,
        clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60, connections=1) as clickhouse,
    ):
        own = reconciliation_of(
            *(clickhouse, attribution.attributor, attribution.people, attribution.conversions, attribution.opened),
            SystemClock(),
        )
        yield Reconciled(attribution, own, ReconciliationRuns(clickhouse))


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"touch_grain": "event"}, id="every-event-a-touch"),
        pytest.param(
            {
                "impression_policy": "only_without_click",
                "collapse_repeats": True,
                "touch_cap": 4,
                "touch_cap_first": 2,
                "models": {"first_touch": {"lookback_days": 60}},
                "position_weights": [60, 20, 20],
            },
            id="impressions-caps-and-windows-per-model",
        ),
        pytest.param(
            {
                "impression_policy": "full",
                "lookback_days": 7,
                "path_after_conversion": {"reset": ["purchase"]},
                "half_life_hours": 5,
                "direct_channels": ["Direct", "Email"],
            },
            id="paths-that-end-and-channels-like-direct",
        ),
        pytest.param({"direct_channels": ["Email"]}, id="a-channel-like-direct-and-direct-not"),
    ],
)
async def test_stream_and_batch_agree_on_awkward_journeys(
    redis_url: str, clickhouse_url: str, workspace: str, settings: dict[str, Any]
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[settings]) as world:
        await world.happen(*a_world(workspace, random.Random(11), 60))
        run = await world.run()
        assert run.is_complete
        assert run.counts["conversions"] > 40
        assert await world.differences() == []
        assert run.counts["open_errors"] == 0


async def test_stream_and_batch_agree_on_what_an_adjustment_names_by_an_event(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    personal = make.order("customer:a", order_id="o-2", event_id="x1:token")
    personal[1].event_digest = ids.event_digest(workspace, "ann@example.com")
    refund = make.refund(20_000_000, of_event="ann@example.com")
    refund[1].event.adjustment.event_id = "x1:token"
    of_earlier = make.refund(10_000_000, of_event="203.0.113.7-1")
    of_earlier[1].event.adjustment.event_id, of_earlier[1].sent_target_hash = "x1:t", event_hash("203.0.113.7-1")
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(
            make.order("visitor:a", event_id="bot", rank=1, letter="Q"),
            make.order("customer:a"),
            make.refund(30_000_000, of_event="bot"),
            personal,
            refund,
            make.order("customer:b", order_id="o-3", event_id="203.0.113.7-1"),  # as an earlier version stored it
        )
        await world.happen(of_earlier)
        assert sorted(await world.attribution.stored("value_micros")) == [(60_000_000,), (70_000_000,), (80_000_000,)]
        run = await world.run()
        assert (run.counts["conversions"], run.counts["changed"]) == (3, 0)
        assert await world.runs.findings(workspace) == []


@pytest.mark.parametrize("rule", ["once_per_person", "once_per_session", "once_per_click"])
async def test_what_its_name_does_not_count_is_no_difference(
    redis_url: str, clickhouse_url: str, workspace: str, rule: str
) -> None:
    make, conversions = Events(workspace), [{"name": "purchase", "counting": rule}]
    async with reconciled(redis_url, clickhouse_url, workspace, conversions=conversions) as world:
        await world.happen(
            make.touch("visitor:a", clicks={"gclid": "g-1"}),
            *(make.order("visitor:a", order_id=f"o-{number}", at=NOON + number) for number in range(3)),
            make.retraction(order_id="o-0"),
        )
        assert sorted(await world.attribution.stored("counted")) == [(False,), (False,), (True,)]
        run = await world.run()
        assert (run.is_complete, run.counts["conversions"], await world.differences()) == (True, 3, [])


async def test_what_counts_beside_others_that_its_journey_lost_is_repaired_in_one_run(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(*(make.order("visitor:a", order_id=f"o-{number}", at=NOON + number) for number in range(3)))
        journey = keys.journey(shard_of_key(at := person_key(workspace, "visitor:a"), SHARDS), at)
        state = world.attribution.state
        lost = [field for field in await state.hkeys(journey) if len(field) == EVENT_BYTES]
        await state.hdel(journey, *lost)
    conversions = [{"name": "purchase", "counting": "once_per_person"}]
    async with reconciled(redis_url, clickhouse_url, workspace, conversions=conversions) as world:
        run = await world.run()
        assert (run.counts["differences"], run.counts["repaired"]) == (2, 2)
        assert sorted(await world.attribution.stored("counted")) == [(False,), (False,), (True,)]


async def test_internal_traffic_ends_the_paths_of_internal_conversions_alone_in_stream_and_batch(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make, settings = Events(workspace), {"path_after_conversion": {"reset": ["purchase"]}}
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[settings]) as world:
        await world.happen(
            make.touch("visitor:a", at=NOON - 4 * DAY, channel="Email"),
            make.order("visitor:a", at=NOON - 3 * DAY, order_id="test-1", traffic=Traffic.TRAFFIC_TEST),
            make.touch("visitor:a", at=NOON - 2 * DAY, channel="Display"),
            make.order("visitor:a", at=NOON - DAY, order_id="test-2", traffic=Traffic.TRAFFIC_TEST),
            make.order("visitor:a", order_id="o-1"),
        )
        touches = dict(await world.attribution.stored("order_id, touch_channels"))
        assert touches == {"test-1": ["Email"], "test-2": ["Display"], "o-1": ["Email", "Display"]}
        await world.run()
        assert await world.differences() == []


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (2, 1, 0)])
async def test_an_order_that_is_told_again_ends_a_path_where_it_happened(
    redis_url: str, clickhouse_url: str, workspace: str, order: tuple[int, ...]
) -> None:
    make, settings = Events(workspace), {"touch_grain": "event", "path_after_conversion": {"reset": ["purchase"]}}
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[settings]) as world:
        at = NOON - DAY
        await world.happen(
            make.touch("visitor:a", at=at - DAY // 24, channel="Email"),
            make.order("visitor:a", at=at - DAY // 12, order_id="o-1", rank=1, traffic=Traffic.TRAFFIC_TEST),
            make.order("visitor:a", at=at - DAY // 12 + 1, order_id="o-1", rank=1, letter="Q"),
            make.touch("visitor:a", at=at + DAY // 24, channel="Display"),
        )
        orders = [
            make.order("visitor:a", at=at, order_id="o-1", rank=1),
            make.order("visitor:a", at=at + DAY // 12, order_id="o-1", letter="M"),
            make.order("visitor:a", order_id="o-2"),
        ]
        for one in order:
            await world.happen(orders[one])
        touches = dict(await world.attribution.stored("order_id, touch_channels"))
        assert touches == {"o-1": ["Email"], "o-2": ["Display"]}
        await world.run()
        assert await world.differences() == []


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (1, 2, 0)])
async def test_an_order_that_was_seen_on_anothers_device_is_none_of_theirs(
    redis_url: str, clickhouse_url: str, workspace: str, order: tuple[int, ...]
) -> None:
    make, conversions = Events(workspace), [{"name": "purchase", "counting": "once_per_person"}]
    async with reconciled(redis_url, clickhouse_url, workspace, conversions=conversions) as world:
        await world.happen(make.identify("customer:1", "visitor:a", at=NOON - 2 * DAY))
        orders = [
            make.order("customer:1", order_id="theirs"),
            make.order("visitor:a", at=NOON - DAY, order_id="o-1", rank=1),
            make.order("customer:2", at=NOON - DAY + 1, order_id="o-1", letter="M"),
        ]
        for at in order:
            await world.happen(orders[at])
        assert await world.attribution.stored("order_id, counted") == [("o-1", True), ("theirs", True)]
        await world.run()
        assert await world.differences() == []


async def test_the_click_that_a_conversion_counts_by_is_the_first_that_its_person_allowed(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make, conversions = Events(workspace), [{"name": "purchase", "counting": "once_per_click"}]
    async with reconciled(redis_url, clickhouse_url, workspace, conversions=conversions) as world:
        for number in range(2):
            backend = make.order("visitor:a", at=NOON + number * DAY, order_id=f"o-{number}")
            browser = make.order(
                "visitor:a", at=NOON + number * DAY + 1, order_id=f"o-{number}", rank=1, click_ids={"gclid": "g-1"}
            )
            await world.happen(leaving(backend, denies="analytics_storage"), browser)
        assert await world.attribution.stored("counted") == [(True,), (False,)]
        await world.run()
        assert await world.differences() == []


def _with_parts(events: list[Admitted], rng: random.Random) -> list[Admitted]:
    """Returns events with parts of their amounts, some of them missing, and refunds that are restated or reversed."""
    for _, admitted in events:
        kind = admitted.event.WhichOneof("kind")
        if kind not in ("conversion", "adjustment"):
            continue
        said = admitted.event.conversion if kind == "conversion" else admitted.event.adjustment
        for name, part in (("tax", 5_000_001), ("shipping", 3_000_000), ("cost_of_goods", 70_000_000)):
            if rng.random() < 0.8:
                setattr(said.amounts, f"{name}_micros", rng.choice([0, part, part // 7]))
        if kind == "adjustment" and admitted.event.adjustment.HasField("amount"):
            reason = rng.choice([1, 1, 2, 4, 5])
            below_zero = [-20_000_000] if reason == AdjustmentReason.ADJUSTMENT_REASON_RESTATEMENT else []
            amounts = [10_000_000, 45_000_000, 90_000_000, *below_zero]
            admitted.event.adjustment.reason = reason
            admitted.event.adjustment.amount.amount_micros = rng.choice(amounts)
    return events


@pytest.mark.parametrize("basis", ["net_of_tax", "net_of_tax_and_shipping", "margin"])
async def test_stream_and_batch_agree_on_what_of_a_value_is_credited(
    redis_url: str, clickhouse_url: str, workspace: str, basis: str
) -> None:
    rng, conversions = random.Random(5), [{"name": "purchase", "value_basis": basis}]
    async with reconciled(redis_url, clickhouse_url, workspace, conversions=conversions) as world:
        events = _with_parts(a_world(workspace, rng, 40), rng)
        again = [(letter, AdmittedEvent.FromString(event.SerializeToString())) for letter, event in events]
        for _, admitted in again:  # several adjustments of one order
            admitted.event.event_id += "-again"
        adjustments = [one for one in again if one[1].event.HasField("adjustment")]
        await world.happen(*events, *_with_parts(adjustments, rng))
        run = await world.run()
        assert await world.differences() == []
        assert run.counts["open_errors"] == 0
        rows = await world.attribution.stored("value_micros, original_value_micros, value_basis, findings")
        assert {row[2] for row in rows} == {basis.upper()}
        assert len({row[0] for row in rows if row[0] != row[1]}) > 5
        assert any("parts_missing" in row[3] for row in rows)
        assert any(admitted.event.adjustment.amount.amount_micros < 0 for _, admitted in (*events, *again))
        assert any(row[0] < 0 for row in rows) is (basis == "margin")


@pytest.mark.parametrize(
    ("micros", "before", "after"),
    [
        pytest.param(90_000_000, {}, {"value_basis": "net_of_tax"}, id="a-basis"),
        pytest.param(None, {}, {"default_value": {"currency": "EUR", "amount": "25"}}, id="a-first-default"),
        pytest.param(
            None,
            {"default_value": {"currency": "EUR", "amount": "20"}},
            {"default_value": {"currency": "EUR", "amount": "25"}},
            id="another-default",
        ),
        pytest.param(None, {"default_value": {"currency": "EUR", "amount": "20"}}, {}, id="no-default-any-more"),
    ],
)
async def test_what_values_are_worth_changes_nothing_that_was_published_when_it_is_declared_anew(
    redis_url: str,
    clickhouse_url: str,
    workspace: str,
    micros: int | None,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    make = Events(workspace)
    letter, order = make.order("customer:a", micros=micros)
    order.event.conversion.amounts.tax_micros = 9_000_000
    async with reconciled(redis_url, clickhouse_url, workspace, conversions=[{"name": "purchase", **before}]) as world:
        refunds = [make.refund(5_000_000), make.order("customer:b", order_id="o-2", micros=micros)]
        await world.happen((letter, order), *refunds)
    async with reconciled(redis_url, clickhouse_url, workspace, conversions=[{"name": "purchase", **after}]) as world:
        known = await world.attribution.stored("conversion_id, revision")
        run = await world.run()
        assert (run.counts["conversions"], await world.differences()) == (2, [])
        assert await world.attribution.stored("conversion_id, revision") == known


@pytest.mark.parametrize("seed", range(2))
async def test_stream_and_batch_agree_on_who_is_one_person_before_and_after_merges_are_taken_back(
    redis_url: str, clickhouse_url: str, workspace: str, seed: int
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        events = people_who_share(workspace, seed)
        random.Random(seed).shuffle(events)
        await world.happen(*events)
        run = await world.run()
        assert (run.counts["conversions"], await world.differences()) == (4, [])
        changes = await IdentityChanges(world.attribution.clickhouse).of_tokens(workspace, [f"visitor:{seed}"])
        for change in changes[:2]:
            await world.attribution.identities.undo(workspace, change.change_id)
        run = await world.run()
        assert (run.counts["conversions"], await world.differences()) == (4, [])


async def test_what_an_operator_said_outlives_the_loss_of_who_was_seen_with_whom(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = Events(workspace)
        await world.happen(
            make.touch("visitor:a", at=NOON - 2 * DAY, channel="Email"),
            make.touch("visitor:b", at=NOON - DAY, channel="Display"),
            make.order("visitor:b"),
            make.identify("visitor:a", "visitor:b"),
        )
        [merge] = await IdentityChanges(world.attribution.clickhouse).of_tokens(workspace, ["visitor:a"])
        await world.attribution.identities.undo(workspace, merge.change_id)
        for token in ("visitor:a", "visitor:b"):
            key = person_key(workspace, token)
            await world.attribution.state.delete(keys.ties(shard_of_key(key, SHARDS), key))
        await world.happen(make.identify("visitor:a", "visitor:b", at=NOON - 3 * DAY))
        merged = await world.attribution.published(make.conversion_id())
        assert merged is not None
        assert len(merged.state.touches) == 2, "what nobody has looked after yet"
        await world.run()
        repaired = await world.attribution.published(make.conversion_id())
        assert repaired is not None
        assert [touch.source.channel for touch in repaired.state.touches] == ["Display"]
        assert (await world.run()).counts["differences"] == 0


async def _harmed(world: Reconciled) -> dict[str, FindingCause]:
    """Makes fourteen customers, harms what is stored of all but one, copies that; returns the cause of each finding."""
    attribution, make = world.attribution, Events(world.attribution.workspace.id)
    for number in range(14):
        visitor, customer = f"visitor:{number:022d}", f"customer:{number:022d}"
        await world.happen(
            make.touch(visitor, at=NOON - 3 * DAY, channel="Email"),
            make.touch(visitor, at=NOON - 2 * DAY, channel="Display"),
            make.order(customer, visitor, order_id=f"o-{number}"),
        )
    ids = [make.conversion_id(f"o-{number}") for number in range(14)]
    # 0: its row is lost
    for table in ("conversions", "conversion_revisions"):
        await world.execute(f"ALTER TABLE {table} DELETE WHERE workspace = %(w)s AND conversion_id = %(c)s", c=ids[0])
    # 1: its credit is another
    await world.execute(
        "ALTER TABLE conversions UPDATE linear_credit_micros = [400000, 600000]"
        " WHERE workspace = %(w)s AND conversion_id = %(c)s",
        c=ids[1],
    )
    # 2: its value is another
    await world.execute(
        "ALTER TABLE conversions UPDATE value_micros = 1 WHERE workspace = %(w)s AND conversion_id = %(c)s", c=ids[2]
    )
    # 3: its journey lost all its events before a second order came, unnoticed: what it knows to lack is recalled
    tokens = [f"customer:{3:022d}", f"visitor:{3:022d}"]
    for at in (person_key(make.workspace, token) for token in tokens):
        journey = keys.journey(shard_of_key(at, SHARDS), at)
        lost = [field for field in await attribution.state.hkeys(journey) if len(field) == EVENT_BYTES]
        await attribution.state.hdel(journey, *lost)
    second = make.order(tokens[0], tokens[1], at=NOON + DAY, order_id="o-again", micros=5_000_000)
    await world.happen(second)
    # 4: it is nowhere but among the events
    key = conversion_key(make.workspace, ids[4])
    for table in ("conversions", "conversion_revisions"):
        await world.execute(f"ALTER TABLE {table} DELETE WHERE workspace = %(w)s AND conversion_id = %(c)s", c=ids[4])
    await attribution.state.delete(keys.conversion(shard_of_key(key, SHARDS), key))
    # 5: its touch has another channel
    await world.execute(
        "ALTER TABLE conversions UPDATE touch_channels = ['Email', 'Referral']"
        " WHERE workspace = %(w)s AND conversion_id = %(c)s",
        c=ids[5],
    )
    # 6: it is stored as another's, and the only one of its person
    other = person_key(make.workspace, f"customer:{7:022d}")
    await world.execute(
        "ALTER TABLE conversions UPDATE person_id = %(p)s WHERE workspace = %(w)s AND conversion_id = %(c)s",
        c=ids[6],
        p=other,
    )
    # 8 and 9: their credit is of fewer and of more touches than they have; 10: a model lost a share in another currency
    shares = "map('linear', [100, 0], 'time_decay', [60, 40])"
    for at, harm in (
        (8, "first_touch_credit_micros = [1000000]"),
        (9, "linear_credit_micros = [300000, 200000, 500000]"),
        (10, f"reporting_currency = 'USD', reporting_value_micros = 101, reporting_credit_micros = {shares}"),
        # what names no event
        (11, "touch_event_ids = arrayMap(name -> concat(name, 'z'), touch_event_ids)"),
        (12, "touch_event_ids = arrayMap(name -> concat(name, '0'), touch_event_ids)"),
        (13, "touch_event_ids = ['', 'other']"),
    ):
        await world.execute(
            f"ALTER TABLE conversions UPDATE {harm} WHERE workspace = %(w)s AND conversion_id = %(c)s",
            c=ids[at],
        )
    # 7: its row is there twice, once as a conversion that nobody made
    await _copied(world, ids[7], "c1:copied", "conversions")
    return {
        ids[0]: FindingCause.LOST_ROW,
        ids[1]: FindingCause.WRONG_CREDIT,
        ids[2]: FindingCause.WRONG_VALUE,
        make.conversion_id("o-again"): FindingCause.DELETED_JOURNEY,
        ids[4]: FindingCause.MISSING_CONVERSION,
        ids[5]: FindingCause.WRONG_CREDIT,
        ids[6]: FindingCause.STALE_PERSON,
        ids[8]: FindingCause.WRONG_CREDIT,
        ids[9]: FindingCause.WRONG_CREDIT,
        **dict.fromkeys(ids[10:], FindingCause.WRONG_CREDIT),
        "c1:copied": FindingCause.EXTRA_CONVERSION,
    }


async def _copied(world: Reconciled, conversion_id: str, copy: str, table: str) -> None:
    await world.attribution.clickhouse.execute(
        f"INSERT INTO {table} SELECT * REPLACE(%(copy)s AS conversion_id) FROM"  # noqa: S608
        f" (SELECT * FROM {table} FINAL WHERE workspace = %(w)s AND conversion_id = %(c)s)",
        {"w": world.attribution.workspace.id, "c": conversion_id, "copy": copy},
    )


async def test_each_harm_is_found_named_by_its_cause_and_repaired_in_one_run(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        causes = await _harmed(world)
        await _stay_open_without_repair(world, len(causes))
        run = await world.run()
        found = await world.differences()
        assert {finding.conversion_id: finding.cause for finding in found} == causes
        assert {finding.state for finding in found} == {FindingState.RESOLVED}
        assert all(finding.repair_revision for finding in found if finding.kind is not FindingKind.EXTRA)
        assert (exit_status(run), await world.runs.findings(workspace, states=[FindingState.OPEN])) == (0, [])
        rows = await world.attribution.stored("conversion_id, revision, causes, linear_credit_micros, value_micros")
        repaired = {row[0]: row[1:] for row in rows}
        assert "c1:copied" not in repaired
        for finding in (one for one in found if one.kind is not FindingKind.EXTRA):
            revision, revision_causes, credits, _ = repaired[finding.conversion_id]
            assert revision == finding.repair_revision
            is_lost = finding.cause is FindingCause.LOST_ROW
            assert ("reconciliation" in revision_causes) is not is_lost, "what was lost is written as it was"
            assert list(credits) == [500_000, 500_000]
        people = dict(await world.attribution.stored("conversion_id, person_id"))
        [stale] = [one for one in found if one.cause is FindingCause.STALE_PERSON]
        assert stale.expected == people[stale.conversion_id] != stale.actual
        again = await world.run()
        assert (again.counts["differences"], again.counts["open_errors"]) == (0, 0)


async def test_credit_of_a_touch_whose_event_was_lost_is_named_so_and_stays(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = Events(workspace)
        touches = [make.touch("visitor:a", at=NOON - n * DAY, channel=f"c{n}", event_id=f"t{n}") for n in (1, 2)]
        await world.happen(*touches, make.order("visitor:a"))
        await world.execute("ALTER TABLE events DELETE WHERE workspace = %(w)s AND event_id = %(e)s", e="t1")
        run = await world.run()
        [found] = await world.differences()
        assert (found.cause, found.state) == (FindingCause.LOST_EVENT, FindingState.OPEN)
        assert exit_status(run) == 2
        revisions = await world.attribution.stored_revisions(make.conversion_id())
        assert len(revisions) == 1, "a repair that changes nothing publishes nothing"


async def test_an_event_that_nobody_can_read_leaves_one_conversion_as_it_is_and_no_other(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = Events(workspace)
        for number in range(3):
            await world.happen(make.order(f"visitor:{number}", order_id=f"o-{number}"))
        late = [make.touch(f"visitor:{number}", at=NOON - DAY, event_id=f"late-{number}") for number in range(3)]
        await world.attribution.record(*late)  # and never credited
        await world.execute(
            "ALTER TABLE events UPDATE admitted = 'no event' WHERE workspace = %(w)s AND event_id = 'late-1'"
        )
        run = await world.run()
        states = {one.conversion_id: one.state for one in await world.differences()}
        assert states == {
            make.conversion_id("o-0"): FindingState.RESOLVED,
            make.conversion_id("o-1"): FindingState.OPEN,
            make.conversion_id("o-2"): FindingState.RESOLVED,
        }
        assert (run.is_complete, exit_status(run)) == (True, 2)


async def _stay_open_without_repair(world: Reconciled, harms: int) -> None:
    """Checks that findings nobody repairs stay open, and that what a person said of one is kept."""
    run = await world.run(world.a_run(repairs=False))
    found = await world.differences()
    assert Counter(finding.state for finding in found) == {FindingState.OPEN: harms}
    assert exit_status(run) == 2
    assert await world.runs.find(run.workspace, run.reconciliation_id) == run
    noted = [one.in_state(FindingState.ACKNOWLEDGED) for one in await world.runs.findings(run.workspace)]
    await world.runs.write(run.workspace, noted, SystemClock().unix_micros())
    run = await world.run(world.a_run(repairs=False))
    assert {finding.state for finding in await world.differences()} == {FindingState.ACKNOWLEDGED}
    assert (run.counts["open_errors"], run.counts["acknowledged_errors"]) == (0, len(noted))
    assert exit_status(run) == 0, "somebody has looked at all of it"
    worse = [replace(one, actual="less was wrong then") for one in noted[:1]]
    await world.runs.write(run.workspace, worse, SystemClock().unix_micros())
    run = await world.run(world.a_run(repairs=False))
    opened = await world.runs.findings(run.workspace, states=[FindingState.OPEN])
    assert [finding.finding_id for finding in opened] == [noted[0].finding_id]
    assert (run.counts["open_errors"], exit_status(run)) == (1, 2), "it is worse than what somebody has looked at"


async def test_a_run_that_was_stopped_goes_on_after_the_slices_it_has_finished(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        causes = await _harmed(world)
        told: list[Run] = []

        class Stopped(Exception):
            pass

        def stop(run: Run) -> None:
            told.append(run)
            raise Stopped

        first = world.a_run(slices=4)
        with pytest.raises(Stopped):
            await world.reconciliation.run(first, world.attribution.workspace, grace_seconds=_NO_GRACE, told=stop)
        stored = await world.runs.find(workspace, first.reconciliation_id)
        assert stored is not None
        assert (stored.is_complete, stored.finished_slices) == (False, (0,))
        done: list[Run] = []
        run = await world.reconciliation.run(
            stored, world.attribution.workspace, grace_seconds=_NO_GRACE, told=done.append
        )
        assert [one.finished_slices for one in done] == [(0, 1), (0, 1, 2), (0, 1, 2, 3), (0, 1, 2, 3)]
        assert run.counts["differences"] == len(causes) - 1, "what nobody observed is in no slice of people"
        assert exit_status(run) == 0


async def test_a_conversion_that_nobody_observed_stays_if_it_was_published(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = Events(workspace)
        order = make.order("customer:a", order_id="o-1")
        await world.attribution.handle(order)  # and never recorded
        known, lost = make.conversion_id("o-1"), "c1:whose-state-is-lost"
        await _copied(world, known, lost, "conversion_revisions")
        await _copied(world, known, "c1:nobodys", "conversions")
        await world.execute(
            "ALTER TABLE conversion_revisions DELETE WHERE workspace = %(w)s AND conversion_id = %(c)s", c=known
        )
        run = await world.run(world.a_run(repairs=False))
        chains = await world.runs.findings(workspace, kinds=[FindingKind.MISSING])
        assert [one.conversion_id for one in chains] == [known], "of what nobody published no revision is lost"
        run = await world.run()
        found = [one for one in await world.differences() if one.kind is FindingKind.EXTRA]
        assert {one.cause for one in found} == {FindingCause.EXTRA_CONVERSION}
        assert {one.conversion_id: one.state for one in found} == {
            known: FindingState.OPEN,
            lost: FindingState.OPEN,
            "c1:nobodys": FindingState.RESOLVED,
        }
        assert {row[0] for row in await world.attribution.stored("conversion_id")} == {known, lost}
        assert exit_status(run) == 2


async def test_what_is_younger_than_the_grace_is_left_to_the_next_run(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.attribution.record(Events(workspace).order("customer:a"))
        until_then = (SystemClock().unix_micros() - (NOON + 2 * DAY)) / 1e6
        run = await world.reconciliation.run(world.a_run(), world.attribution.workspace, grace_seconds=until_then + 60)
        assert (run.counts["too_recent"], run.counts["noted"], run.counts["differences"]) == (1, 1, 0)
        look = await ReconciledDays(world.attribution.clickhouse).look_at(workspace, Events(workspace).conversion_id())
        assert look is not None
        assert not look.is_compared


async def test_a_part_was_cut_though_some_of_what_differs_does_so_twice(
    redis_url: str, clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (reconciliation, reconciliation_comparison):
        monkeypatch.setattr(module, "LIMIT", 2)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = Events(workspace)
        await world.happen(*(make.order("visitor:a", order_id=f"a-{number}") for number in range(7)))
        stale = [make.conversion_id(f"a-{number}") for number in range(3)]
        harm = "ALTER TABLE conversions UPDATE {} WHERE workspace = %(w)s AND conversion_id IN %(c)s"
        await world.execute(harm.format("person_id = 'p1:before'"), c=stale)
        await world.execute(harm.format("order_id = 'harmed'"), c=sorted(stale)[:1])
        run = await world.run(world.a_run(repairs=False))
        assert (run.counts["differences"], run.counts["cut_slices"]) == (3, 1), "by its row the third is named, too"
        assert "noted" not in run.counts


async def test_reading_a_run_leaves_nothing_behind(redis_url: str, clickhouse_url: str, workspace: str) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(Events(workspace).order("customer:a", "visitor:b"))
        run = await world.run()
        for table in ("people", "entries", "conversions"):
            rows = await world.attribution.clickhouse.execute(
                f"SELECT count() FROM reconciliation_{table} WHERE startsWith(reconciliation_id, %(r)s)",  # noqa: S608
                {"r": run.reconciliation_id},
            )
            assert rows == [(0,)]


async def test_a_sum_that_is_right_again_is_resolved_by_a_run_that_looks_at_all_its_days(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        first = await world.run()
        text = "The event is recorded more than once."
        wrong = finding(first.reconciliation_id, FindingKind.SUM_WRONG, text, event_id="e-1")
        await world.runs.report(workspace, [wrong], first.create_micros)
        shorter = replace(world.a_run(), begin_micros=first.begin_micros + DAY)
        states = []
        for run in (shorter, world.a_run()):
            counts = (await world.run(run)).counts
            [stored] = await world.runs.findings(workspace)
            states.append((stored.state, counts["resolved"]))
        assert states == [(FindingState.OPEN, 0), (FindingState.RESOLVED, 1)]


async def test_what_is_true_no_more_is_resolved_by_a_run_that_would_have_found_it_again(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = Events(workspace)
        unrecorded = make.order("customer:u", order_id="o-u", micros=90_000_000)
        await world.happen(
            make.touch("visitor:a"),
            make.order("visitor:a"),
            *(make.order(f"customer:{n}", order_id=f"n-{n}", micros=90_000_000 + n) for n in range(30)),
            make.order("customer:x", order_id="o-x", micros=90_000_000_000),
        )
        await world.attribution.handle(unrecorded)
        harm = "ALTER TABLE conversions UPDATE {} WHERE workspace = %(w)s AND conversion_id = %(c)s"
        await world.execute(harm.format("value_micros = 1"), c=make.conversion_id())
        await world.run(world.a_run(repairs=False))
        opened = {FindingKind.DIFFERENT, FindingKind.EXTRA, FindingKind.OUTLIER, FindingKind.SUM_WRONG}
        assert await _open(world) == opened
        # Everything but credit is mended; of that, the cause is another now.
        other_credit = harm.format("value_micros = 90000000, linear_credit_micros = [999999]")
        await world.execute(other_credit, c=make.conversion_id())
        await world.attribution.record(unrecorded)
        await world.happen(make.retraction(order_id="o-x"))
        await world.run(world.a_run(repairs=False, begin=NOON + DAY))
        assert await _open(world) == opened - {FindingKind.EXTRA}, "it compared other days"
        await world.run(world.a_run(repairs=False))
        assert await _open(world) == {FindingKind.DIFFERENT, FindingKind.SUM_WRONG}
        states = {one.cause: one.state for one in await world.differences() if one.kind is FindingKind.DIFFERENT}
        assert states == {FindingCause.WRONG_VALUE: FindingState.RESOLVED, FindingCause.WRONG_CREDIT: FindingState.OPEN}
        sums = await world.runs.findings(workspace, kinds=[FindingKind.SUM_WRONG])
        assert [(one.conversion_id, one.expected, one.actual) for one in sums] == [
            (
                make.conversion_id(),
                "1000000 micros of credit, 90000000 micros EUR",
                "linear: 999999 micros of credit, 90000000 micros EUR",
            )
        ]
        await world.execute(harm.format("linear_credit_micros = [1000000]"), c=make.conversion_id())
        assert (await world.run(world.a_run(repairs=False))).counts["resolved"] == 2
        assert await _open(world) == set()


async def test_what_is_about_several_is_resolved_by_a_run_that_looks_at_them_all(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    conversions = [{"name": "purchase", "counting": "once_per_person"}]
    later = NOON + 5 * DAY
    async with reconciled(redis_url, clickhouse_url, workspace, conversions=conversions) as world:
        make = Events(workspace)
        await world.happen(
            *(make.order("visitor:a", order_id=f"a-{at}", at=at) for at in (NOON, later)),
            *(make.order("visitor:b", order_id=f"b-{at}", at=at) for at in (NOON, NOON + 1, later)),
            *(make.order(f"visitor:{at}", order_id=f"c-{at}", at=at) for at in (NOON, later)),
        )
        harm = "ALTER TABLE conversions UPDATE {} WHERE workspace = %(w)s AND order_id = %(o)s"
        mended = []
        for order, wrong, column in (
            (f"a-{later}", "true", "counted"),
            (f"b-{later}", "'p1:before'", "person_id"),
            (f"c-{later}", f"'c-{NOON}'", "order_id"),
        ):
            [[right, own_id]] = await world.attribution.clickhouse.execute(
                f"SELECT toString({column}), conversion_id FROM conversions FINAL"  # noqa: S608
                " WHERE workspace = %(w)s AND order_id = %(o)s",
                {"w": workspace, "o": order},
            )
            await world.execute(harm.format(f"{column} = {wrong}"), o=order)
            mended.append(f"{column} = '{right}' WHERE workspace = %(w)s AND conversion_id = '{own_id}'")
        about = {FindingCause.WRONG_VALUE, FindingCause.STALE_PERSON, FindingCause.WRONG_FACTS, FindingCause.NONE}
        of_all, of_the_later, of_the_earlier = {"begin": NOON - DAY}, {"begin": later - DAY}, {"end": later}
        opened = []
        for days in (of_all, of_the_later, of_the_earlier):
            await world.run(world.a_run(repairs=False, **days))
            found = await world.runs.findings(workspace)
            opened.append({one.cause for one in found if one.state is FindingState.OPEN})
        assert opened == [about] * 3, "nobody has mended anything"
        for update in mended:
            await world.execute(f"ALTER TABLE conversions UPDATE {update}")
        await world.run(world.a_run(repairs=False, **of_all))
        assert await _open(world) == set()


async def _open(world: Reconciled) -> set[FindingKind]:
    found = await world.runs.findings(world.attribution.workspace.id)
    return {one.kind for one in found if one.state is FindingState.OPEN}


async def test_what_the_stream_did_not_credit_of_late_events_and_merges_is_named_so(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = Events(workspace)
        await world.happen(
            make.touch("visitor:a"),
            *(make.order("visitor:a", order_id=f"a-{number}") for number in range(3)),
            make.touch("visitor:b"),
            make.order("visitor:b", order_id="b"),
        )
        late = make.touch("visitor:b", at=NOON - 2 * DAY, channel="Email")
        await world.attribution.record(late, accept_micros=SystemClock().unix_micros())
        table = (
            "ALTER TABLE conversions UPDATE person_id = 'p1:before' WHERE workspace = %(w)s AND conversion_id = %(c)s"
        )
        await world.execute(table, c=make.conversion_id("a-2"))
        await world.run(world.a_run(repairs=False))
        found = {one.conversion_id: (one.kind, one.cause) for one in await world.differences()}
        assert found == {
            make.conversion_id("b"): (FindingKind.LATE, FindingCause.DELETED_JOURNEY),
            make.conversion_id("a-2"): (FindingKind.MERGED, FindingCause.STALE_PERSON),
        }
