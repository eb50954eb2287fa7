"""Chains of revisions where rows are lost, messages damaged, numbers altered: each named once, by its right cause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.test_altered_revisions import _about_ledger, _harm, _refunded_twice, _rows, _said
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import Events
from tests.support.stores import Stores
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.runs import exit_status
from tributary_domain.findings import Finding, FindingCause, FindingState
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.revision_rows import RevisionRows
from tributary_storage.clickhouse.writer import ConversionWriter

_OPEN, _RESOLVED = FindingState.OPEN, FindingState.RESOLVED


@pytest.fixture(scope="module")
def clickhouse_url(stores: Stores) -> Iterator[str]:
    """A database of this module's own: to harm a row takes as long as the table is large."""
    with stores.a_database("chains") as url:
        yield url


async def _lose(world: Reconciled, conversion_id: str, revision: int) -> None:
    for table in ("conversion_revisions", "conversions"):
        await world.execute(
            f"ALTER TABLE {table} DELETE WHERE workspace = %(w)s AND conversion_id = %(c)s AND revision = %(r)s",
            c=conversion_id,
            r=revision,
        )


async def _renumber(world: Reconciled, conversion_id: str, revision: int, previous: int) -> None:
    """Alters in a message which revision it names as the one before it."""
    said = await _said(world, conversion_id, revision)
    said.previous_revision = previous
    content = said.SerializeToString(deterministic=True).hex()
    await _harm(world, f"revised = unhex('{content}')", conversion_id, revision)


async def _whole(world: Reconciled, *, but: str) -> list[Any]:
    """Returns the rows of all conversions but one, their messages last."""
    return await world.attribution.clickhouse.execute(
        "SELECT * EXCEPT (revised), revised FROM conversion_revisions FINAL"
        " WHERE workspace = %(w)s AND conversion_id != %(c)s ORDER BY conversion_id, revision",
        {"w": world.attribution.workspace.id, "c": but},
        raw_strings=True,
    )


async def _lost_rows(world: Reconciled) -> dict[str, Finding]:
    return {one.conversion_id: one for one in await world.differences() if one.cause is FindingCause.LOST_ROW}


