"""A conversion as its events tell it -> the revision of it that was published last, of which only its row is left.

The one rule: what is computed is taken for what was published only where it makes the very row. What the row does not
tell, by what its person is recognised, is told by the same events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.common.v1.calendar_date_pb2 import CalendarDate
from tributary_storage.clickhouse.conversion_rows import CAUSES, REVISION_COLUMNS, revision_row
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.clickhouse.revision_rows import plain

_CAUSE_NUMBERS: Final = {CAUSES[number]: number for number in RevisionCause.values()}
_OF_NOW: Final = ("deltas", "causes", "causing_event_ids", "cause_accept_time", "traceparent")

LastRow = Mapping[str, Any]
"""What `conversions` has of a conversion, by column."""
NO_ROWS: Final[Mapping[str, LastRow]] = {}


def as_last_published(row: LastRow, computed: ConversionRevised) -> ConversionRevised | None:
    """Returns the revision that a row is of, without how it changed credit; None: its events tell otherwise.

    Args:
        row: The row.
        computed: What would be published now.
    """
    said = ConversionRevised()
    said.CopyFrom(computed)
    for name in _OF_NOW:
        said.ClearField(name)
    if any(name not in _CAUSE_NUMBERS for name in row["causes"]):
        return None
    said.revision = row["revision"]
    said.causes.extend([_CAUSE_NUMBERS[name] for name in row["causes"]])
    said.publish_time.CopyFrom(timestamp(row["publish_time"]))
    day = row["posting_date"]
    said.posting_date.CopyFrom(CalendarDate(year=day.year, month=day.month, day=day.day))
    own = zip(REVISION_COLUMNS, revision_row(said, b""), strict=True)
    return said if all(row[name] == plain(value) for name, value in own if name in row) else None
