"""Google Ads' own uploads: one call takes conversions, another what adjusts them; each event is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tributary_delivery.destinations import google_ads_answer, google_ads_event
from tributary_delivery.destinations.adapter import Answer, Mapped, Outgoing, Request, Trial, Unmappable, Verdict
from tributary_delivery.destinations.google_clicks import MOST_ID_CHARACTERS
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.policy import policy_of
from tributary_runtime.search_destinations import GoogleAdsDestination

_CALLS: Final = {
    google_ads_event.CONVERSIONS: "uploadClickConversions",
    google_ads_event.ADJUSTMENTS: "uploadConversionAdjustments",
}


class GoogleAds:
    """The language of one customer.

    Args:
        settings: What `workspaces.yaml` says of it.
    """

    def __init__(self, settings: GoogleAdsDestination) -> None:
        self._settings = settings
        self.policy = policy_of(
            settings, restates=True, id_is_order=True, most_id_characters=MOST_ID_CHARACTERS, keeps_newest=True
        )

    def event(self, outgoing: Outgoing) -> Mapped | Unmappable:
        """Says one conversion, or an adjustment of one."""
        return google_ads_event.event(outgoing, self._settings)

    def request(self, events: Sequence[bytes], token: str, group: str = "") -> Request:
        """Puts events of one group into one request; what is wrong with one of them never refuses the others."""
        del token  # needs no proof
        settings, what = self._settings, group or google_ads_event.CONVERSIONS
        headers = {"developer-token": settings.developer_token.reveal()}
        if settings.login_customer_id is not None:
            headers["login-customer-id"] = settings.login_customer_id
        body = b"{" + json_bytes(what) + b":[" + b",".join(events) + b'],"partialFailure":true}'
        path = f"/{settings.api_version}/customers/{settings.customer_id}:{_CALLS[what]}"
        return Request(path, body, headers)

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means."""
        return google_ads_answer.classify(answer, events)

    def trial(self, examples: Sequence[Mapping[str, Any]], token: str, code: str) -> Trial:
        """Has it validated: what is only validated is not counted."""
        request = self.request(list(map(json_bytes, examples)), token, google_ads_event.CONVERSIONS)
        request = replace(request, body=request.body[:-1] + b',"validateOnly":true}')
        shows = "an example was validated for every conversion action (validateOnly)"
        return Trial(request, shows, lambda answer: google_ads_answer.validated(answer, len(examples)))
