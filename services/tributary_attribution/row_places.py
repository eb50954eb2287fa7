"""Where rows of `conversions` are, and in what words findings say so."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from tributary_storage.clickhouse.newest_rows import MisplacedRows, RowPlace

PLACE: Final = "revision "
"""What the text of a place begins with."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST: Final = 10


def has_later(one: MisplacedRows) -> bool:
    """Tells whether there is a row of a revision after the newest one of the ledger."""
    return any(row.revision > one.newest.revision for row in one.rows)


def place_text(place: RowPlace) -> str:
    """Returns a place in words."""
    return f"{PLACE}{place.revision} at {(_EPOCH + timedelta(microseconds=place.conversion_micros)).isoformat()}"


def places_text(places: Iterable[RowPlace]) -> str:
    """Returns the first of some places in words; "": there is none."""
    return "; ".join(map(place_text, islice(places, _MOST)))
