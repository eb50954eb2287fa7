"""Which events are meant: by id, by reason, by time; and where a page of them begins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from tributary.event.v1 import verdict_pb2
from tributary_domain.redacted_ids import redaction_tokens, stored_event_id
from tributary_query.page_tokens import read_token
from tributary_query.violations import Violations
from tributary_runtime.clock import Clock
from tributary_runtime.time_ranges import read_time_range
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse.refused_events import EARLIEST_MICROS, LATEST_MICROS, Key, Wanted

MAX_IDS: Final = 1000
MAX_REASONS: Final = 100
DEFAULT_PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1000
DEFAULT_SPAN: Final = timedelta(days=31)

CODE: Final = "REASON_CODE_"


class EventFilters:
    """Reads filters of requests.

    Args:
        workspaces: Whose peppers tell what an id is stored as.
        clock: Ends the default span.
    """

    def __init__(self, workspaces: WorkspacesFile, clock: Clock) -> None:
        self._workspaces = workspaces
        self._clock = clock

    def stored_ids(self, workspace: str, event_ids: Sequence[str]) -> list[str]:
        """Returns the ids under which events are stored."""
        token = redaction_tokens(self._workspaces.get(workspace).pepper.reveal().encode())
        return [stored_event_id(event_id, token) for event_id in event_ids]

    def wanted(self, request: Any, workspace: str, verdicts: Sequence[str], wrong: Violations) -> Wanted:
        """Reads what all lists are asked alike.

        Args:
            request: With event_ids, reason_codes, time_range, page_size.
            workspace: Whose.
            verdicts: Of refusals.
            wrong: Takes what is wrong with it.
        """
        if len(request.event_ids) > MAX_IDS:
            wrong.add("event_ids", f"Name at most {MAX_IDS} event ids.")
        if len(request.reason_codes) > MAX_REASONS:
            wrong.add("reason_codes", f"Name at most {MAX_REASONS} reasons.")
        if request.page_size < 0:
            wrong.add("page_size", f"Must not be negative; 0 means {DEFAULT_PAGE_SIZE}.")
        start, end = EARLIEST_MICROS, LATEST_MICROS
        if request.HasField("time_range"):
            asked = read_time_range(request.time_range, "time_range")
            if None in asked:
                wrong.add("time_range", "Must have a start before its end.")
            start, end = asked[0] or 0, asked[1] or 0
        elif not request.event_ids:  # who names ids wants them whatever their age
            start = self._clock.unix_micros() - DEFAULT_SPAN // timedelta(microseconds=1)
        check_ids(request.event_ids, wrong)
        return Wanted(
            workspace=workspace,
            start_micros=max(start, EARLIEST_MICROS),
            end_micros=min(end, LATEST_MICROS),
            # As sent, too: an earlier version may have stored what this one puts a token for.
            event_ids=list({*request.event_ids, *self.stored_ids(workspace, request.event_ids)}),
            reason_codes=[_name(code) for code in request.reason_codes],
            verdicts=verdicts,
            limit=min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE) + 1,  # one more: is there more?
        )


def after_of(token: str, mark: str, start: Key, wrong: Violations) -> Key:
    """Returns the key of the row before the page."""
    if not token:
        return start
    try:
        key = read_token(token, mark)
    except ValueError as error:
        wrong.add("page_token", str(error))
        return start
    if [type(part) for part in key] != [type(part) for part in start]:
        wrong.add("page_token", "Is no page token; send `next_page_token` of the page before, unchanged.")
        return start
    return key


def check_ids(event_ids: Sequence[str], wrong: Violations) -> None:
    """Refuses ids that no event can have."""
    if any(not event_id for event_id in event_ids):
        wrong.add("event_ids", "An event id is not empty; the verdict of an event names the one it was given.")


def _name(code: verdict_pb2.ReasonCode.ValueType) -> str:
    known = verdict_pb2.ReasonCode.values()
    return verdict_pb2.ReasonCode.Name(code).removeprefix(CODE) if code in known else str(code)
