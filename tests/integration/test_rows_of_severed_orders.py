"""Rows of severed orders are held against the ledger, too, though nothing but the ledger knows them any more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Events
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tests.support.stores import Stores
from tributary_attribution.runs import exit_status
from tributary_attribution.severed_row_checks import SeveredRowChecks, is_severed
from tributary_domain.erasures import Erasure
from tributary_domain.findings import FindingCause, FindingState
from tributary_runtime.clock import SystemClock
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.newest_rows import NewestRows
from tributary_storage.clickhouse.severed_rows import SeveredRows

_VISITOR = "visitor:erased"
_SEVERED = "WHERE workspace = %(w)s AND startsWith(conversion_id, 's1:')"
_HARMS = {
    "counted": ("counted = false, not_counted_reason = 'ONCE_PER_PERSON'", FindingCause.WRONG_VALUE),
    "value": ("value_micros = 1", FindingCause.WRONG_VALUE),
    "name": ("name = 'another'", FindingCause.WRONG_FACTS),
    "posted": ("posting_date = posting_date - 30", FindingCause.WRONG_FACTS),
    "channel": ("touch_channels = arrayMap(x -> 'Other', touch_channels)", FindingCause.WRONG_CREDIT),
}


@pytest.fixture(scope="module")
def clickhouse_url(stores: Stores) -> Iterator[str]:
    """A database of this module's own: to harm a row takes as long as the table is large."""
    with stores.a_database("severed_rows") as url:
        yield url


@pytest.fixture
async def own(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Reconciled]:
    async with (
        reconciled(migrated_redis_url, clickhouse_url, workspace, delivery_seconds=PATIENCE_SECONDS) as opened,
        forgetting(opened.attribution),
    ):
        yield opened


async def _world(own: Reconciled, mode: ErasureMode = ErasureMode.SEVER, *, finishes: bool = True) -> None:
    """Lets somebody buy and be erased; somebody else buys, too."""
    await _happen(own)
    await _erase(own, mode)
    if finishes:
        await _finish(own)


async def _happen(own: Reconciled, *visitors: str) -> None:
    """Lets some buy, two if nobody is named, and get some of it back."""
    make = Events(own.attribution.workspace.id)
    for visitor in visitors or (_VISITOR, "visitor:living"):
        await own.happen(
            make.touch(visitor, at=NOON - 3 * DAY, channel="Email"),
            make.touch(visitor, at=NOON - 2 * DAY, channel="Display"),
            make.order(visitor, order_id=visitor),
        )
        await own.happen(make.refund(30_000_000, order_id=visitor, at=NOON + DAY))


async def _erase(own: Reconciled, mode: ErasureMode = ErasureMode.SEVER, visitor: str = _VISITOR) -> Erasure:
    planned = own.attribution.erasing.plan(own.attribution.workspace.id, [visitor], mode)
    erasure = await own.attribution.erasing.go_on(await own.attribution.erasing.request(planned))
    assert not any(erasure.remaining.values()), erasure.remaining
    return erasure


async def _finish(own: Reconciled) -> None:
    """Says of all erasures that they are finished: as the last run does, once nothing can come any more."""
    for one in await own.attribution.opened.opened():
        if one.workspace == own.attribution.workspace.id:
            await own.attribution.opened.close(one)
    await own.attribution.clickhouse.execute(
        "INSERT INTO erasures SELECT * REPLACE('finished' AS state, version + 1 AS version)"
        " FROM erasures FINAL WHERE workspace = %(w)s",
        {"w": own.attribution.workspace.id},
    )


async def _everything(own: Reconciled) -> list[Any]:
    ledger = await own.attribution.clickhouse.execute(
        "SELECT * FROM conversion_revisions FINAL WHERE workspace = %(w)s ORDER BY conversion_id, revision",
        {"w": own.attribution.workspace.id},
        raw_strings=True,
    )
    return [await own.attribution.stored("*"), ledger]


async def _said(own: Reconciled) -> list[tuple[FindingCause, FindingState]]:
    return [(one.cause, one.state) for one in await own.differences() if one.conversion_id.startswith("s1:")]


