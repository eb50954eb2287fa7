"""Refusals of somebody who was erased as rows that are written only then: what an erasure leaves (`strip_refusals`)."""

from __future__ import annotations

from typing import Final

from tributary_storage.clickhouse.event_rows import REFUSAL_COLUMNS, EventBatch

_ADMITTED: Final = REFUSAL_COLUMNS.index("admitted")
_CONVERSION_ID: Final = REFUSAL_COLUMNS.index("conversion_id")
_MESSAGES: Final = REFUSAL_COLUMNS.index("reason_messages")
_TRACEPARENT: Final = REFUSAL_COLUMNS.index("traceparent")


def strip_last(batch: EventBatch) -> None:
    """Takes out of the refusal that was added last to a batch what was refused; that it was, and why, stays."""
    row = list(batch.refusals[-1])
    row[_ADMITTED], row[_CONVERSION_ID], row[_TRACEPARENT] = b"", "", ""
    row[_MESSAGES] = [""] * len(row[_MESSAGES])
    batch.refusals[-1] = tuple(row)