async def test_a_lost_row_and_a_damaged_message_of_one_conversion_are_both_named_and_mended_where_somebody_knows(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    damages = {  # order -> which of its rows is lost, which message is damaged, how; states of the two findings then
        "first-newest": (0, 2, "substring(revised, 1, 40)", (_RESOLVED, _RESOLVED)),
        "middle-newest": (1, 2, "unhex('ffffffff')", (_RESOLVED, _RESOLVED)),
        "first-middle": (0, 1, "unhex('ffffffff')", (_OPEN, _OPEN)),
        "first-middle-of-other": (0, 1, "", (_OPEN, _OPEN)),
        "first-middle-unsummed": (0, 1, "unsummed", (_OPEN, _OPEN)),
        "newest-first": (2, 0, "unhex('ffffffff')", (_RESOLVED, _OPEN)),
        "newest-middle": (2, 1, "''", (_OPEN, _OPEN)),
    }
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        revisions = await _refunded_twice(world, make, [*damages, "whole"])
        other = await _said(world, make.conversion_id("whole"), revisions["whole"][1])
        another = f"unhex('{other.SerializeToString().hex()}')"
        before = await _rows(world, but="revised, record_time")
        for order, (lost, damaged, how, _) in damages.items():
            conversion_id = make.conversion_id(order)
            unsummed = await _said(world, conversion_id, revisions[order][damaged])
            unsummed.state.models[3].unattributed.credit_micros += 1
            content = f"unhex('{unsummed.SerializeToString().hex()}')" if how == "unsummed" else how or another
            await _harm(world, f"revised = {content}", conversion_id, revisions[order][damaged])
            await _lose(world, conversion_id, revisions[order][lost])
        damaged_rows = await _rows(world)
        await world.run(world.a_run(repairs=False))
        assert await _rows(world) == damaged_rows
        run = await world.run()
        lost_rows, altered = await _lost_rows(world), await _about_ledger(world)
        assert altered.keys() == lost_rows.keys() == {make.conversion_id(order) for order in damages}
        named = {order: make.conversion_id(order) for order in damages}
        assert {order: (lost_rows[name].state, altered[name].state) for order, name in named.items()} == {
            order: states for order, (*_, states) in damages.items()
        }
        assert exit_status(run) == 2
        rows = {(row[1].decode(), row[2]): row for row in await _rows(world, but="revised, record_time")}
        mended = {
            (make.conversion_id(order), revisions[order][number])
            for order, number in (("first-newest", 1), ("middle-newest", 2))
        }  # what comes after the lost one names the one before that
        assert [rows[at] for row in before if (at := (row[1].decode(), row[2])) in rows and at not in mended] == [
            row for row in before if (at := (row[1].decode(), row[2])) in rows and at not in mended
        ]
        assert len(rows) == len(before) - 6
        stored = {at: row[3] for at, row in rows.items()}
        for conversion_id, revision in mended:
            assert stored[conversion_id, revision] in (0, *(number for name, number in stored if name == conversion_id))
            said = await _said(world, conversion_id, revision)
            assert said.previous_revision == stored[conversion_id, revision]
        again = await world.run()
        assert again.counts["altered_revisions"] == 5
        assert again.counts["lost_revisions"] == 3


async def test_an_altered_number_of_the_revision_before_is_named_once_and_mended(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    orders = [f"{where}-{which}" for where in ("column", "zero", "message", "none") for which in (0, 1, 2)]
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        revisions = await _refunded_twice(world, make, [*orders, "lost"])
        before = await _whole(world, but=make.conversion_id("lost"))
        harmed = {}
        for order in orders:
            where, _, which = order.partition("-")
            conversion_id, revision = make.conversion_id(order), revisions[order][int(which)]
            previous = 0 if where in ("zero", "none") else 7
            if not previous and which == "0":
                continue
            harmed[conversion_id] = revision
            if where in ("column", "zero"):
                await _harm(world, f"previous_revision = {previous}", conversion_id, revision)
            else:
                await _renumber(world, conversion_id, revision, previous)
        lost = make.conversion_id("lost")
        await _harm(world, "previous_revision = 7", lost, revisions["lost"][2])
        await _lose(world, lost, revisions["lost"][1])

        run = await world.run(world.a_run(repairs=False))
        assert exit_status(run) == 2
        assert (await _about_ledger(world)).keys() == {*harmed, lost}
        assert (await _lost_rows(world)).keys() == {lost}
        run = await world.run()
        found = await world.differences()
        assert {one.state for one in found} == {_RESOLVED}
        assert sorted(one.conversion_id for one in found) == sorted([*harmed, lost, lost])
        assert {one.cause for one in found if one.conversion_id != lost} == {FindingCause.WRONG_FACTS}
        assert {name: one.actual for name, one in (await _about_ledger(world)).items() if name != lost} == {
            name: f"revision {revision}: previous_revision" for name, revision in harmed.items()
        }
        assert (exit_status(run), run.counts["lost_revisions"]) == (0, 1)
        after = [(*row[:-1], ConversionRevised.FromString(row[-1])) for row in await _whole(world, but=lost)]
        assert after == [(*row[:-1], ConversionRevised.FromString(row[-1])) for row in before]
        run = await world.run()
        assert (exit_status(run), run.counts["altered_revisions"], run.counts["lost_revisions"]) == (0, 0, 0)


async def test_what_was_written_again_is_what_everybody_reads_before_parts_are_merged(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        clickhouse = world.attribution.clickhouse
        history = ConversionHistory(clickhouse)
        revisions = await _refunded_twice(world, make, [f"o-{number}" for number in range(10)])
        numbered = [(make.conversion_id(order), revision) for order, own in revisions.items() for revision in own]
        before = await history.revisions_of(workspace, numbered)
        await world.execute(
            "ALTER TABLE conversion_revisions UPDATE revised = concat(revised, unhex('1807')) WHERE workspace = %(w)s"
        )
        assert {one.previous_revision for one in (await history.revisions_of(workspace, numbered)).values()} == {7}
        await clickhouse.execute("SYSTEM STOP MERGES conversion_revisions")
        try:
            rows = await clickhouse.execute(
                "SELECT conversion_id, revision, revised FROM conversion_revisions FINAL WHERE workspace = %(w)s",
                {"w": workspace},
                raw_strings=True,
            )
            harmed = {(name.decode(), revision): content for name, revision, content in rows}
            await ConversionWriter(clickhouse).write_again(
                [(said, said.SerializeToString(), said.revision, harmed[place]) for place, said in before.items()]
            )
            assert await history.revisions_of(workspace, numbered) == before
            assert await RevisionRows(clickhouse).messages(workspace, numbered) == before
            newest = {name: before[name, revision] for name, revision in sorted(numbered)}
            assert await history.newest(workspace, list(newest)) == newest
            for name, revision in numbered:
                assert await history.as_of(workspace, name, revision) == before[name, revision]
        finally:
            await clickhouse.execute("SYSTEM START MERGES conversion_revisions")


async def test_numbers_that_no_column_holds_are_what_nobody_can_read(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    orders = [f"{harm}-{which}" for harm in ("day", "time", "count", "kind", "touch") for which in (1, 2)]
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        revisions = await _refunded_twice(world, make, [*orders, "whole"])
        before = await _rows(world, but="revised")
        for order in orders:
            harm, _, which = order.partition("-")
            conversion_id, revision = make.conversion_id(order), revisions[order][int(which)]
            said = await _said(world, conversion_id, revision)
            if harm == "day":
                said.ClearField("posting_date")
                said.publish_time.seconds = 2**62
            elif harm == "time":
                said.state.conversion_time.seconds = 2**50
            elif harm == "count":
                said.state.touches[0].credits[0].credit_micros = 2**31 - 1
            elif harm == "kind":
                said.state.value.amount_micros = -(2**63)
            else:
                said.state.touches[0].touch_time.seconds = 2**62
            await _harm(world, f"revised = unhex('{said.SerializeToString().hex()}')", conversion_id, revision)
        run = await world.run()
        found = await _about_ledger(world)
        assert found.keys() == {make.conversion_id(order) for order in orders}
        assert {order for order in orders if found[make.conversion_id(order)].state is _RESOLVED} == {
            order for order in orders if order.endswith("2")
        }
        assert exit_status(run) == 2
        assert await _rows(world, but="revised") == before
