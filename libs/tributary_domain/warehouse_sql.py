"""The SQL that a data warehouse is filled with: tables and views, the load of one batch, and the merge that follows.

The one rule: every statement may run twice, and batches may come in any order. What is loaded is held against the key
of each row, so that a row is there once; the newest revision of a conversion wins; what was withdrawn is deleted, and
stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tributary_domain.warehouse_tables import SCHEMA_VERSION, TABLES, WITHDRAWALS, ColumnKind, Table, WarehouseTable


class Dialect(StrEnum):
    """A warehouse whose SQL is written."""

    BIGQUERY = "bigquery"
    SNOWFLAKE = "snowflake"
    REDSHIFT = "redshift"


@dataclass(frozen=True, slots=True)
class Load:
    """What is loaded from where."""

    schema: str
    """The data set, or schema, that the tables are in."""
    uri: str
    """Of the prefix, as `s3://bucket/prefix`."""
    batch_id: str
    files: Mapping[str, Sequence[str]]
    """Table -> the URIs of its files, as the manifest names them."""


_TYPES: Final[Mapping[Dialect, Mapping[ColumnKind, str]]] = {
    Dialect.BIGQUERY: {
        ColumnKind.TEXT: "STRING",
        ColumnKind.WHOLE: "INT64",
        ColumnKind.TRUTH: "BOOL",
        ColumnKind.TIME: "TIMESTAMP",
        ColumnKind.DAY: "DATE",
    },
    Dialect.SNOWFLAKE: {
        ColumnKind.TEXT: "VARCHAR",
        ColumnKind.WHOLE: "NUMBER(38, 0)",
        ColumnKind.TRUTH: "BOOLEAN",
        ColumnKind.TIME: "TIMESTAMP_NTZ(6)",
        ColumnKind.DAY: "DATE",
    },
    Dialect.REDSHIFT: {
        # As long as there is: COPY of Parquet cuts nothing, and refuses a batch for one text that is longer.
        ColumnKind.TEXT: "VARCHAR(65535)",
        ColumnKind.WHOLE: "BIGINT",
        ColumnKind.TRUTH: "BOOLEAN",
        ColumnKind.TIME: "TIMESTAMP",
        ColumnKind.DAY: "DATE",
    },
}

_SESSION_IN_UTC: Final[Mapping[Dialect, Sequence[str]]] = {
    Dialect.BIGQUERY: (),
    Dialect.SNOWFLAKE: ("ALTER SESSION SET TIMEZONE = 'UTC'",),
    Dialect.REDSHIFT: ("SET timezone = 'UTC'",),
}
"""Goes before what turns a moment into a time of our columns. Those of Snowflake and Redshift know no zone and are in
UTC; a moment, of a file or a parameter, becomes what the clock of the session shows: that of Los Angeles, where nobody
sets Snowflake's. Of BigQuery they are moments themselves. A merge only moves them."""

_STAGE: Final = "stage_"
"""Begins the name of the table that a batch is loaded into first."""


def create(dialect: Dialect, schema: str) -> list[str]:
    """Returns the statements that make the schema (in BigQuery the dataset), tables and views, where there are none."""
    made = [f"CREATE SCHEMA IF NOT EXISTS {schema}"]
    for table in TABLES.values():
        for name in (table.name, _STAGE + table.name):
            columns, layout = _columns(dialect, table), _clustered(dialect, name)
            made.append(f"CREATE TABLE IF NOT EXISTS {schema}.{name}\n(\n{columns}\n){layout}")
    made += [
        _view(
            schema,
            "current_conversions",
            # named, for Redshift reads a QUALIFY that follows a bare table as the table's alias
            f"SELECT *\nFROM {schema}.conversion_revisions AS revisions\n{_newest('revision')}",
        ),
        _view(
            schema,
            "current_credits",
            f"SELECT credits.*\nFROM {schema}.credits AS credits\n"
            f"INNER JOIN {schema}.current_conversions AS newest\n"
            "    ON newest.workspace = credits.workspace\n"
            "    AND newest.conversion_id = credits.conversion_id\n"
            "    AND newest.revision = credits.revision",
        ),
    ]
    return made


