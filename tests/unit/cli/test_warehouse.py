"""`tributary warehouse sql`: what it prints is SQL of the warehouse it is for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from click.testing import CliRunner
from sqlglot import exp

from tributary_cli.command_line import cli
from tributary_domain.warehouse_sql import Dialect
from tributary_domain.warehouse_tables import TABLES

MANIFEST: dict[str, Any] = {
    "schema_version": 1,
    "batch_id": "20261126T100000-a1b2",
    "tables": {
        "conversions": {
            "files": [{"url": "s3://b/p/conversions/v1/dt=2026-11-26/batch=20261126T100000-a1b2/part-0.parquet"}]
        }
    },
}


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["warehouse", "sql", *arguments])
    return result.exit_code, result.output


@pytest.mark.parametrize("dialect", list(Dialect))
def test_every_statement_but_the_load_is_understood_by_a_parser_of_the_dialect(dialect: Dialect) -> None:
    status, text = run(dialect.value)
    assert status == 0
    before, _, rest = text.partition("-- Batch BATCH_ID: load.")
    after = rest.partition("-- Merge what was loaded")[2].partition("\n")[2]
    statements = [one for one in sqlglot.parse(before + after, dialect=dialect.value) if one is not None]
    kinds = {type(one) for one in statements}
    assert exp.Command not in kinds, "a statement that the parser only passes on"
    made = [one.this.this.name for one in statements if isinstance(one, exp.Create) and one.kind == "TABLE"]
    assert made == [name for table in TABLES for name in (table, f"stage_{table}")]
    assert {exp.Merge} <= kinds or dialect is Dialect.REDSHIFT


def test_redshift_takes_no_qualify_for_the_alias_of_a_table() -> None:
    """Amazon Redshift's manual, QUALIFY clause: directly after FROM it wants a relation with an alias."""
    status, text = run("redshift")
    assert status == 0
    qualified = [one for one in text.split(";") if "QUALIFY" in one]
    assert qualified
    for statement in qualified:
        before = statement[: statement.index("QUALIFY")].rpartition("FROM")[2].split()
        assert before[1:2] == ["AS"] or "WHERE" in before, statement


@pytest.mark.parametrize(
    ("dialect", "setting"),
    [
        pytest.param(Dialect.BIGQUERY, "", id="bigquery: a TIMESTAMP is a moment"),
        pytest.param(Dialect.SNOWFLAKE, "ALTER SESSION SET TIMEZONE = 'UTC';", id="snowflake: Los Angeles by default"),
        pytest.param(Dialect.REDSHIFT, "SET timezone = 'UTC';", id="redshift: the user's, where one is set"),
    ],
)
def test_a_moment_becomes_a_time_in_utc_whatever_the_session_s_zone(dialect: Dialect, setting: str) -> None:
    """Parquet times are moments (isAdjustedToUTC); a column without a zone gets what the session's clock shows."""
    _, text = run(dialect.value)
    for title, next_title in (("-- Batch BATCH_ID: load.", "-- Merge what"), ("-- As it was known at a moment.", "")):
        block = text.partition(title)[2]
        first = (block.partition(next_title)[0] if next_title else block).strip().splitlines()[0]
        assert first == setting if setting else first.startswith(("LOAD", "TRUNCATE", "SELECT"))


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_manifest_is_loaded_from_where_its_files_are(dialect: Dialect, tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(MANIFEST))
    status, text = run(dialect.value, "--schema", "shop", "--manifest", str(file))
    assert status == 0
    place = {
        Dialect.BIGQUERY: "'s3://b/p/conversions/v1/dt=2026-11-26/batch=20261126T100000-a1b2/part-0.parquet'",
        Dialect.SNOWFLAKE: "'conversions/v1/dt=2026-11-26/batch=20261126T100000-a1b2/part-0.parquet'",
        Dialect.REDSHIFT: "'s3://b/p/_manifests/v1/conversions/20261126T100000-a1b2.json'",
    }[dialect]
    assert place in text
    assert "TRUNCATE TABLE shop.stage_credits" in text, "nothing of an earlier batch is merged again"
    assert "CREATE" not in text


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_batch_without_a_row_is_loaded_as_nothing(dialect: Dialect, tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps({**MANIFEST, "tables": {name: {"rows": 0, "files": []} for name in TABLES}}))
    status, text = run(dialect.value, "--manifest", str(file))
    assert (status, "BUCKET" in text) == (0, False)
    assert text.count("TRUNCATE TABLE") == len(TABLES)


def test_it_is_said_that_a_load_takes_the_place_of_the_one_before() -> None:
    _, text = run("bigquery")
    assert "Merge what was loaded; before another is loaded, which takes its place." in text


def test_no_text_is_too_long_for_redshift() -> None:
    _, text = run("redshift")
    assert "VARCHAR(65535)" in text
    assert "VARCHAR(2048)" not in text, "COPY refuses the whole batch"


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"schema_version": 2}, id="another version"),
        pytest.param({"batch_id": "x'; DROP TABLE y; --"}, id="an id that is none"),
        pytest.param({"tables": {"conversions": {"files": [{"url": "s3://b/p/'; DROP TABLE y"}]}}}, id="a bad url"),
        pytest.param({"tables": {"users": {"files": []}}}, id="a table that is none of ours"),
        pytest.param({"tables": []}, id="no manifest"),
    ],
)
def test_what_is_no_manifest_is_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps({**MANIFEST, **changed}))
    status, text = run("bigquery", "--manifest", str(file))
    assert status == 1
    assert "DROP" not in text


def test_a_schema_that_is_no_name_is_refused() -> None:
    assert run("bigquery", "--schema", "x; DROP TABLE y")[0] == 1
