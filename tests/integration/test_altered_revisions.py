"""Rows of the ledger that somebody altered: found, named, and written again as they were published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pytest

from tests.integration.test_lost_revisions import _report
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Events
from tests.support.stores import Stores
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.runs import exit_status
from tributary_domain.erasures import ErasureState
from tributary_domain.findings import AS_PUBLISHED, Finding, FindingCause, FindingKind, FindingState
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.clickhouse import ledger_rows
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.report_query import Basis
from tributary_storage.clickhouse.writer import ConversionWriter

_VALUE, _CREDIT, _FACTS = FindingCause.WRONG_VALUE, FindingCause.WRONG_CREDIT, FindingCause.WRONG_FACTS
_NEWEST, _OLDER = 2, 1
_HARMS: Final[Mapping[str, tuple[str, FindingCause]]] = {
    "delta": ("value_delta_micros = value_delta_micros * 2", _VALUE),
    "counted-delta": ("counted_delta = 1", _VALUE),
    "value": ("value_micros = 5", _VALUE),
    "uncounted": ("counted = false, not_counted_reason = 'RETRACTED'", _VALUE),
    "currency": ("currency = 'GBP'", _VALUE),
    "amounts": ("amounts_micros = map('tax', 5)", _VALUE),
    "credit": ("linear_credit_micros = [1, 999999]", _CREDIT),
    "shares": ("time_decay_value_micros = arrayReverse(time_decay_value_micros)", _CREDIT),
    "reason": ("linear_unattributed_reason = 'NO_CONSENT'", _CREDIT),
    "model": ("data_driven_model_version = 'm'", _CREDIT),
    "posting": ("posting_date = posting_date - 30", _FACTS),
    "time": ("conversion_time = conversion_time - toIntervalDay(3)", _FACTS),
    "replaced": ("replaced_conversion_time = conversion_time", _FACTS),
    "name": ("name = 'trial'", _FACTS),
    "role": ("role = 'LEAD', is_primary = false", _FACTS),
    "touches": ("touch_event_ids = arrayReverse(touch_event_ids)", _FACTS),
    "times": ("touch_times = arrayMap(t -> t - toIntervalDay(3), touch_times)", _FACTS),
    "channels": ("touch_channels = arrayMap(c -> 'Email', touch_channels)", _FACTS),
    "details": ("touch_details = arrayMap(d -> map('ad_id', 'x'), touch_details)", _FACTS),
    "cycle": ("cycle = '9'", _FACTS),
    "causes": ("causes = ['settings_change'], causing_event_ids = []", _FACTS),
    "person": ("person_id = 'p1:00000000000000000000000000000000'", _FACTS),
    "version": ("settings_version = 'zz'", _FACTS),
}


@pytest.fixture(scope="module")
def clickhouse_url(stores: Stores) -> Iterator[str]:
    """A database of this module's own: to harm a row takes as long as the table is large."""
    with stores.a_database("altered") as url:
        yield url


async def _refunded_twice(world: Reconciled, make: Events, orders: Sequence[str]) -> dict[str, list[int]]:
    """Makes orders of two touches that are refunded twice; returns the revisions of each."""
    await world.happen(
        make.touch("visitor:a", at=NOON - 3 * DAY), make.touch("visitor:a", at=NOON - DAY, channel="Email")
    )
    await world.happen(*(make.order("visitor:a", order_id=order) for order in orders))
    for number in (1, 2):
        await world.happen(*(make.refund(30_000_000, order_id=order, at=NOON + number * DAY) for order in orders))
    return {order: await world.attribution.stored_revisions(make.conversion_id(order)) for order in orders}


async def _rows(world: Reconciled, table: str = "conversion_revisions", *, but: str = "") -> list[Any]:
    """Returns all that is stored of revisions, or of the newest ones, and when."""
    some = f"EXCEPT ({but})" if but and table == "conversion_revisions" else ""
    return await world.attribution.clickhouse.execute(
        f"SELECT * {some} FROM {table} FINAL"  # noqa: S608 - of the test
        " WHERE workspace = %(w)s ORDER BY conversion_id, revision",
        {"w": world.attribution.workspace.id},
        raw_strings=True,
    )


async def _said(world: Reconciled, conversion_id: str, revision: int) -> ConversionRevised:
    [(content,)] = await world.attribution.clickhouse.execute(
        "SELECT revised FROM conversion_revisions FINAL"
        " WHERE workspace = %(w)s AND conversion_id = %(c)s AND revision = %(r)s",
        {"w": world.attribution.workspace.id, "c": conversion_id, "r": revision},
        raw_strings=True,
    )
    return ConversionRevised.FromString(content)


