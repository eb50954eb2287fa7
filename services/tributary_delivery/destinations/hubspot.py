"""HubSpot: one request is a batch of objects that are made, or become what they are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tributary_delivery.destinations import hubspot_answer, hubspot_event
from tributary_delivery.destinations.adapter import Answer, Mapped, Outgoing, Request, Unmappable, Verdict, policy_of
from tributary_runtime.crm_destinations import HubSpotDestination

TOKEN_URL: Final = "https://api.hubapi.com/oauth/v1/token"  # noqa: S105 - an address


class HubSpot:
    """The language of one account.

    Args:
        settings: What `workspaces.yaml` says of it.
    """

    def __init__(self, settings: HubSpotDestination) -> None:
        self._settings = settings
        self.policy = policy_of(settings, restates=True, id_is_order=True)

    def event(self, outgoing: Outgoing) -> Mapped | Unmappable:
        """Says one conversion."""
        return hubspot_event.event(outgoing, self._settings)

    def request(self, events: Sequence[bytes], token: str, group: str = "") -> Request:
        """Puts events into one request; each is given its place as trace id, by which an answer names it."""
        del token, group  # needs no proof; there is one
        settings = self._settings
        traced = (event[:-1] + b',"objectWriteTraceId":"%d"}' % place for place, event in enumerate(events))
        crm = "/crm/v3/objects" if settings.api_version == "v3" else f"/crm/objects/{settings.api_version}"
        return Request(f"{crm}/{settings.object_type}/batch/upsert", b'{"inputs":[' + b",".join(traced) + b"]}")

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means."""
        return hubspot_answer.classify(answer, events, self._settings.zone)
