"""What a destination must be able to do that says later what became of what it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from tributary.delivery.v1.delivery_pb2 import OutcomeClass
from tributary_delivery.destinations.adapter import Answer, Request, Verdict

NO_REASON_GIVEN: Final = "NO_REASON_GIVEN"
"""Names what a destination refuses without saying why, as the views of reports do."""


@dataclass(frozen=True, slots=True)
class RequestReport:
    """What became of the events of one request."""

    status: str
    """Of the request, in the destination's words."""
    records: int
    """How many it held, as the destination counts; 0: it does not say."""
    refused: Mapping[str, tuple[OutcomeClass.ValueType, int]] = field(default_factory=dict)
    """Why, in its words -> what that comes to, and of how many. Of what is not named nothing was refused."""
    too_early: frozenset[str] = frozenset()
    """Those of them that only something can be refused for which was sent soon after it happened."""
    all_refused: bool | None = None
    """Whether it says that none of them counts (True), but for those that it has already, or that some do and others do
    not (False); None: its counts alone say it. One event may be counted under several reasons."""
    known: int = 0
    """Of how many it says that it has them already: these count."""


@runtime_checkable
class Reporting(Protocol):
    """An adapter of a destination that reports. Pure: runs as often as need be."""

    def report_request(self, request_id: str) -> Request:
        """Asks what became of a request."""
        ...

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means that is none of 2xx."""
        ...

    def read_report(self, answer: Answer) -> RequestReport | None:
        """Returns what it says; None: nothing yet."""
        ...
