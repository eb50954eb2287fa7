"""Single events: what became of ids, and what was refused and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tributary.dedup.v1 import dedup_service_pb2
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.dedup.v1.event_fate_pb2 import EventFate
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.verdict_pb2 import Reason
from tributary.query.v1 import query_service_pb2 as contract
from tributary.query.v1.refusal_pb2 import Refusal
from tributary_query.event_filters import CODE, MAX_IDS, EventFilters, after_of, check_ids
from tributary_query.page_tokens import fingerprint, make_token
from tributary_query.violations import Violations
from tributary_storage.clickhouse.refused_events import REFUSALS_START, RefusedEvents

if TYPE_CHECKING:  # the asynchronous stub is known to type checkers only
    from tributary.dedup.v1.dedup_service_pb2_grpc import DedupServiceAsyncStub

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
        filters: Reads which events are meant.
    """

    def __init__(self, dedup: DedupServiceAsyncStub, refused: RefusedEvents, filters: EventFilters) -> None:
        self._dedup = dedup
        self._refused = refused
        self._filters = filters

    async def lookup(self, request: contract.LookupEventsRequest, workspace: str) -> contract.LookupEventsResponse:
        """Returns what became of ids.

        Raises:
            InvalidRequestError: No id, too many, or one that no event can have.
            grpc.aio.AioRpcError: What dedup said; the interceptor passes it on.
        """
        wrong = Violations()
        if not 1 <= len(request.event_ids) <= MAX_IDS:
            wrong.add("event_ids", f"Name 1 to {MAX_IDS} event ids.")
        check_ids(request.event_ids, wrong)
        wrong.raise_if_any()
        fates = await self._fates(workspace, request.event_ids)
        stored = self._filters.stored_ids(workspace, request.event_ids)
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
        wanted = self._filters.wanted(request, workspace, _VERDICTS.get(request.verdict, ("",)), wrong)
        after = after_of(request.page_token, mark, REFUSALS_START, wrong)
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


def _number(name: str) -> verdict_pb2.ReasonCode.ValueType:
    text = f"{CODE}{name}"
    known = text in verdict_pb2.ReasonCode.keys()  # noqa: SIM118 - a wrapper, not a dict
    return verdict_pb2.ReasonCode.Value(text) if known else verdict_pb2.REASON_CODE_UNSPECIFIED
