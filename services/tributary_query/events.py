"""Single events: what became of ids, and what was refused or quarantined and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from tributary.dedup.v1 import dedup_service_pb2
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.dedup.v1.event_fate_pb2 import EventFate
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.verdict_pb2 import Reason
from tributary.query.v1 import query_service_pb2 as contract
from tributary.query.v1.refusal_pb2 import QuarantinedEvent, Refusal
from tributary_domain.redacted_ids import redaction_tokens, stored_event_id
from tributary_query.page_tokens import fingerprint, make_token, read_token
from tributary_query.violations import Violations
from tributary_runtime.clock import Clock
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse.refused_events import (
    EARLIEST_MICROS,
    LATEST_MICROS,
    QUARANTINED_START,
    REFUSALS_START,
    Key,
    RefusedEvents,
    Wanted,
)

if TYPE_CHECKING:  # the asynchronous stub is known to type checkers only
    from tributary.dedup.v1.dedup_service_pb2_grpc import DedupServiceAsyncStub

MAX_IDS: Final = 1000
MAX_REASONS: Final = 100
DEFAULT_PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1000
DEFAULT_SPAN: Final = timedelta(days=31)

_CODE: Final = "REASON_CODE_"
_VERDICTS: Final = {
    verdict_pb2.VERDICT_UNSPECIFIED: ("CONFLICT", "REJECTED"),
    verdict_pb2.VERDICT_CONFLICT: ("CONFLICT",),
    verdict_pb2.VERDICT_REJECTED: ("REJECTED",),
}


class Events:
    """Finds events.

    Args:
        dedup: Over a channel that carries the internal token.
        refused: What was refused or quarantined.
        workspaces: Whose peppers tell what an id is stored as.
        clock: Ends the default span.
    """

    def __init__(
        self, dedup: DedupServiceAsyncStub, refused: RefusedEvents, workspaces: WorkspacesFile, clock: Clock
    ) -> None:
        self._dedup = dedup
        self._refused = refused
        self._workspaces = workspaces
        self._clock = clock

    async def lookup(self, request: contract.LookupEventsRequest, workspace: str) -> contract.LookupEventsResponse:
        """Returns what became of ids.

        Raises:
            InvalidRequestError: No id, too many, or one that no event can have.
            grpc.aio.AioRpcError: What dedup said; the interceptor passes it on.
        """
        wrong = Violations()
        if not 1 <= len(request.event_ids) <= MAX_IDS:
            wrong.add("event_ids", f"Name 1 to {MAX_IDS} event ids.")
        _check_ids(request.event_ids, wrong)
        wrong.raise_if_any()
        fates = await self._fates(workspace, request.event_ids)
        stored = self._stored_ids(workspace, request.event_ids)
        tokens = [new for new, old in zip(stored, request.event_ids, strict=True) if new != old]
        if tokens:  # the claim is of what was sent, the row of the token that stands for it
            by_token = {fate.event_id: fate for fate in await self._fates(workspace, tokens)}
            for fate, token in zip(fates, stored, strict=True):
                found = by_token.get(token)
                if found is not None and (found.verdict or found.refusals):
                    sent = fate.event_id
                    fate.CopyFrom(found)
                    fate.event_id = sent
        return contract.LookupEventsResponse(fates=fates)

    async def _fates(self, workspace: str, event_ids: Sequence[str]) -> list[EventFate]:
        asked = dedup_service_pb2.LookupEventsRequest(workspace=workspace, event_ids=event_ids)
        return list((await self._dedup.LookupEvents(asked)).fates)

    def _stored_ids(self, workspace: str, event_ids: Sequence[str]) -> list[str]:
        token = redaction_tokens(self._workspaces.get(workspace).pepper.reveal().encode())
        return [stored_event_id(event_id, token) for event_id in event_ids]

    async def refusals(self, request: contract.ListRefusalsRequest, workspace: str) -> contract.ListRefusalsResponse:
        """Returns refusals, newest first.

        Raises:
            InvalidRequestError: It cannot be answered as it was asked.
            StorageUnavailableError: ClickHouse did not answer.
        """
        wrong = Violations()
        if request.verdict not in _VERDICTS:
            wrong.add("verdict", "Must be CONFLICT or REJECTED, or unset for both.")
        mark = fingerprint(workspace, request)
        wanted = self._wanted(request, workspace, _VERDICTS.get(request.verdict, ("",)), wrong)
        after = _after(request.page_token, mark, REFUSALS_START, wrong)
        wrong.raise_if_any()
        rows = await self._refused.refusals(wanted, after)
        page = rows[: wanted.limit - 1]
        answer = contract.ListRefusalsResponse(
            next_page_token=make_token(page[-1].key, mark) if len(rows) > len(page) else ""
        )
        for row in page:
            refusal = Refusal(
                event_id=row.event_id,
                verdict=verdict_pb2.Verdict.Value(f"VERDICT_{row.verdict}"),
                reasons=[Reason(code=_number(code), field=field, message=text) for code, field, text in row.reasons],
                conversion_id=row.conversion_id,
                event=AdmittedEvent.FromString(row.admitted).event,
                payload_digest=row.payload_digest,
                api_key_id=row.api_key_id,
            )
            refusal.refuse_time.FromMicroseconds(row.refuse_micros)
            answer.refusals.append(refusal)
        return answer

    async def quarantined(
        self, request: contract.ListQuarantinedEventsRequest, workspace: str
    ) -> contract.ListQuarantinedEventsResponse:
        """Returns quarantined events, newest first.

        Raises:
            InvalidRequestError: It cannot be answered as it was asked.
            StorageUnavailableError: ClickHouse did not answer.
        """
        wrong = Violations()
        mark = fingerprint(workspace, request)
        wanted = self._wanted(request, workspace, (), wrong)
        after = _after(request.page_token, mark, QUARANTINED_START, wrong)
        wrong.raise_if_any()
        rows = await self._refused.quarantined(wanted, after)
        page = rows[: wanted.limit - 1]
        answer = contract.ListQuarantinedEventsResponse(
            next_page_token=make_token(page[-1].key, mark) if len(rows) > len(page) else ""
        )
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
            event.accept_time.FromMicroseconds(row.accept_micros)
            answer.events.append(event)
        return answer

    def _wanted(self, request: Any, workspace: str, verdicts: Sequence[str], wrong: Violations) -> Wanted:
        """Reads what both lists are asked alike."""
        if len(request.event_ids) > MAX_IDS:
            wrong.add("event_ids", f"Name at most {MAX_IDS} event ids.")
        if len(request.reason_codes) > MAX_REASONS:
            wrong.add("reason_codes", f"Name at most {MAX_REASONS} reasons.")
        if request.page_size < 0:
            wrong.add("page_size", f"Must not be negative; 0 means {DEFAULT_PAGE_SIZE}.")
        start, end = EARLIEST_MICROS, LATEST_MICROS
        if request.HasField("time_range"):
            span = request.time_range
            start, end = _micros(span.start_time), _micros(span.end_time)
            if not (span.HasField("start_time") and span.HasField("end_time") and start < end):
                wrong.add("time_range", "Must have a start before its end.")
        elif not request.event_ids:  # who names ids wants them whatever their age
            start = self._clock.unix_micros() - DEFAULT_SPAN // timedelta(microseconds=1)
        _check_ids(request.event_ids, wrong)
        return Wanted(
            workspace=workspace,
            start_micros=max(start, EARLIEST_MICROS),
            end_micros=min(end, LATEST_MICROS),
            event_ids=self._stored_ids(workspace, request.event_ids) if request.event_ids else (),
            reason_codes=[_name(code) for code in request.reason_codes],
            verdicts=verdicts,
            limit=min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE) + 1,  # one more: is there more?
        )


def _after(token: str, mark: str, start: Key, wrong: Violations) -> Key:
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


def _check_ids(event_ids: Sequence[str], wrong: Violations) -> None:
    if any(not event_id for event_id in event_ids):
        wrong.add("event_ids", "An event id is not empty; the verdict of an event names the one it was given.")


def _name(code: verdict_pb2.ReasonCode.ValueType) -> str:
    known = verdict_pb2.ReasonCode.values()
    return verdict_pb2.ReasonCode.Name(code).removeprefix(_CODE) if code in known else str(code)


def _number(name: str) -> verdict_pb2.ReasonCode.ValueType:
    text = f"{_CODE}{name}"
    known = text in verdict_pb2.ReasonCode.keys()  # noqa: SIM118 - a wrapper, not a dict
    return verdict_pb2.ReasonCode.Value(text) if known else verdict_pb2.REASON_CODE_UNSPECIFIED


def _micros(time: Timestamp) -> int:
    return time.seconds * 1_000_000 + time.nanos // 1_000
