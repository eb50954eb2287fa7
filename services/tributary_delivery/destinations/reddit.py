"""Reddit's Conversions API: one request is one list of events; what it did not take it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tributary_delivery.destinations import reddit_answer, reddit_event
from tributary_delivery.destinations.adapter import Answer, Mapped, Outgoing, Request, Trial, Unmappable, Verdict
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.policy import policy_of
from tributary_delivery.destinations.trials import REFUSAL, refused, taken, without
from tributary_runtime.social_destinations import RedditDestination

TOKEN_URL: Final = "https://www.reddit.com/api/v1/access_token"  # noqa: S105 - an address


class Reddit:
    """The language of one pixel.

    Args:
        settings: What `workspaces.yaml` says of it.
    """

    def __init__(self, settings: RedditDestination) -> None:
        self._settings = settings
        self.policy = policy_of(settings)

    def event(self, outgoing: Outgoing) -> Mapped | Unmappable:
        """Says one conversion."""
        return reddit_event.event(outgoing, self._settings)

    def request(self, events: Sequence[bytes], token: str, group: str = "") -> Request:
        """Puts events into one request."""
        del token, group  # needs no proof; there is one
        path = f"/api/{self._settings.api_version}/pixels/{self._settings.pixel_id}/conversion_events"
        return Request(path, b'{"data":{"events":[' + b",".join(events) + b"]}}")

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means."""
        return reddit_answer.classify(answer, events)

    def trial(self, examples: Sequence[Mapping[str, Any]], token: str, code: str) -> Trial:
        """Shows it in the test view; without a code, has an event without a time refused, and so all of the request."""
        if code := code or self._settings.test_id:
            request = self.request([json_bytes(examples[0])], token)
            body = b'{"data":{"test_id":' + json_bytes(code) + b"," + request.body.removeprefix(b'{"data":{')
            shows = f"an example is in the test view under {code}"
            return Trial(replace(request, body=body), shows, taken(self.classify, 1))
        request = self.request([json_bytes(without(examples[0], "event_at"))], token)
        return Trial(request, REFUSAL, refused(self.classify))
