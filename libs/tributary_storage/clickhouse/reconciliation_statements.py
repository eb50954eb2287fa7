"""The statements of reconciliation: `queries/reconciliation/*.sql`, put together from parts that several of them share.

A part stands in a statement as a comment, `/*journeys*/`. Nothing of a request is ever part of the text: values are
parameters, and text that varies does so by name of file only. Parts that others share, too, have their home in
`statements`.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from tributary_storage.clickhouse.conversion_rows import NEWEST_COLUMNS, REVISION_COLUMNS
from tributary_storage.clickhouse.statements import PART, statement, without_header

_ENTRY: Final = (
    "'Tuple(time Int64, hash UInt64, kind UInt8, flags UInt8, source UInt64, shown UInt64, click UInt64,"
    " interaction UInt64, session UInt64, click_time Int64)'"
)
_NO_SESSION: Final = "([]::Array(UInt64), []::Array(Int64), []::Array(UInt64), 0::UInt64, 0::Int64)"
_TOUCH: Final = "'Tuple(time Int64, hash UInt64, kind UInt8, source UInt64, shown UInt64, flags UInt8)'"
_IS_FIRST: Final = (
    "(details['recurrence_kind'] = 'FIRST' AND cycle != '' AND order_id != ''"
    " AND order_id != details['subscription_id'])"
)
_PART_OF: Final = (
    "'Tuple("
    "time Int64, hash UInt64, event_id String, is_observation UInt8, is_internal UInt8,"
    " has_amount UInt8, amount Int128, currency String, rank UInt8, session UInt64, name String,"
    " store String, order_id String, tokens Array(String), kind String, identity String,"
    " accept_time Int64, tax Int64, shipping Int64, cost Int64, own_click UInt64"
    ")'"
)
_IN_DAYS: Final = """(
        (
            conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        )
        OR (
            %(with_changes)s
            AND publish_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            AND publish_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        )
    )"""
"""Whether a row is of the days of a run, or where that compares what changed was published in these days."""
_SHORT: Final = {
    "entry": _ENTRY,
    "in_days": _IN_DAYS,
    "touch": _TOUCH,
    "no_session": _NO_SESSION,
    "is_first": _IS_FIRST,
    "part": _PART_OF,
    "newest_columns": ",\n    ".join(NEWEST_COLUMNS),
    "revision_columns": ",\n    ".join(REVISION_COLUMNS),
}


@cache
def reconciliation_statement(name: str) -> str:
    """Returns the text of a statement, its parts filled in; values are `%(name)s` parameters."""
    text = statement(f"reconciliation/{name}")
    return PART.sub(lambda found: _SHORT.get(found[1]) or without_header(reconciliation_statement(found[1])), text)
