"""Meta's Conversions API: one request is one list of events, which one invalid event refuses as a whole."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from tributary_delivery.destinations import meta_answer, meta_event
from tributary_delivery.destinations.adapter import Answer, Mapped, Outgoing, Request, Unmappable, Verdict, policy_of
from tributary_delivery.destinations.json_bytes import json_bytes
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
        settings, query = self._settings, {}
        if settings.app_secret is not None:
            secret = settings.app_secret.reveal().encode()
            query["appsecret_proof"] = hmac.new(secret, token.encode(), hashlib.sha256).hexdigest()
        end = b',"test_event_code":' + json_bytes(settings.test_event_code) if settings.test_event_code else b""
        body = b'{"data":[' + b",".join(events) + b"]" + end + b"}"
        return Request(f"/{settings.api_version}/{settings.dataset_id}/events", body, query=query)

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means."""
        return meta_answer.classify(answer, events)
