"""What is refused for its time may be known; where nobody can tell whether it is, its neighbours are decided on."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from tributary.dedup.v1.dedup_service_pb2 import FindClaimsRequest, FindClaimsResponse
from tributary.event.v1.verdict_pb2 import VERDICT_ACCEPTED, VERDICT_REJECTED
from tributary_domain.business_keys import NO_KEY
from tributary_domain.event_times import CLAIMS_LAST_MICROS
from tributary_ingestion import retries
from tributary_ingestion.admission import UNANSWERED, Admission
from tributary_ingestion.packed import Packed
from tributary_runtime.errors import TributaryError, UnavailableError

NOW = 10 * CLAIMS_LAST_MICROS
KNOWN, FORGOTTEN, NEVER = NOW - CLAIMS_LAST_MICROS, NOW - CLAIMS_LAST_MICROS - 1, 0


class Dedup:
    """A stub that knows when events were accepted first, or answers with an error."""

    def __init__(self, answer: dict[str, int] | grpc.StatusCode) -> None:
        self.answer = answer
        self.asked: list[int] = []

    async def FindClaims(self, request: FindClaimsRequest, **_options: Any) -> FindClaimsResponse:
        names = [chr(code) for code in request.event_digests[::16]]
        self.asked.append(len(names))
        if isinstance(self.answer, grpc.StatusCode):
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(self.answer, nothing, nothing, "no answer")
        return FindClaimsResponse(first_accept_micros=[self.answer[name] for name in names])


def a_call(names: str) -> list[Packed]:
    """Returns an event per name; those in capitals are refused for their time alone."""
    packed = [Packed(name, VERDICT_ACCEPTED, [], name.encode() * 16, bytes(8), NO_KEY, 1, b"") for name in names]
    return [one._replace(verdict=VERDICT_REJECTED, if_known=one) if one.event_id.isupper() else one for one in packed]


async def recognised(names: str, answer: dict[str, int] | grpc.StatusCode) -> tuple[str, list[int], list[int]]:
    """Returns the events of a call that are refused still, the places of the unanswered, and how many were asked."""
    dedup = Dedup(answer)
    admission = Admission(dedup, deadline_seconds=5.0)  # type: ignore[arg-type]
    found, unanswered, delay = await retries.recognise(admission, a_call(names), NOW, None)
    assert [one.event_id for one in found] == list(names)
    assert bool(unanswered) == (delay > 0)
    refused = "".join(one.event_id for one in found if one.verdict == VERDICT_REJECTED)
    return refused, list(unanswered), dedup.asked


@pytest.mark.parametrize(
    ("names", "answer", "expected"),
    [
        pytest.param("abc", {}, ("", [], []), id="nobody is asked of what came in time"),
        pytest.param("aBCDe", {"B": KNOWN, "C": FORGOTTEN, "D": NEVER}, ("CD", [], [3]), id="all is answered"),
        pytest.param("aBCDe", {"B": KNOWN, "C": UNANSWERED, "D": NEVER}, ("D", [2], [3]), id="a node is away"),
        pytest.param("B", {"B": UNANSWERED}, ("", [0], [1]), id="the node of the only one is away"),
        pytest.param("aBcD", grpc.StatusCode.UNAVAILABLE, ("", [1, 3], [2]), id="nothing is answered"),
        pytest.param("aBcD", grpc.StatusCode.UNIMPLEMENTED, ("", [1, 3], [2]), id="dedup is of an earlier version"),
    ],
)
async def test_only_those_that_are_asked_about_depend_on_the_answer(
    names: str, answer: dict[str, int] | grpc.StatusCode, expected: tuple[str, list[int], list[int]]
) -> None:
    assert await recognised(names, answer) == expected


@pytest.mark.parametrize(
    ("names", "code", "error"),
    [
        pytest.param("BC", grpc.StatusCode.UNAVAILABLE, UnavailableError, id="all had to be asked about"),
        pytest.param("aB", grpc.StatusCode.INTERNAL, TributaryError, id="a bug is no outage"),
    ],
)
async def test_the_call_fails_where_nothing_could_be_decided(
    names: str, code: grpc.StatusCode, error: type[TributaryError]
) -> None:
    with pytest.raises(error):
        await recognised(names, code)
