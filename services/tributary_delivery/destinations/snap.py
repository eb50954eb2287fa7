"""Snap's Conversions API: one request is one list of events, answered as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tributary_delivery.destinations import snap_answer, snap_event
from tributary_delivery.destinations.adapter import Answer, Mapped, Outgoing, Request, Trial, Unmappable, Verdict
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.policy import policy_of
from tributary_delivery.destinations.trials import taken
from tributary_runtime.social_destinations import SnapDestination


class Snap:
    """The language of one pixel.

    Args:
        settings: What `workspaces.yaml` says of it.
    """

    def __init__(self, settings: SnapDestination) -> None:
        self._settings = settings
        self.policy = policy_of(settings, credential_place="?access_token")

    def event(self, outgoing: Outgoing) -> Mapped | Unmappable:
        """Says one conversion."""
        return snap_event.event(outgoing, self._settings)

    def request(self, events: Sequence[bytes], token: str, group: str = "") -> Request:
        """Puts events into one request."""
        del token, group  # needs no proof; there is one
        path = f"/{self._settings.api_version}/{self._settings.pixel_id}/events"
        return Request(path, b'{"data":[' + b",".join(events) + b"]}")

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means."""
        return snap_answer.classify(answer, events)

    def trial(self, examples: Sequence[Mapping[str, Any]], token: str, code: str) -> Trial:
        """Has it validated at an address that only validates."""
        del code  # needs none
        request = self.request(list(map(json_bytes, examples)), token)
        request = replace(request, path=f"{request.path}/validate")
        return Trial(request, "an example was validated (events/validate)", taken(self.classify, len(examples)))
