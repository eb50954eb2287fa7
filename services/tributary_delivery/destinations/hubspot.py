"""HubSpot: one request is a batch of objects that are made, or become what they are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tributary_delivery.destinations import hubspot_answer, hubspot_contacts, hubspot_event
from tributary_delivery.destinations.adapter import Answer, Mapped, Outgoing, Request, Trial, Unmappable, Verdict
from tributary_delivery.destinations.destination import RETRY
from tributary_delivery.destinations.policy import policy_of
from tributary_runtime.crm_destinations import HubSpotDestination

TOKEN_URL: Final = "https://api.hubapi.com/oauth/v1/token"  # noqa: S105 - an address


class HubSpot:
    """The language of one account.

    Args:
        settings: What `workspaces.yaml` says of it.
    """

    def __init__(self, settings: HubSpotDestination) -> None:
        self._settings = settings
        self.policy = policy_of(settings, restates=True, retracts_by_value=not settings.retracted, id_is_order=True)

    def event(self, outgoing: Outgoing) -> Mapped | Unmappable:
        """Says one conversion."""
        return hubspot_event.event(outgoing, self._settings)

    def request(self, events: Sequence[bytes], token: str, group: str = "") -> Request:
        """Puts events into one request; each is given its place as trace id, by which an answer names it."""
        del token, group  # needs no proof; there is one
        traced = (event[:-1] + b',"objectWriteTraceId":"%d"}' % place for place, event in enumerate(events))
        return Request(f"{self._objects}/batch/upsert", b'{"inputs":[' + b",".join(traced) + b"]}")

    @property
    def _objects(self) -> str:
        settings = self._settings
        crm = "/crm/v3/objects" if settings.api_version == "v3" else f"/crm/objects/{settings.api_version}"
        return f"{crm}/{settings.object_type}"

    def look(self, events: Sequence[bytes]) -> Request | None:
        """Asks what contacts hold that are of many conversions."""
        return hubspot_contacts.look(events, self._settings, self._objects)

    def seen(self, events: Sequence[bytes], answer: Answer) -> Sequence[bytes | None] | Verdict:
        """Returns what is news to them."""
        news = hubspot_contacts.seen(events, answer, self._settings)
        if news is not None:
            return news
        told = self.classify(answer, len(events)).whole
        if told.is_ok:
            told = replace(told, outcome=RETRY, message=f"HTTP {answer.status} without what contacts hold")
        return Verdict(replace(told, is_untaken=True))

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means."""
        return hubspot_answer.classify(answer, events, self._settings.zone)

    def trial(self, examples: Sequence[Mapping[str, Any]], token: str, code: str) -> Trial:
        """Reads the property that objects are known by; writes nothing."""
        del examples, token, code  # nothing is sent
        settings = self._settings
        crm = "/crm/v3/properties" if settings.api_version == "v3" else f"/crm/properties/{settings.api_version}"
        path = f"{crm}/{settings.object_type}/{settings.id_property}"
        return Trial(Request(path, b"", method="GET"), f"{settings.id_property} was read", hubspot_answer.read_property)
