"""TikTok's Events API: events of one source in a request; HTTP 200 says nothing, the code in the body does."""

from __future__ import annotations

from collections.abc import Sequence

from tributary_delivery.destinations import tiktok_answer, tiktok_event
from tributary_delivery.destinations.adapter import Answer, Mapped, Outgoing, Request, Unmappable, Verdict, policy_of
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_runtime.ad_destinations import TikTokDestination


class TikTok:
    """The language of one event source.

    Args:
        settings: What `workspaces.yaml` says of it.
    """

    def __init__(self, settings: TikTokDestination) -> None:
        self._settings = settings
        self.policy = policy_of(settings, credential_place="access-token")
        head = {"event_source": settings.event_source, "event_source_id": settings.event_source_id}
        if settings.test_event_code:
            head["test_event_code"] = settings.test_event_code
        self._head = json_bytes(head)[:-1] + b',"data":['

    def event(self, outgoing: Outgoing) -> Mapped | Unmappable:
        """Says one conversion."""
        return tiktok_event.event(outgoing, self._settings)

    def request(self, events: Sequence[bytes], token: str, group: str = "") -> Request:
        """Puts events into one request."""
        del token  # needs no proof
        path = f"/open_api/{self._settings.api_version}/event/track/"
        return Request(path, self._head + b",".join(events) + b"]}")

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means."""
        return tiktok_answer.classify(answer, events)
