"""Microsoft's offline conversions: one address takes conversions, another what corrects them.

The one rule: it knows a conversion again by its click and time, and of each click one of a second; one that has no
click is sent once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_delivery.destinations import microsoft_answer, microsoft_event
from tributary_delivery.destinations.adapter import Answer, Mapped, Outgoing, Request, Trial, Unmappable, Verdict
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.placing import Places
from tributary_delivery.destinations.policy import policy_of
from tributary_delivery.destinations.trials import REFUSAL, row_refused, without
from tributary_runtime.search_destinations import MicrosoftDestination

TOKEN_URL: Final = "https://login.microsoftonline.com/common/oauth2/v2.0/token"  # noqa: S105 - an address


class Microsoft:
    """The language of one ad account.

    Args:
        settings: What `workspaces.yaml` says of it.
    """

    def __init__(self, settings: MicrosoftDestination) -> None:
        self._settings = settings
        self.policy = policy_of(
            settings, restates=True, forgets=microsoft_event.is_unclicked, repeats_identifiers=True, id_is_order=True
        )

    def event(self, outgoing: Outgoing) -> Mapped | Unmappable:
        """Says one conversion, or a correction of one."""
        return microsoft_event.event(outgoing)

    def places(self, revised: ConversionRevised) -> Places | None:
        """Says which seconds of its click a conversion may have."""
        return microsoft_event.places(revised, list(self._settings.conversions))

    def request(self, events: Sequence[bytes], token: str, group: str = "") -> Request:
        """Puts events of one group into one request."""
        del token  # needs no proof
        settings, what = self._settings, group or microsoft_event.CONVERSIONS
        headers = {
            "developertoken": settings.developer_token.reveal(),
            "customerid": settings.customer_id,
            "customeraccountid": settings.account_id,
        }
        body = b"{" + json_bytes(what) + b":[" + b",".join(events) + b"]}"
        return Request(f"/CampaignManagement/{settings.api_version}/{what}/Apply", body, headers)

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means."""
        return microsoft_answer.classify(answer, events)

    def trial(self, examples: Sequence[Mapping[str, Any]], token: str, code: str) -> Trial:
        """Has a row refused that names neither a click nor a person: it has no other way to be tried."""
        del code  # there is no test view
        row = without(examples[0], *microsoft_event.KEYS)
        request = self.request([json_bytes(row)], token, microsoft_event.CONVERSIONS)
        return Trial(request, REFUSAL, row_refused(self.classify))
