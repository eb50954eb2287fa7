"""Salesforce: one request is a batch of records of one kind, each answered; none takes others along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tributary_delivery.destinations import salesforce_answer, salesforce_event
from tributary_delivery.destinations.adapter import Answer, Mapped, Outgoing, Request, Trial, Unmappable, Verdict
from tributary_delivery.destinations.policy import policy_of
from tributary_runtime.crm_destinations import SalesforceDestination


class Salesforce:
    """The language of one instance.

    Args:
        settings: What `workspaces.yaml` says of it.
    """

    def __init__(self, settings: SalesforceDestination) -> None:
        self._settings = settings
        self.policy = policy_of(settings, restates=True, retracts_by_value=not settings.retracted, id_is_order=True)

    def event(self, outgoing: Outgoing) -> Mapped | Unmappable:
        """Says one conversion."""
        return salesforce_event.event(outgoing, self._settings)

    def request(self, events: Sequence[bytes], token: str, group: str = "") -> Request:
        """Puts events into one request."""
        del token, group  # needs no proof; there is one
        settings = self._settings
        path = f"/services/data/{settings.api_version}/composite/sobjects/"
        body = b'{"allOrNone":false,"records":[' + b",".join(events) + b"]}"
        return Request(f"{path}{settings.object_type}/{settings.external_id_field}", body, method="PATCH")

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means."""
        return salesforce_answer.classify(answer, events)

    def trial(self, examples: Sequence[Mapping[str, Any]], token: str, code: str) -> Trial:
        """Reads how many calls are left; writes nothing."""
        del examples, token, code  # nothing is sent
        request = Request(f"/services/data/{self._settings.api_version}/limits", b"", method="GET")
        return Trial(request, "the calls that are left were read", salesforce_answer.read_limits)