def as_of(dialect: Dialect, schema: str, moment: str) -> list[str]:
    """Returns the statements that ask for all conversions as they were known at a moment; the last is the query.

    Args:
        dialect: Whose SQL.
        schema: The data set, or schema.
        moment: How the moment is written there: a parameter, or a literal.
    """
    revisions = f"{schema}.conversion_revisions"
    removed = f"SELECT conversion_id FROM {revisions} WHERE not_counted_reason = 'ERASED'"  # noqa: S608 - names of ours
    where = f"WHERE publish_time <= {moment}\n    AND conversion_id NOT IN ({removed})"
    query = f"SELECT *\nFROM {revisions}\n{where}\n{_newest('revision')}"
    return [*_SESSION_IN_UTC[dialect], query]


def load(dialect: Dialect, about: Load) -> list[str]:
    """Returns the statements that bring a batch, and that alone, into the tables it is merged from."""
    return [*_SESSION_IN_UTC[dialect], *(statement for name in TABLES for statement in _LOADS[dialect](about, name))]


def merge(dialect: Dialect, schema: str) -> list[str]:
    """Returns the statements that merge what was loaded, as one transaction."""
    statements = _transaction(dialect, begin=True)
    statements += _merged(dialect, schema, TABLES[WITHDRAWALS])  # first: what is withdrawn is not taken in
    for table in TABLES.values():
        if table.name != WITHDRAWALS:
            statements += _merged(dialect, schema, table)
            statements.append(f"DELETE FROM {schema}.{table.name}\nWHERE {_withdrawn(schema)}")  # noqa: S608 - names of ours
    return [*statements, *_transaction(dialect, begin=False)]


def _merged(dialect: Dialect, schema: str, table: Table) -> list[str]:
    """Returns what takes a table's loaded rows in.

    Redshift's MERGE knows no condition: there what is older is deleted, and what is not there inserted.
    """
    has_newest = table.name == WarehouseTable.CONVERSIONS
    key = ("workspace", "conversion_id") if has_newest else table.key
    names = ", ".join(table.names)
    source = _deduplicated(schema, table, key)
    if dialect is Dialect.REDSHIFT:
        return _replaced(schema, table, key, source, has_newest=has_newest)
    updated = ""
    if has_newest:
        sets = ",\n    ".join(f"{name} = loaded.{name}" for name in table.names if name not in key)
        updated = f"WHEN MATCHED AND loaded.revision > kept.revision THEN UPDATE SET\n    {sets}\n"
    values = ", ".join(f"loaded.{name}" for name in table.names)
    return [
        f"MERGE INTO {schema}.{table.name} AS kept\nUSING\n(\n{_indented(source)}\n) AS loaded\n"
        f"ON {_same('kept', 'loaded', key)}\n{updated}"
        f"WHEN NOT MATCHED THEN INSERT ({names})\nVALUES ({values})"
    ]


def _replaced(schema: str, table: Table, key: Sequence[str], source: str, *, has_newest: bool) -> list[str]:
    target, statements = f"{schema}.{table.name}", []
    if has_newest:
        older = f"{_same(table.name, 'loaded', key)}\n    AND loaded.revision > {table.name}.revision"
        statements.append(f"DELETE FROM {target}\nUSING {schema}.{_STAGE}{table.name} AS loaded\nWHERE {older}")  # noqa: S608 - names of ours
    names = ", ".join(f"loaded.{name}" for name in table.names)
    statements.append(
        f"INSERT INTO {target} ({', '.join(table.names)})\nSELECT {names}\nFROM\n(\n{_indented(source)}\n) AS loaded\n"
        f"LEFT JOIN {target} AS kept\n    ON {_same('kept', 'loaded', key)}\nWHERE kept.conversion_id IS NULL"
    )
    return statements


def _deduplicated(schema: str, table: Table, key: Sequence[str]) -> str:
    """Returns the loaded rows, each key once, as its newest revision where it has several."""
    order = "revision DESC" if "revision" in table.names and "revision" not in key else "batch_id"
    ranked = f"ROW_NUMBER() OVER (PARTITION BY {', '.join(key)} ORDER BY {order}) AS place"
    inner = f"SELECT\n    *,\n    {ranked}\nFROM {schema}.{_STAGE}{table.name}"
    kept = ""
    if table.name != WITHDRAWALS:
        kept = f"\n    AND NOT {_withdrawn(schema)}"
    return f"SELECT {', '.join(table.names)}\nFROM\n(\n{_indented(inner)}\n) AS ranked\nWHERE place = 1{kept}"