@pytest.mark.parametrize("name", list(_HARMS))
async def test_a_column_that_was_changed_is_named_and_written_again(own: Reconciled, name: str) -> None:
    await _world(own)
    before = await _everything(own)
    assert (await own.run()).counts["open_errors"] == 0
    harm, cause = _HARMS[name]
    await own.execute(f"ALTER TABLE conversions UPDATE {harm} {_SEVERED}")
    run = await own.run(own.a_run(repairs=False))
    assert (exit_status(run), await _said(own)) == (2, [(cause, FindingState.OPEN)])
    run = await own.run()
    assert exit_status(run) == 0
    assert {state for _, state in await _said(own)} == {FindingState.RESOLVED}
    assert await _everything(own) == before
    assert (await own.run()).counts["differences"] == 0


async def test_a_row_that_is_lost_is_named_and_written_again(own: Reconciled) -> None:
    await _world(own)
    before = await _everything(own)
    await own.execute(f"ALTER TABLE conversions DELETE {_SEVERED}")
    assert exit_status(await own.run(own.a_run(repairs=False))) == 2
    assert await _said(own) == [(FindingCause.LOST_ROW, FindingState.OPEN)]
    assert exit_status(await own.run()) == 0
    assert {state for _, state in await _said(own)} == {FindingState.RESOLVED}
    assert await _everything(own) == before
    assert (await own.run()).counts["differences"] == 0


async def test_what_one_put_right_otherwise_is_open_no_more(own: Reconciled) -> None:
    await _world(own)
    await own.execute(f"ALTER TABLE conversions UPDATE name = concat(name, '-') {_SEVERED}")
    await own.run(own.a_run(repairs=False))
    assert await _said(own) == [(FindingCause.WRONG_FACTS, FindingState.OPEN)]
    await own.execute(f"ALTER TABLE conversions UPDATE name = trimRight(name, '-') {_SEVERED}")
    await own.run(own.a_run(repairs=False))
    assert await _said(own) == [(FindingCause.WRONG_FACTS, FindingState.RESOLVED)]


@pytest.mark.parametrize("harm", ["value_micros = value_micros + 5", "counted_delta = 0", "value_delta_micros = 7"])
async def test_a_ledger_that_does_not_add_up_is_named_and_decides_nothing(own: Reconciled, harm: str) -> None:
    await _world(own)
    await own.execute(f"ALTER TABLE conversion_revisions UPDATE {harm} {_SEVERED} AND previous_revision = 0")
    await own.execute(f"ALTER TABLE conversions UPDATE name = 'another' {_SEVERED}")
    before = await _everything(own)
    run = await own.run()
    assert (exit_status(run), await _said(own)) == (2, [(FindingCause.WRONG_VALUE, FindingState.OPEN)])
    assert await _everything(own) == before


@pytest.mark.parametrize("harm", ["AND previous_revision > 0", ""])
async def test_a_row_of_which_the_ledger_lacks_the_newest_revision_is_named_and_stays(
    own: Reconciled, harm: str
) -> None:
    await _world(own)
    await own.execute(f"ALTER TABLE conversion_revisions DELETE {_SEVERED} {harm}")
    before = await _everything(own)
    run = await own.run()
    assert (exit_status(run), await _said(own)) == (2, [(FindingCause.LOST_ROW, FindingState.OPEN)])
    assert await _everything(own) == before


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_nothing_of_an_erasure_under_way_is_named(own: Reconciled, mode: ErasureMode) -> None:
    await _world(own, mode, finishes=False)
    for harm in ("DELETE", "UPDATE name = 'another'"):
        for table in ("conversion_revisions", "conversions"):
            only = "AND previous_revision = 0" if table == "conversion_revisions" else ""
            await own.execute(f"ALTER TABLE {table} {harm} {_SEVERED} {only}")
            run = await own.run()
            assert (exit_status(run), await _said(own)) == (0, [])


