"""Events in quarantine: listed, released, rejected. Whom an operator lets in is decided by dedup, which owns events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tributary.dedup.v1 import dedup_service_pb2
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.dedup.v1.quarantine_pb2 import (
    QUARANTINE_ACTION_REJECT,
    QUARANTINE_ACTION_RELEASE,
    QUARANTINE_RESULT_NOT_FOUND,
    QuarantineOutcome,
)
from tributary.query.v1 import query_service_pb2 as contract
from tributary.query.v1.refusal_pb2 import (
    QUARANTINE_STATE_REJECTED,
    QUARANTINE_STATE_UNSPECIFIED,
    QUARANTINE_STATE_WAITING,
    QuarantinedEvent,
)
from tributary_domain.personal_texts import names_somebody
from tributary_query.event_filters import EventFilters, after_of
from tributary_query.page_tokens import fingerprint, make_token
from tributary_query.violations import Violations
from tributary_storage.clickhouse.quarantine import QuarantinedEvents
from tributary_storage.clickhouse.refused_events import EARLIEST_MICROS, QUARANTINED_START, RefusedEvents

if TYPE_CHECKING:  # the asynchronous stub is known to type checkers only
    from tributary.dedup.v1.dedup_service_pb2_grpc import DedupServiceAsyncStub

MAX_REASON_CHARACTERS: Final = 1024
MAX_NAMES: Final = 100

_REJECTED: Final = {
    QUARANTINE_STATE_UNSPECIFIED: None,
    QUARANTINE_STATE_WAITING: False,
    QUARANTINE_STATE_REJECTED: True,
}


class Quarantine:
    """Lists quarantined events and passes on what is decided about them.

    Args:
        dedup: Over a channel that carries the internal token.
        refused: What is quarantined.
        decided: What was decided about it.
        filters: Reads which events are meant.
    """

    def __init__(
        self,
        dedup: DedupServiceAsyncStub,
        refused: RefusedEvents,
        decided: QuarantinedEvents,
        filters: EventFilters,
    ) -> None:
        self._dedup = dedup
        self._refused = refused
        self._decided = decided
        self._filters = filters

    async def page(
        self, request: contract.ListQuarantinedEventsRequest, workspace: str
    ) -> contract.ListQuarantinedEventsResponse:
        """Returns quarantined events, newest first.

        Raises:
            InvalidRequestError: It cannot be answered as it was asked.
            StorageUnavailableError: ClickHouse did not answer.
        """
        wrong = Violations()
        mark = fingerprint(workspace, request)
        wanted = self._filters.wanted(request, workspace, (), wrong)
        if request.state not in _REJECTED:
            wrong.add("state", "Must be WAITING or REJECTED, or unset for both.")
        _check_names(request.conversion_names, wrong)
        after = after_of(request.page_token, mark, QUARANTINED_START, wrong)
        wrong.raise_if_any()
        names = list(request.conversion_names)
        wanted = replace(wanted, rejected=_REJECTED[request.state], conversion_names=names)
        rows = await self._refused.quarantined(wanted, after)
        page = rows[: wanted.limit - 1]
        answer = contract.ListQuarantinedEventsResponse(
            next_page_token=make_token(page[-1].key, mark) if len(rows) > len(page) else ""
        )
        decisions = await self._decided.decisions(workspace, [row.event_id for row in page])
        for row in page:
            admitted = AdmittedEvent.FromString(row.admitted)
            event = QuarantinedEvent(
                event_id=row.event_id,
                reasons=admitted.reasons,
                conversion_id=row.conversion_id,
                event=admitted.event,
                identity_tokens=admitted.identity_tokens,
                payload_digest=row.payload_digest,
                api_key_id=row.api_key_id,
            )
            event.decisions.extend(one.message() for one in decisions.get(row.event_id, ()))
            event.accept_time.FromMicroseconds(row.accept_micros)
            answer.events.append(event)
        return answer

    async def decide(
        self, request: contract.DecideQuarantinedEventsRequest, workspace: str, key_id: str
    ) -> contract.DecideQuarantinedEventsResponse:
        """Releases or rejects quarantined events, or says what would come of it.

        Args:
            request: What shall become of which.
            workspace: Whose.
            key_id: Of the API key that decides.

        Raises:
            InvalidRequestError: It does not say what, or of which.
            StorageUnavailableError: ClickHouse did not answer; nothing was decided.
            grpc.aio.AioRpcError: What dedup said; the interceptor passes it on.
        """
        wrong = Violations()
        if request.action not in (QUARANTINE_ACTION_RELEASE, QUARANTINE_ACTION_REJECT):
            wrong.add("action", "Say RELEASE or REJECT.")
        if len(request.reason) > MAX_REASON_CHARACTERS:
            wrong.add("reason", f"At most {MAX_REASON_CHARACTERS} characters.")
        if names_somebody(request.reason):
            wrong.add("reason", "Must hold no personal data: it is kept with the decision.")
        has_filter = bool(request.reason_codes or request.conversion_names or request.all)
        if (has_filter or request.HasField("time_range")) == bool(request.event_ids):
            wrong.add("event_ids", "Name events, or a filter by reason, time or name, or all: one of the two.")
        _check_names(request.conversion_names, wrong)
        mark = fingerprint(workspace, request)
        wanted = self._filters.wanted(request, workspace, (), wrong)
        if request.all and not request.HasField("time_range"):
            wanted = replace(wanted, start_micros=EARLIEST_MICROS)
        wanted = replace(wanted, conversion_names=list(request.conversion_names))
        after = after_of(request.page_token, mark, QUARANTINED_START, wrong)
        wrong.raise_if_any()
        token = ""
        if request.event_ids:
            stored = self._filters.stored_ids(workspace, request.event_ids)
            named = dict(zip(stored, request.event_ids, strict=True))
        else:
            rows = await self._refused.quarantined(replace(wanted, rejected=False), after)
            page = rows[: wanted.limit - 1]
            token = make_token(page[-1].key, mark) if len(rows) > len(page) else ""
            named = {row.event_id: row.event_id for row in page}
        outcomes: list[QuarantineOutcome] = []
        if named:
            asked = dedup_service_pb2.DecideQuarantinedEventsRequest(
                workspace=workspace,
                event_ids=list(named),
                action=request.action,
                decided_by=key_id,
                reason=request.reason,
                validate_only=request.validate_only,
            )
            outcomes += (await self._dedup.DecideQuarantinedEvents(asked)).outcomes
        earlier: list[str] = []
        for outcome in outcomes:  # as it was asked, not as it is stored
            sent = named[outcome.event_id]
            if outcome.result == QUARANTINE_RESULT_NOT_FOUND and sent != outcome.event_id:
                earlier.append(sent)
            outcome.event_id = sent
        if earlier:  # stored as sent, by an earlier version
            asked.event_ids[:] = earlier
            again = {one.event_id: one for one in (await self._dedup.DecideQuarantinedEvents(asked)).outcomes}
            outcomes = [again.get(outcome.event_id, outcome) for outcome in outcomes]
        return contract.DecideQuarantinedEventsResponse(outcomes=outcomes, next_page_token=token)


def _check_names(names: Sequence[str], wrong: Violations) -> None:
    if len(names) > MAX_NAMES:
        wrong.add("conversion_names", f"Name at most {MAX_NAMES} conversion names.")
    if not all(names):
        wrong.add("conversion_names", "A conversion name is not empty.")
