"""Credit of the past under other settings: asked of attribution, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tributary.attribution.v1 import attribution_service_pb2 as attribution
from tributary.query.v1.query_service_pb2 import (
    PreviewReattributionRequest,
    PreviewReattributionResponse,
    ReattributeRequest,
    ReattributeResponse,
)
from tributary_query.page_tokens import fingerprint, make_token, read_token
from tributary_query.violations import Violations
from tributary_runtime.time_ranges import read_time_range
from tributary_storage.clickhouse.names import micros, timestamp

if TYPE_CHECKING:  # the asynchronous stub is known to type checkers only
    from tributary.attribution.v1.attribution_service_pb2_grpc import AttributionServiceAsyncStub

MAX_NAMES: Final = 100


class Reattributions:
    """Forwards to attribution; its errors are passed on as they are.

    Args:
        attribution_stub: Over a channel that carries the internal token.
    """

    def __init__(self, attribution_stub: AttributionServiceAsyncStub) -> None:
        self._attribution = attribution_stub

    async def preview(self, request: PreviewReattributionRequest, workspace: str) -> PreviewReattributionResponse:
        """Says what a page of conversions would change.

        Raises:
            InvalidRequestError: It does not say which conversions, or which page.
            grpc.aio.AioRpcError: What attribution said; the interceptor passes it on.
        """
        mark = fingerprint(workspace, request)
        asked = asked_of(request, workspace, mark)
        asked.preview = True
        if request.HasField("settings"):
            asked.settings.CopyFrom(request.settings)
        answer = await self._attribution.Reattribute(asked)
        return PreviewReattributionResponse(page=answer.page, next_page_token=next_token(answer, mark))

    async def apply(self, request: ReattributeRequest, workspace: str) -> ReattributeResponse:
        """Credits a page of conversions anew.

        Raises: as `preview`.
        """
        mark = fingerprint(workspace, request)
        answer = await self._attribution.Reattribute(asked_of(request, workspace, mark))
        return ReattributeResponse(page=answer.page, next_page_token=next_token(answer, mark))


def asked_of(
    request: PreviewReattributionRequest | ReattributeRequest, workspace: str, mark: str
) -> attribution.ReattributeRequest:
    """Returns what attribution is asked, after checking it."""
    wrong = Violations()
    if None in read_time_range(request.time_range, "time_range"):
        wrong.add("time_range", "Name both a start and an end.")
    if len(request.conversion_names) > MAX_NAMES:
        wrong.add("conversion_names", f"Name at most {MAX_NAMES} names.")
    if request.page_size < 0:
        wrong.add("page_size", "Must not be negative; 0 means 200.")
    asked = attribution.ReattributeRequest(
        workspace=workspace,
        time_range=request.time_range,
        conversion_names=request.conversion_names,
        page_size=request.page_size,
        model=request.model if request.HasField("model") else None,
    )
    if request.page_token:
        try:
            time, conversion_id = read_token(request.page_token, mark)
            asked.after_time.CopyFrom(timestamp(int(time)))
            asked.after_conversion_id = str(conversion_id)
        except ValueError as error:
            wrong.add("page_token", str(error))
    wrong.raise_if_any()
    return asked


def next_token(answer: attribution.ReattributeResponse, mark: str) -> str:
    """Returns the token of the page after an answer; empty at the end."""
    return make_token((micros(answer.last_time), answer.last_conversion_id), mark) if answer.has_more else ""
