"""Why a conversion has its credit: what attribution explains, with what ClickHouse knows beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from tributary.attribution.v1 import attribution_service_pb2 as attribution
from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.explanation_pb2 import Explanation
from tributary.common.v1.calendar_date_pb2 import CalendarDate
from tributary.common.v1.money_pb2 import Money
from tributary.event.v1.verdict_pb2 import ReasonCode
from tributary.query.v1.query_service_pb2 import (
    ExplainConversionRequest,
    ExplainConversionResponse,
    RevisionSummary,
    SimulateAttributionRequest,
    SimulateAttributionResponse,
)
from tributary_query.bounds import bound
from tributary_query.models import show_missing_model
from tributary_query.naming import ConversionNames, moment_of, not_found
from tributary_query.touch_ids import name_touches
from tributary_runtime.errors import UnavailableError
from tributary_storage.clickhouse.conversion_history import LATEST_MICROS, NO_LAST, ConversionHistory
from tributary_storage.clickhouse.names import micros, numbers_of, timestamp
from tributary_storage.clickhouse.past_events import EventDetails, PastEvents
from tributary_storage.clickhouse.quarantine import QuarantinedEvents
from tributary_storage.codec.event_references import hash_of_reference

if TYPE_CHECKING:  # the asynchronous stub is known to type checkers only
    from tributary.attribution.v1.attribution_service_pb2_grpc import AttributionServiceAsyncStub

log = structlog.get_logger(__name__)

MAX_REVISIONS: Final = 1000
MAX_DELIVERIES: Final = 1000

_CAUSE: Final = numbers_of(RevisionCause.DESCRIPTOR, lower=True)
_REASON: Final = numbers_of(ReasonCode.DESCRIPTOR)


class Explanations:
    """Explains conversions.

    Args:
        attribution_stub: Over a channel that carries the internal token.
        history: Knows revisions and deliveries.
        names: Tell which conversions are meant.
        events: Knows what journeys do not keep of events. While it does not answer, events are named by their hashes.
        decided: Knows what was decided about events in quarantine.
    """

    def __init__(
        self,
        attribution_stub: AttributionServiceAsyncStub,
        history: ConversionHistory,
        names: ConversionNames,
        events: PastEvents,
        decided: QuarantinedEvents,
    ) -> None:
        self._attribution = attribution_stub
        self._history = history
        self._names = names
        self._events = events
        self._decided = decided

    async def explain(self, request: ExplainConversionRequest, workspace: str) -> ExplainConversionResponse:
        """Returns all there is to say about why a conversion has its credit, all of one revision.

        Raises:
            InvalidRequestError: It does not say which conversion.
            NotFoundError: There is no such conversion in the workspace, or was none at the moment that was asked for.
            StorageUnavailableError: ClickHouse did not answer.
            grpc.aio.AioRpcError: What attribution said; the interceptor passes it on.
        """
        asked = attribution.ExplainConversionRequest(
            workspace=workspace, conversion_id=await self._names.find(request, workspace)
        )
        as_of = moment_of(request)
        moment = LATEST_MICROS if as_of is None else min(as_of, LATEST_MICROS)
        if as_of is not None:
            asked.as_of_time.CopyFrom(timestamp(moment))
        answer = await self._attribution.ExplainConversion(asked)
        # ClickHouse afterwards and up to that revision: what it lacks of them is in the answer.
        found = answer.explanation.conversion_id
        last = answer.explanation.revision or (NO_LAST if as_of is None else as_of)
        newest, (rows, count), deliveries = await asyncio.gather(
            self._history.as_of(workspace, found, last),
            self._history.summaries(workspace, found, last, MAX_REVISIONS),
            self._history.deliveries(workspace, found, 0, last, moment),
        )
        lacking = _lacking(answer.pending_revisions, rows)
        summaries = sorted([*map(_summary, rows), *map(_summary_of, lacking)], key=lambda one: one.revision)
        shown = summaries[-MAX_REVISIONS:]
        if lacking and (newest is None or newest.revision < lacking[-1].revision):
            newest = lacking[-1]
        if newest is None:
            raise not_found(found)
        show_missing_model(newest.state)
        await asyncio.gather(
            self._name(answer.explanation, workspace), name_touches([bound(newest)], workspace, self._history)
        )
        decisions = await self._decided.decisions(workspace, _event_ids(answer.explanation, newest))
        told = [one for each in decisions.values() for one in each if one.decide_micros <= moment]
        return ExplainConversionResponse(
            explanation=answer.explanation,
            newest=newest,
            revisions=shown,
            revisions_omitted=count + len(lacking) - len(shown),
            deliveries=deliveries[-MAX_DELIVERIES:],
            deliveries_omitted=max(0, len(deliveries) - MAX_DELIVERIES),
            quarantine_decisions=[one.message() for one in sorted(told, key=lambda one: one.decide_micros)],
        )

    async def simulate(self, request: SimulateAttributionRequest, workspace: str) -> SimulateAttributionResponse:
        """Returns the credit that a conversion would have under other settings.

        Raises:
            InvalidRequestError: It does not say which conversion, or there are no such settings.
            StorageUnavailableError: ClickHouse did not answer.
            grpc.aio.AioRpcError: What attribution said; the interceptor passes it on.
        """
        found = await self._names.find(request, workspace)
        asked = attribution.SimulateAttributionRequest(
            workspace=workspace, conversion_id=found, settings=request.settings
        )
        answer = await self._attribution.SimulateAttribution(asked)
        await self._name(answer.explanation, workspace)
        return SimulateAttributionResponse(explanation=answer.explanation)

    async def _name(self, explanation: Explanation, workspace: str) -> None:
        """Writes into an explanation what journeys do not keep, in place."""
        try:
            known = await self._events.details(workspace, list(_touches(explanation)))
        except UnavailableError as outage:  # the explanation holds all the same
            log.warning("touches_left_unnamed", reason=outage.message)
            return
        for touchpoint in explanation.touchpoints:
            found = known.get(hash_of_reference(touchpoint.event_id))
            touchpoint.event_id = _named(touchpoint.event_id, known)
            touchpoint.folded_into_event_id = _named(touchpoint.folded_into_event_id, known)
            if found is not None:
                touchpoint.accept_time.CopyFrom(timestamp(found.accept_micros))
                touchpoint.quarantine_reasons.extend(_REASON(code) for code in found.quarantine_codes)
        for model in explanation.models:
            for share in model.shares:
                share.event_id = _named(share.event_id, known)
        for touch in explanation.published_touches:
            touch.event_id = _named(touch.event_id, known)


def _event_ids(explanation: Explanation, newest: ConversionRevised) -> list[str]:
    """Returns the ids of all events that an explanation is about."""
    state = newest.state
    return [
        *(touchpoint.event_id for touchpoint in explanation.touchpoints),
        *state.observation_event_ids,
        *(adjustment.event_id for adjustment in state.adjustments),
    ]


def _touches(explanation: Explanation) -> Iterable[tuple[int, int]]:
    """Yields time and hash of every event that an explanation names."""
    for touchpoint in explanation.touchpoints:
        yield micros(touchpoint.event_time), hash_of_reference(touchpoint.event_id)
    for model in explanation.models[:1]:
        for share in model.shares:
            yield micros(share.touch_time), hash_of_reference(share.event_id)
    for touch in explanation.published_touches:
        yield micros(touch.touch_time), hash_of_reference(touch.event_id)


def _named(reference: str, known: dict[int, EventDetails]) -> str:
    """Returns the event id that a reference stands for; itself where that is not known."""
    found = known.get(hash_of_reference(reference))
    return reference if found is None else found.event_id


def _lacking(pending: Iterable[ConversionRevised], rows: Iterable[Sequence[Any]]) -> list[ConversionRevised]:
    """Returns the revisions that ClickHouse did not have yet when it was asked, oldest first."""
    stored = {row[0] for row in rows}
    return [revised for revised in pending if revised.revision not in stored]


def _summary_of(revised: ConversionRevised) -> RevisionSummary:
    """Returns a revision in brief, as its row will say it."""
    state = revised.state
    currency = state.value.currency_code or state.original_value.currency_code
    return RevisionSummary(
        revision=revised.revision,
        publish_time=revised.publish_time,
        causes=revised.causes,
        causing_event_ids=revised.causing_event_ids,
        value=Money(currency_code=currency, amount_micros=state.value.amount_micros) if currency else None,
        counted=state.counted,
        person_id=state.person_id,
        settings_version=state.settings_version,
        posting_date=revised.posting_date,
        touches=len(state.touches) + state.touches_omitted,
    )


def _summary(row: Sequence[Any]) -> RevisionSummary:
    """Returns a revision in brief, of a row as `revision_summaries.sql` selects it."""
    revision, published, causes, causing, currency, value, counted, person, version, day, touches = row
    return RevisionSummary(
        revision=revision,
        publish_time=timestamp(published),
        causes=[_CAUSE(cause) for cause in causes],
        causing_event_ids=causing,
        value=Money(currency_code=currency, amount_micros=value) if currency else None,
        counted=counted,
        person_id=person,
        settings_version=version,
        posting_date=CalendarDate(year=day.year, month=day.month, day=day.day),
        touches=touches,
    )