async def test_what_is_severed_is_looked_at_while_somebody_else_is_being_erased(own: Reconciled) -> None:
    await _world(own)
    [severed] = [one[0] for one in await own.attribution.stored("conversion_id") if is_severed(one[0])]
    await _happen(own, "visitor:other")
    await _erase(own, visitor="visitor:other")  # and was not finished yet
    own_row = f"{_SEVERED} AND conversion_id = '{severed}'"
    for harm in (f"DELETE {own_row}", f"UPDATE name = 'another' {own_row}"):
        await own.execute(f"ALTER TABLE conversions {harm}")
        run = await own.run(own.a_run(repairs=False))
        assert exit_status(run) == 2
        assert {one.conversion_id for one in await own.differences()} == {severed}
        assert exit_status(await own.run()) == 0
        assert {state for _, state in await _said(own)} == {FindingState.RESOLVED}
    await own.execute(f"ALTER TABLE conversions DELETE {_SEVERED} AND conversion_id != '{severed}'")
    assert exit_status(await own.run()) == 0
    assert {one.conversion_id for one in await own.differences()} == {severed}


@pytest.mark.parametrize("harm", ["DELETE", "UPDATE name = 'another'"])
async def test_what_was_found_stays_open_while_nobody_looks(own: Reconciled, harm: str) -> None:
    await _happen(own)
    erasure = await _erase(own)
    await _finish(own)
    await own.execute(f"ALTER TABLE conversions {harm} {_SEVERED}")
    await own.run(own.a_run(repairs=False))
    assert [state for _, state in await _said(own)] == [FindingState.OPEN]
    await own.run(own.a_run(begin=NOON - 60 * DAY, end=NOON - 30 * DAY))
    assert [state for _, state in await _said(own)] == [FindingState.OPEN], "it is of no day of these"
    await own.attribution.opened.keep(erasure)
    await own.run()
    assert [state for _, state in await _said(own)] == [FindingState.OPEN], "it is passed over"
    await _finish(own)
    assert exit_status(await own.run()) == 0
    assert {state for _, state in await _said(own)} == {FindingState.RESOLVED}


async def test_an_erasure_that_begins_and_ends_while_rows_are_read_is_known(own: Reconciled) -> None:
    attribution = own.attribution
    checks = SeveredRowChecks(
        *(NewestRows(attribution.clickhouse), SeveredRows(attribution.clickhouse), attribution.opened, SystemClock())
    )
    workspace = attribution.workspace.id
    await _happen(own)
    before = await checks.before(workspace)
    assert (await checks.passed_over(workspace, before, ["s1:any"])).conversion_ids == frozenset()
    await _erase(own)
    ids = [one[0] for one in await attribution.stored("conversion_id")]
    severed = set(filter(is_severed, ids))
    assert len(severed) == 1
    under_way = await checks.before(workspace)
    for since in (before, under_way):
        assert (await checks.passed_over(workspace, since, [*ids, "s1:any"])).conversion_ids == severed
    await _finish(own)
    for since in (before, under_way):  # nobody knows any more what it was about
        assert (await checks.passed_over(workspace, since, [*ids, "s1:any"])).conversion_ids == {*severed, "s1:any"}
    after = await checks.before(workspace)
    assert (await checks.passed_over(workspace, after, [*ids, "s1:any"])).conversion_ids == frozenset()


async def test_what_closed_books_keep_of_a_removed_conversion_has_no_row(
    migrated_redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    about = migrated_redis_url, clickhouse_url, workspace
    async with reconciled(*about) as own:
        await _happen(own)
    closed = {"books_closed_through": SystemClock().now().date() + timedelta(days=1)}
    settings: dict[str, Any] = {"delivery_seconds": PATIENCE_SECONDS, "reporting": closed}
    async with reconciled(*about, **settings) as own, forgetting(own.attribution):
        await _erase(own, ErasureMode.REMOVE)
        await _finish(own)
        assert (await own.run()).counts["differences"] == 0
        assert len(await own.attribution.stored("conversion_id")) == 1
        last = f"{_SEVERED} AND not_counted_reason = 'ERASED'"
        assert len((await _everything(own))[1]) == 5
        await own.execute(f"ALTER TABLE conversion_revisions DELETE {last}")
        before = await _everything(own)
        assert len(before[1]) == 4
        for _ in range(2):
            assert exit_status(await own.run()) == 2
            assert {state for _, state in await _said(own)} == {FindingState.OPEN}
            assert await _everything(own) == before, "a removed conversion would count again"
