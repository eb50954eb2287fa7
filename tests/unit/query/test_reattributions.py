"""Which page of the past is asked of attribution, and what is refused before it is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tributary.attribution.v1 import attribution_service_pb2 as attribution
from tributary.query.v1.query_service_pb2 import PreviewReattributionRequest, ReattributeRequest
from tributary_query.page_tokens import fingerprint
from tributary_query.reattributions import asked_of, next_token
from tributary_runtime.errors import InvalidRequestError

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def a_request(kind: Any = ReattributeRequest, **said: Any) -> Any:
    request = kind(**said)
    request.time_range.start_time.FromDatetime(START)
    request.time_range.end_time.FromDatetime(END)
    return request


def test_the_next_page_begins_after_the_last_conversion() -> None:
    answer = attribution.ReattributeResponse(has_more=True, last_conversion_id="c1:last")
    answer.last_time.FromDatetime(START)
    request = a_request(conversion_names=["purchase"])
    mark = fingerprint("shop", request)
    first = asked_of(request, "shop", mark)
    assert (first.workspace, first.HasField("after_time"), first.preview) == ("shop", False, False)
    request.page_token = next_token(answer, mark)
    second = asked_of(request, "shop", fingerprint("shop", request))
    assert (second.after_conversion_id, second.after_time) == ("c1:last", answer.last_time)
    assert second.conversion_names == ["purchase"]
    other = a_request(PreviewReattributionRequest, page_token=request.page_token)
    with pytest.raises(InvalidRequestError):  # a token belongs to its request
        asked_of(other, "shop", fingerprint("shop", other))
    assert next_token(attribution.ReattributeResponse(), mark) == ""


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param(lambda request: request.ClearField("time_range"), "time_range", id="no time"),
        pytest.param(lambda request: request.time_range.end_time.FromDatetime(START), "time_range", id="no span"),
        pytest.param(lambda request: setattr(request, "page_size", -1), "page_size", id="negative"),
        pytest.param(
            lambda request: request.conversion_names.extend(map(str, range(101))), "conversion_names", id="101"
        ),
        pytest.param(lambda request: setattr(request, "page_token", "x"), "page_token", id="no token"),
    ],
)
def test_what_cannot_be_meant_is_refused(change: Any, field: str) -> None:
    request = a_request()
    change(request)
    with pytest.raises(InvalidRequestError) as refused:
        asked_of(request, "shop", fingerprint("shop", request))
    assert [violation.field for violation in refused.value.violations] == [field]
