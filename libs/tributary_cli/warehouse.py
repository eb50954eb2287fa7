"""`tributary warehouse`: the SQL that fills BigQuery, Snowflake or Redshift from what is exported."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tributary_cli.errors import CommandError

if TYPE_CHECKING:
    from tributary_domain.warehouse_sql import Load

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,126}")
_URI: Final = re.compile(r"(?P<prefix>(s3|gs)://[^']+?)/[a-z_]+/v\d+/dt=[^']+")
_EXAMPLE_BATCH: Final = "BATCH_ID"
_EXAMPLE_URI: Final = "s3://BUCKET/tributary"


@click.group()
def warehouse() -> None:
    """Fill a data warehouse with what a destination of type `warehouse` exports."""


@warehouse.command()
@click.argument("dialect", type=click.Choice(["bigquery", "snowflake", "redshift"]))
@click.option("--schema", default="tributary", show_default=True, help="The data set, or schema, of the tables.")
@click.option(
    "--manifest",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="A batch's manifest, _manifests/v1/BATCH.json, or - for standard input: print what loads and merges it.",
)
def sql(dialect: str, schema: str, manifest: Path | None) -> None:
    """Print the SQL that makes the tables, or, with --manifest, that loads a batch and merges it.

    Load each batch whose manifest you have not loaded and merge it before the next, in any order; again is harmless. A
    load takes the place of what was loaded before it, merged or not. A manifest whose `generation`
    is above 1 names files that were written anew because somebody was erased: it need not be loaded again, what
    deletes them from the tables comes as a batch of withdrawals. Without --manifest it also shows what a load and a
    merge look like, with BATCH_ID and BUCKET where yours belong.
    """
    from tributary_domain.warehouse_sql import Dialect, as_of, create, load, merge, stage_of
    from tributary_domain.warehouse_tables import SCHEMA_VERSION

    if not _NAME.fullmatch(schema):
        raise CommandError("The schema is no name.", "Give one like tributary, or project.dataset.")
    chosen = Dialect(dialect)
    about = _example(schema) if manifest is None else _read(manifest, schema)
    click.echo(f"-- Tributary's tables in {dialect}, version {SCHEMA_VERSION} of the schema.")
    if manifest is None:
        _print("Once: tables and views.", [*create(chosen, schema), *stage_of(chosen, schema, about.uri)])
    _print(f"Batch {about.batch_id}: load.", load(chosen, about))
    _print("Merge what was loaded; before another is loaded, which takes its place.", merge(chosen, schema))
    if manifest is None:
        moment = {"bigquery": "@moment", "snowflake": ":moment", "redshift": "$1"}[dialect]
        _print("As it was known at a moment.", as_of(chosen, schema, moment))


def _print(title: str, statements: list[str]) -> None:
    click.echo(f"\n-- {title}")
    for statement in statements:
        click.echo(f"{statement};\n")


def _example(schema: str) -> Load:
    from tributary_domain.warehouse_sql import Load
    from tributary_domain.warehouse_tables import SCHEMA_VERSION, TABLES

    path = f"v{SCHEMA_VERSION}/dt=DAY/batch={_EXAMPLE_BATCH}/part-0.parquet"
    return Load(schema, _EXAMPLE_URI, _EXAMPLE_BATCH, {name: [f"{_EXAMPLE_URI}/{name}/{path}"] for name in TABLES})


def _read(manifest: Path, schema: str) -> Load:
    from tributary_domain.warehouse_sql import Load
    from tributary_domain.warehouse_tables import SCHEMA_VERSION, TABLES

    try:
        with click.open_file(str(manifest), encoding="utf-8") as file:
            said: Any = json.load(file)
        version, batch_id = int(said["schema_version"]), str(said["batch_id"])
        files = {str(name): [str(file["url"]) for file in table["files"]] for name, table in said["tables"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CommandError("This is no manifest of a batch.", "They are _manifests/v1/BATCH.json.") from error
    if version != SCHEMA_VERSION:
        raise CommandError(f"The manifest is of version {version} of the schema.", "Use the release that wrote it.")
    found = [_URI.fullmatch(url) for urls in files.values() for url in urls]
    if set(files) - set(TABLES) or not _NAME.fullmatch(f"_{batch_id}") or not all(found):
        raise CommandError("The manifest names files that are none of ours.", "They are _manifests/v1/BATCH.json.")
    # Without any file, all of it was withdrawn: nothing is loaded, and no place is named.
    uri = next((one["prefix"] for one in found if one is not None), _EXAMPLE_URI)
    return Load(schema, uri, batch_id, files)
