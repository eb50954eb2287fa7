"""TikTok's Events API: events of one source in a request; HTTP 200 says nothing, the code in the body does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tributary_delivery.destinations import tiktok_answer, tiktok_event
from tributary_delivery.destinations.adapter import Answer, Mapped, Outgoing, Request, Trial, Unmappable, Verdict
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.policy import policy_of
from tributary_delivery.destinations.trials import REFUSAL, refused, taken, without
from tributary_runtime.ad_destinations import TikTokDestination


class TikTok:
    """The language of one event source.

    Args:
        settings: What `workspaces.yaml` says of it.
    """

    def __init__(self, settings: TikTokDestination) -> None:
        self._settings = settings
        self.policy = policy_of(settings, credential_place="access-token")

    def event(self, outgoing: Outgoing) -> Mapped | Unmappable:
        """Says one conversion."""
        return tiktok_event.event(outgoing, self._settings)

    def request(self, events: Sequence[bytes], token: str, group: str = "") -> Request:
        """Puts events into one request."""
        del token  # needs no proof
        return self._request(events, "")

    def _request(self, events: Sequence[bytes], test_code: str) -> Request:
        settings = self._settings
        head = {"event_source": settings.event_source, "event_source_id": settings.event_source_id}
        if test_code:
            head["test_event_code"] = test_code
        path = f"/open_api/{settings.api_version}/event/track/"
        return Request(path, json_bytes(head)[:-1] + b',"data":[' + b",".join(events) + b"]}")

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means."""
        return tiktok_answer.classify(answer, events)

    def trial(self, examples: Sequence[Mapping[str, Any]], token: str, code: str) -> Trial:
        """Shows it in the test view; without a code, has an event without a name refused, and so all of the request."""
        del token  # needs no proof
        if code := code or self._settings.test_event_code:  # one event: what is tried is not batched
            request = self._request([json_bytes(examples[0])], code)
            return Trial(request, f"an example is in the test view under {code}", taken(self.classify, 1))
        request = self._request([json_bytes(without(examples[0], "event"))], "")
        return Trial(request, REFUSAL, refused(self.classify))