async def _harm(world: Reconciled, what: str, conversion_id: str, revision: int) -> None:
    await world.execute(
        f"ALTER TABLE conversion_revisions UPDATE {what}"
        " WHERE workspace = %(w)s AND conversion_id = %(c)s AND revision = %(r)s",
        c=conversion_id,
        r=revision,
    )


async def _copy(world: Reconciled, what: str, conversion_id: str, revision: int) -> None:
    """Writes a row again, and something in it otherwise."""
    await world.execute(
        f"INSERT INTO conversion_revisions SELECT * REPLACE ({what})"  # noqa: S608 - of the test
        " FROM (SELECT * FROM conversion_revisions FINAL) AS s"
        " WHERE s.workspace = %(w)s AND s.conversion_id = %(c)s AND s.revision = %(r)s",
        c=conversion_id,
        r=revision,
    )


async def _about_ledger(world: Reconciled) -> dict[str, Finding]:
    return {one.conversion_id: one for one in await world.differences() if one.expected == AS_PUBLISHED}


@pytest.mark.parametrize("which", [pytest.param(_NEWEST, id="newest"), pytest.param(_OLDER, id="older")])
async def test_an_altered_row_is_found_named_and_written_again_as_it_was_published(
    redis_url: str, clickhouse_url: str, workspace: str, which: int
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        revisions = await _refunded_twice(world, make, [*_HARMS, "copied", "whole"])
        before, newest = await _rows(world), await _rows(world, "conversions")
        reports = [await _report(world.attribution, basis) for basis in Basis]
        for order, (what, _) in _HARMS.items():
            await _harm(world, what, make.conversion_id(order), revisions[order][which])
        copied = make.conversion_id("copied"), revisions["copied"][which]
        await _copy(world, "toDate32('2020-01-01') AS posting_date", *copied)
        assert reports[list(Basis).index(Basis.POSTING)] != await _report(world.attribution, Basis.POSTING)

        run = await world.run(world.a_run(repairs=False))
        assert exit_status(run) == 2
        found = await _about_ledger(world)
        wanted = {make.conversion_id(order): cause for order, (_, cause) in _HARMS.items()}
        wanted[make.conversion_id("copied")] = _FACTS
        assert {name: one.cause for name, one in found.items()} == wanted
        assert {(one.kind, one.state) for one in found.values()} == {(FindingKind.DIFFERENT, FindingState.OPEN)}
        assert found[make.conversion_id("delta")].actual == f"revision {revisions['delta'][which]}: value_delta_micros"

        run = await world.run()
        assert (exit_status(run), run.counts["altered_revisions"]) == (0, len(wanted))
        found = await _about_ledger(world)
        assert {one.state for one in found.values()} == {FindingState.RESOLVED}
        assert {name: one.repair_revision for name, one in found.items()} == {
            make.conversion_id(order): revisions[order][which] for order in (*_HARMS, "copied")
        }
        assert await _rows(world) == before
        assert await _rows(world, "conversions") == newest
        assert [await _report(world.attribution, basis) for basis in Basis] == reports
        run = await world.run()
        assert (exit_status(run), run.counts["altered_revisions"], run.counts["differences"]) == (0, 0, 0)


async def test_pages_are_as_large_as_their_messages_allow_and_all_of_them_are_mended(
    redis_url: str, clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        clickhouse = world.attribution.clickhouse
        touches = (make.touch("visitor:a", at=NOON - (200 - i) * 60_000_000, event_id=f"t{i}") for i in range(200))
        await world.happen(*touches, make.order("visitor:a"))
        revised = await _said(
            world, make.conversion_id(), *await world.attribution.stored_revisions(make.conversion_id())
        )
        alike = []
        for number in range(40):
            revised.state.conversion_id = f"c1:{number * 7 % 40:032x}"
            revised.previous_revision = 0
            for _ in range(3):
                one = ConversionRevised.FromString(revised.SerializeToString())
                if one.previous_revision:
                    one.value_delta_micros = one.counted_delta = 0
                alike.append((one, one.SerializeToString()))
                revised.previous_revision = revised.revision
                revised.revision += 1
        await ConversionWriter(clickhouse).write(alike)
        before = await _rows(world)
        most = 5 * max(len(content) for _, content in alike)
        monkeypatch.setattr(ledger_rows, "_BYTES_AT_ONCE", most)
        monkeypatch.setattr(ledger_rows, "_PLACES_AT_ONCE", 17)
        rows = ledger_rows.LedgerRows(clickhouse)
        ids = await rows.conversions(Scope("r1", workspace, NOON - DAY, NOON + DAY, 1), 2**52)
        sizes, places = [], []
        async for page in rows.pages(workspace, ids):
            sizes.append(sum(len(row.content) for row in page))
            places += [row.place for row in page]
            assert {row.differing for row in page} == {()}
        assert max(sizes) <= most
        assert places == [(row[1].decode(), row[2]) for row in before]

        await world.execute("ALTER TABLE conversion_revisions UPDATE role = 'LEAD' WHERE workspace = %(w)s")
        monkeypatch.setattr(ledger_rows, "MAX_MEMORY", 48_000_000)
        run = await world.run()
        assert (run.counts["altered_revisions"], await _rows(world)) == (len(before), before)


async def test_what_a_run_mended_that_was_resumed_is_told(
    redis_url: str, clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        revisions = await _refunded_twice(world, make, ["a", "whole"])
        before = await _rows(world)
        for revision in revisions["a"][_OLDER:]:
            await _harm(world, "posting_date = posting_date - 30", make.conversion_id("a"), revision)
        run = world.a_run()
        with monkeypatch.context() as silent:

            async def read(*_: object) -> None:
                raise StorageUnavailableError("It does not answer.")

            silent.setattr(world.reconciliation._reading, "read", read)
            with pytest.raises(StorageUnavailableError):
                await world.run(run)
        assert await _rows(world) == before
        stopped = await world.runs.find(workspace, run.reconciliation_id)
        assert stopped is not None
        run = await world.run(stopped)
        assert (exit_status(run), run.counts["altered_revisions"]) == (0, 2)
        [found] = (await _about_ledger(world)).values()
        assert (found.conversion_id, found.state) == (make.conversion_id("a"), FindingState.RESOLVED)
        assert (found.repair_revision, found.reconciliation_id) == (revisions["a"][_NEWEST], run.reconciliation_id)


async def test_an_altered_row_is_mended_before_a_lost_one_is_made_of_it(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await _refunded_twice(world, make, ["a", "whole"])
        before, newest = await _rows(world), await _rows(world, "conversions")
        await world.execute(
            "ALTER TABLE conversion_revisions UPDATE posting_date = posting_date - 30, role = 'LEAD'"
            " WHERE workspace = %(w)s"
        )
        await world.execute("ALTER TABLE conversions DELETE WHERE workspace = %(w)s")
        run = await world.run()
        assert (exit_status(run), run.counts["altered_revisions"]) == (0, len(before))
        assert (await _rows(world), await _rows(world, "conversions")) == (before, newest)


async def test_what_an_erasure_has_taken_meanwhile_is_not_written_again(
    redis_url: str, clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(make.touch("visitor:a", at=NOON - DAY), make.order("visitor:a", order_id="a"))
        await world.happen(make.touch("visitor:b", at=NOON - DAY), make.order("visitor:b", order_id="b"))
        whole = [row for row in await _rows(world) if row[1].decode() == make.conversion_id("b")]
        await world.execute(
            "ALTER TABLE conversion_revisions UPDATE posting_date = posting_date - 30 WHERE workspace = %(w)s"
        )
        writer, erasing = world.reconciliation._ledger._repair._writer, world.attribution.erasing
        write_again = writer.write_again
        harmed = await _rows(world)
        seen = []

        async def later(revisions: Any) -> None:
            wanted = list(revisions)
            if not seen:
                erasure = await erasing.request(erasing.plan(workspace, ["visitor:a"]))
                for step in erasing.steps()[:2]:
                    erasure = await step(erasure)
                await write_again([one for one in wanted if one[0].state.conversion_id == make.conversion_id("a")])
                seen.append(await _rows(world) == harmed)  # it is under way, and has taken nothing yet
                seen.append((await erasing.go_on(erasure)).state is ErasureState.DESTROYED)
                await world.execute("ALTER TABLE erasures UPDATE state = 'finished' WHERE workspace = %(w)s")
            await write_again(wanted)

        monkeypatch.setattr(writer, "write_again", later)
        await world.run()
        assert seen == [True, True]
        rows = await _rows(world)
        ids = {row[1].decode() for row in rows}
        assert (make.conversion_id("a") in ids, len(ids)) == (False, 2)
        assert [row for row in rows if row[1].decode() == make.conversion_id("b")] == whole
        newest = await _rows(world, "conversions")
        assert {row[2].decode() for row in newest} == ids


async def test_a_message_that_is_damaged_is_what_the_state_store_has_or_stays_open(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    harms = {
        "empty": "revised = ''",
        "cut": "revised = substring(revised, 1, 40)",
        "noise": "revised = unhex('ffffffff')",
    }
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        orders = [f"{harm}-{which}" for harm in (*harms, "worth", "chain") for which in (_OLDER, _NEWEST)]
        revisions = await _refunded_twice(world, make, orders)
        before = await _rows(world, but="revised")
        published = {
            order: await _said(world, make.conversion_id(order), revisions[order][int(order[-1])]) for order in orders
        }
        for order in orders:
            harm, _, which = order.partition("-")
            conversion_id, revision = make.conversion_id(order), revisions[order][int(which)]
            if harm in harms:
                await _harm(world, harms[harm], conversion_id, revision)
                continue
            said = await _said(world, conversion_id, revision)
            if harm == "worth":
                said.state.order_key.cycle = "9"
            else:
                said.value_delta_micros += 5
            await _harm(world, f"revised = unhex('{said.SerializeToString().hex()}')", conversion_id, revision)
        run = await world.run()
        found = await _about_ledger(world)
        assert found.keys() == {make.conversion_id(order) for order in orders}
        state = {order: found[make.conversion_id(order)].state for order in orders}
        assert {order: one for order, one in state.items() if order.endswith(str(_NEWEST))} == {
            order: FindingState.RESOLVED for order in orders if order.endswith(str(_NEWEST))
        }
        left = {order for order, one in state.items() if one is FindingState.OPEN}
        assert left == {f"{harm}-{_OLDER}" for harm in (*harms, "chain")}
        assert exit_status(run) == 2
        assert run.counts["open_errors"] == len(left)
        for order in orders:
            if order.endswith(str(_NEWEST)):
                own = make.conversion_id(order), revisions[order][_NEWEST]
                assert await _said(world, *own) == published[order]
        wrong = {make.conversion_id(order).encode() for order in orders if order.endswith(str(_OLDER))}
        left_alone = [row for row in before if row[1] not in wrong]
        assert [row for row in await _rows(world, but="revised") if row[1] not in wrong] == left_alone
        assert (await world.run()).counts["altered_revisions"] == len(left)

        mended = f"chain-{_OLDER}"  # by somebody who had a copy
        content = published[mended].SerializeToString().hex()
        conversion_id = make.conversion_id(mended)
        await _harm(world, f"revised = unhex('{content}')", conversion_id, revisions[mended][_OLDER])
        run = await world.run()
        assert (run.counts["altered_revisions"], run.counts["resolved"]) == (len(left) - 1, 1)
        assert (await _about_ledger(world))[conversion_id].state is FindingState.RESOLVED


async def test_a_time_that_was_corrected_leaves_no_second_row_where_an_older_revision_is_written_again(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(make.touch("visitor:a", at=NOON - 3 * DAY))
        await world.happen(make.order("visitor:a", rank=1, event_id="late", at=NOON + DAY))
        await world.happen(make.order("visitor:a", rank=2, event_id="early", at=NOON, letter="M"))
        await world.happen(make.refund(30_000_000, at=NOON + 2 * DAY))
        revisions = await world.attribution.stored_revisions(make.conversion_id())
        assert len(revisions) == 3
        before, newest = await _rows(world), await _rows(world, "conversions")
        assert len({row[4] for row in before}) == 2, "its time was corrected"
        for revision in revisions:
            await _harm(world, "posting_date = posting_date - 30", make.conversion_id(), revision)
        run = await world.run()
        assert (exit_status(run), run.counts["altered_revisions"]) == (0, 3)
        assert (await _rows(world), await _rows(world, "conversions")) == (before, newest)


async def test_what_a_release_of_before_wrote_without_columns_of_today_agrees(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(make.touch("visitor:a", at=NOON - DAY), make.order("visitor:a"))
        [revision] = await world.attribution.stored_revisions(make.conversion_id())
        absent = "role = '', touch_details = [], rate_date = toDate32('1900-01-01')"
        await _harm(world, absent, make.conversion_id(), revision)
        later = "ALTER TABLE migrations UPDATE apply_time = apply_time + toIntervalDay(%(d)s) WHERE number >= 24"
        await world.execute(later, d=1)
        assert (await world.run(world.a_run(repairs=False))).counts["altered_revisions"] == 0
        await _harm(world, "role = 'LEAD'", make.conversion_id(), revision)
        assert (await world.run(world.a_run(repairs=False))).counts["altered_revisions"] == 1
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.execute(later, d=-1)  # an installation that had all columns from its beginning
        await _harm(world, absent, make.conversion_id(), revision)
        assert (await world.run(world.a_run(repairs=False))).counts["altered_revisions"] == 1
