"""Pinterest's Conversions API: one request is one list of events, each answered.

The one rule: it knows an event id again, but never of what happened offline; such a conversion is sent once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tributary_delivery.destinations import pinterest_answer, pinterest_event
from tributary_delivery.destinations.adapter import Answer, Mapped, Outgoing, Request, Trial, Unmappable, Verdict
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.policy import policy_of
from tributary_delivery.destinations.trials import taken
from tributary_runtime.social_destinations import PinterestDestination


class Pinterest:
    """The language of one ad account.

    Args:
        settings: What `workspaces.yaml` says of it.
    """

    def __init__(self, settings: PinterestDestination) -> None:
        self._settings = settings
        self.policy = policy_of(settings, forgets=lambda revised: pinterest_event.is_offline(revised, settings))

    def event(self, outgoing: Outgoing) -> Mapped | Unmappable:
        """Says one conversion."""
        return pinterest_event.event(outgoing, self._settings)

    def request(self, events: Sequence[bytes], token: str, group: str = "") -> Request:
        """Puts events into one request."""
        del token, group  # needs no proof; there is one
        path = f"/{self._settings.api_version}/ad_accounts/{self._settings.ad_account_id}/events"
        return Request(path, b'{"data":[' + b",".join(events) + b"]}")

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means."""
        return pinterest_answer.classify(answer, events)

    def trial(self, examples: Sequence[Mapping[str, Any]], token: str, code: str) -> Trial:
        """Has it checked in test mode, which records nothing."""
        del code  # needs none
        request = self.request(list(map(json_bytes, examples)), token)
        request = replace(request, query={"test": "true"})
        return Trial(request, "an example was checked in test mode (test=true)", taken(self.classify, len(examples)))