def _withdrawn(schema: str) -> str:
    # By the id alone: it is of one workspace, and no warehouse minds a plain IN.
    return f"conversion_id IN (SELECT conversion_id FROM {schema}.{WITHDRAWALS})"  # noqa: S608 - names of ours


def _same(left: str, right: str, key: Sequence[str]) -> str:
    return "\n    AND ".join(f"{left}.{name} = {right}.{name}" for name in key)


def _newest(order: str) -> str:
    return f"QUALIFY ROW_NUMBER() OVER (PARTITION BY workspace, conversion_id ORDER BY {order} DESC) = 1"


def _view(schema: str, name: str, query: str) -> str:
    return f"CREATE OR REPLACE VIEW {schema}.{name} AS\n{query}"


def _columns(dialect: Dialect, table: Table) -> str:
    return ",\n".join(f"    {column.name} {_TYPES[dialect][column.kind]} NOT NULL" for column in table.columns)


def _clustered(dialect: Dialect, name: str) -> str:
    """Returns what lays rows of one conversion side by side."""
    if name.startswith(_STAGE):
        return ""
    match dialect:
        case Dialect.REDSHIFT:
            return "\nDISTKEY (conversion_id)\nSORTKEY (conversion_id)"
        case _:
            return "\nCLUSTER BY conversion_id" if dialect is Dialect.BIGQUERY else "\nCLUSTER BY (conversion_id)"


def _transaction(dialect: Dialect, *, begin: bool) -> list[str]:
    if dialect is Dialect.BIGQUERY:
        return ["BEGIN TRANSACTION" if begin else "COMMIT TRANSACTION"]
    return ["BEGIN" if begin else "COMMIT"]


def _load_bigquery(about: Load, name: str) -> list[str]:
    stage = f"{about.schema}.{_STAGE}{name}"
    if not about.files.get(name):
        return [f"TRUNCATE TABLE {stage}"]
    uris = ",\n        ".join(f"'{uri}'" for uri in about.files[name])
    return [
        f"LOAD DATA OVERWRITE {stage}\nFROM FILES (\n    format = 'PARQUET',\n    uris = [\n        {uris}\n    ]\n)"
    ]


def _load_snowflake(about: Load, name: str) -> list[str]:
    stage = f"{about.schema}.{_STAGE}{name}"
    statements = [f"TRUNCATE TABLE {stage}"]
    if files := about.files.get(name):
        listed = ", ".join(f"'{uri.removeprefix(about.uri + '/')}'" for uri in files)
        statements.append(
            f"COPY INTO {stage}\nFROM @{about.schema}.tributary_files\nFILES = ({listed})\n"
            "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)\n"
            "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE\nFORCE = TRUE"
        )
    return statements


def _load_redshift(about: Load, name: str) -> list[str]:
    stage = f"{about.schema}.{_STAGE}{name}"
    statements = [f"TRUNCATE TABLE {stage}"]
    if about.files.get(name):
        manifest = f"{about.uri}/_manifests/v{SCHEMA_VERSION}/{name}/{about.batch_id}.json"
        statements.append(f"COPY {stage}\nFROM '{manifest}'\nIAM_ROLE DEFAULT\nFORMAT AS PARQUET\nMANIFEST")
    return statements


_LOADS: Final[Mapping[Dialect, Callable[[Load, str], list[str]]]] = {
    Dialect.BIGQUERY: _load_bigquery,
    Dialect.SNOWFLAKE: _load_snowflake,
    Dialect.REDSHIFT: _load_redshift,
}


def stage_of(dialect: Dialect, schema: str, uri: str) -> list[str]:
    """Returns what lets a warehouse read the bucket, where that is a statement."""
    if dialect is not Dialect.SNOWFLAKE:
        return []
    return [f"CREATE STAGE IF NOT EXISTS {schema}.tributary_files\nURL = '{uri}/'\nSTORAGE_INTEGRATION = TRIBUTARY"]


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))
