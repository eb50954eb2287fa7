"""The statements we generate are the ones that were reviewed.

Each is committed in `sql_snapshots/`. After a change that is meant: `UPDATE_SNAPSHOTS=1 pytest tests/contract/...`, and
read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tributary_domain.warehouse_tables import TABLES
from tributary_storage.clickhouse.report_query import Basis, Dimension, Filter, Metric, ReportQuery
from tributary_storage.clickhouse.reports import report_statement
from tributary_storage.clickhouse.warehouse_selects import rows_of

SNAPSHOTS = Path(__file__).parent / "sql_snapshots"
ADDITIVE = (Metric.CONVERSIONS, Metric.VALUE)

QUERIES = {
    "report_total": ReportQuery(workspace="shop", metrics=ADDITIVE, model="linear"),
    "report_by_channel": ReportQuery(
        workspace="shop", metrics=tuple(Metric), dimensions=[Dimension.CHANNEL], model="last_non_direct"
    ),
    "report_by_model": ReportQuery(
        workspace="shop",
        metrics=ADDITIVE,
        dimensions=[Dimension.CHANNEL, Dimension.MODEL],
        filters=[
            Filter(Dimension.MODEL, ("linear", "data_driven")),
            Filter(Dimension.CHANNEL, ("Direct",), is_excluding=True),
        ],
        after=("Email", "linear"),
    ),
    "report_by_model_and_reason": ReportQuery(
        workspace="shop",
        metrics=ADDITIVE,
        dimensions=[Dimension.MODEL, Dimension.CHANNEL, Dimension.UNATTRIBUTED_REASON],
    ),
    "report_by_day_filtered_second_page": ReportQuery(
        workspace="shop",
        metrics=ADDITIVE,
        dimensions=[Dimension.DAY, Dimension.HOUR, Dimension.CURRENCY],
        model="time_decay",
        filters=[
            Filter(Dimension.CHANNEL, ("Email", "Direct")),
            Filter(Dimension.CONVERSION_NAME, ("lead",), is_excluding=True),
        ],
        time_zone="Europe/Berlin",
        not_primary_names=("newsletter",),
        after=("2026-11-20", 1_763_600_000, "EUR"),
        limit=101,
    ),
    "report_by_touchpoint_time": ReportQuery(
        workspace="shop",
        metrics=ADDITIVE,
        dimensions=[Dimension.DAY, Dimension.SOURCE, Dimension.MEDIUM],
        model="first_touch",
        basis=Basis.TOUCHPOINT,
    ),
    "report_by_own_models": ReportQuery(
        workspace="shop",
        metrics=ADDITIVE,
        dimensions=[Dimension.CONVERSION_NAME, Dimension.CHANNEL],
        model="last_non_direct",
        own_models=[("call", "first_touch"), ("lead", "first_touch"), ("signup", "linear")],
    ),
    "report_as_of": ReportQuery(
        workspace="shop", metrics=ADDITIVE, dimensions=[Dimension.CHANNEL], model="linear", as_of_micros=1
    ),
    "report_by_posting_day": ReportQuery(
        workspace="shop",
        metrics=ADDITIVE,
        dimensions=[Dimension.DAY, Dimension.CHANNEL],
        model="linear",
        basis=Basis.POSTING,
        start_date="2026-11-01",
        end_date="2026-12-01",
    ),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_generated_statement_is_the_one_that_was_reviewed(name: str) -> None:
    statement = report_statement(QUERIES[name])
    parameters = "".join(f"-- {key} = {value!r}\n" for key, value in sorted(statement.parameters.items()))
    assert _reviewed(name, parameters + statement.text)


@pytest.mark.parametrize("table", TABLES)
def test_what_a_warehouse_is_given_is_selected_as_it_was_reviewed(table: str) -> None:
    assert _reviewed(f"warehouse_{table}", rows_of(table) + "\n")


def _reviewed(name: str, content: str) -> bool:
    path = SNAPSHOTS / f"{name}.sql"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(content)
    return path.read_text() == content


def test_no_snapshot_is_left_over() -> None:
    made = {*QUERIES, *(f"warehouse_{table}" for table in TABLES)}
    assert {path.stem for path in SNAPSHOTS.glob("*.sql")} == made
