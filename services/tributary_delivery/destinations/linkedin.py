"""LinkedIn's Conversions API: a batch of events, each answered; one that is wrong refuses all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tributary_delivery.destinations import linkedin_answer, linkedin_event
from tributary_delivery.destinations.adapter import Answer, Mapped, Outgoing, Request, Trial, Unmappable, Verdict
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.policy import policy_of
from tributary_delivery.destinations.trials import REFUSAL, refused, without
from tributary_runtime.ad_destinations import LinkedInDestination

TOKEN_URL: Final = "https://www.linkedin.com/oauth/v2/accessToken"  # noqa: S105 - an address
_MOST_ID_CHARACTERS: Final = 64


class LinkedIn:
    """The language of one ad account's conversion rules.

    Args:
        settings: What `workspaces.yaml` says of it.
    """

    def __init__(self, settings: LinkedInDestination) -> None:
        self._settings = settings
        self.policy = policy_of(settings, most_id_characters=_MOST_ID_CHARACTERS)

    def event(self, outgoing: Outgoing) -> Mapped | Unmappable:
        """Says one conversion."""
        return linkedin_event.event(outgoing, self._settings)

    def request(self, events: Sequence[bytes], token: str, group: str = "") -> Request:
        """Puts events into one request."""
        del token  # needs no proof
        headers = {
            "linkedin-version": self._settings.api_version,
            "x-restli-method": "BATCH_CREATE",
            "x-restli-protocol-version": "2.0.0",
        }
        return Request("/rest/conversionEvents", b'{"elements":[' + b",".join(events) + b"]}", headers)

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means."""
        return linkedin_answer.classify(answer, events)

    def trial(self, examples: Sequence[Mapping[str, Any]], token: str, code: str) -> Trial:
        """Has an event without a person refused, and so all of the request: it has no other way to be tried."""
        del code  # there is no test view
        request = self.request([json_bytes(without(examples[0], "user"))], token)
        return Trial(request, REFUSAL, refused(self.classify))
