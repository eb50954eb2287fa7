"""Loads `queries/*.sql`: one question per file, read once."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """Returns the text of `queries/<name>.sql`, whose values are `%(name)s` parameters."""
    return files("tributary_storage.clickhouse").joinpath("queries", f"{name}.sql").read_text("utf-8")
