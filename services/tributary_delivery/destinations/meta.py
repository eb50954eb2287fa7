"""Meta's Conversions API: one request is one list of events, which one invalid event refuses as a whole."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from tributary_delivery.destinations import meta_answer, meta_event
from tributary_delivery.destinations.adapter import Answer, Mapped, Outgoing, Request, Trial, Unmappable, Verdict
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.policy import policy_of
from tributary_delivery.destinations.trials import REFUSAL, refused, taken, without
from tributary_runtime.ad_destinations import MetaDestination


class Meta:
    """The language of one data set.

    Args:
        settings: What `workspaces.yaml` says of it.
    """

    def __init__(self, settings: MetaDestination) -> None:
        self._settings = settings
        self.policy = policy_of(settings, credential_place="?access_token")

    def event(self, outgoing: Outgoing) -> Mapped | Unmappable:
        """Says one conversion."""
        return meta_event.event(outgoing, self._settings)

    def request(self, events: Sequence[bytes], token: str, group: str = "") -> Request:
        """Puts events into one request; with the proof that the app's secret is known, where there is one."""
        return self._request(events, token, "")

    def _request(self, events: Sequence[bytes], token: str, test_code: str) -> Request:
        settings, query = self._settings, {}
        if settings.app_secret is not None:
            secret = settings.app_secret.reveal().encode()
            query["appsecret_proof"] = hmac.new(secret, token.encode(), hashlib.sha256).hexdigest()
        end = b',"test_event_code":' + json_bytes(test_code) if test_code else b""
        body = b'{"data":[' + b",".join(events) + b"]" + end + b"}"
        return Request(f"/{settings.api_version}/{settings.dataset_id}/events", body, query=query)

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means."""
        return meta_answer.classify(answer, events)

    def trial(self, examples: Sequence[Mapping[str, Any]], token: str, code: str) -> Trial:
        """Shows it in the test view; without a code, has an event without a name refused, and so all of the request."""
        if code := code or self._settings.test_event_code:
            request = self._request(list(map(json_bytes, examples)), token, code)
            return Trial(request, f"an example is in the test view under {code}", taken(self.classify, len(examples)))
        request = self._request([json_bytes(without(examples[0], "event_name"))], token, "")
        return Trial(request, REFUSAL, refused(self.classify))
